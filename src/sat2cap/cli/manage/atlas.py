"""``sat2cap atlas``: describe, prepare, verify and repair an atlas."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.options import (
    ACCEPT_OLD_STRETCH,
    Address,
    AtlasImagery,
    AtlasModel,
    AtlasPath,
    Bands,
    Engine,
    EngineName,
    Recipe,
    Stretch,
    TileCache,
    Workers,
)

if TYPE_CHECKING:
    from sat2cap.atlas import Atlas

app = typer.Typer(help="Describe, check and repair an atlas.", no_args_is_help=True)


@app.command()
def info(atlas: AtlasPath) -> None:
    """Describe an atlas.

    Prints what it covers, what it was made from, and how many of its cells have an embedding.
    """
    from sat2cap.atlas import check_atlas_exists

    check_atlas_exists(atlas)
    import numpy as np

    from sat2cap.atlas import STATUS_MEANINGS, CellStatus, open_atlas
    from sat2cap.cli import console
    from sat2cap.formatting import format_bytes

    opened = open_atlas(atlas)
    size = sum(size for _, size in opened.store.list()) if opened.store.can_list else None
    spec = opened.members[0].spec
    status = opened.status[opened.wanted]
    counts = [(CellStatus(code), int((status == code).sum())) for code in np.unique(status)]
    patch_px = f"{spec.patch_pixels} px"
    console.print_facts(
        [
            ("atlas", opened.name),
            ("complete", "yes" if opened.complete else "no: the same embed command continues it"),
            *(fact for member in opened.members for fact in _describe_grid(member)),
            ("patches", f"{spec.patch_m:g} m, {patch_px}: {spec.patch_m / spec.patch_pixels:.3g} m a pixel"),
            ("embeddings", f"{opened.dim} numbers a cell, {spec.dtype}"),
            ("cells", opened.wanted.sum()),
            *((f"  {STATUS_MEANINGS[code]}", count) for code, count in counts),
            ("model", opened.model.get("card", {}).get("name", "unnamed")),
            ("imagery", opened.imagery.get("uri", "")),
            ("attribution", opened.attribution),
            ("licence", opened.licence),
            *(() if size is None else [("size", format_bytes(size))]),
            ("identity", opened.identity),
        ]
    )


def _describe_grid(atlas: "Atlas") -> list[tuple[str, str]]:
    """Return the extent and the grid of an atlas in one CRS, as facts."""
    from sat2cap.geo import lonlat_extent

    grid = atlas.plain_grid
    (height, width), extent = grid.shape, lonlat_extent(grid)
    return [
        ("extent", ",".join(f"{edge:.4f}" for edge in extent)),
        ("grid", f"{height} x {width} cells of {grid.affine.a:g} m in {grid.crs}"),
    ]


@app.command()
def prepare(atlas: AtlasPath, model: AtlasModel = None) -> None:
    """Make later maps of an atlas faster.

    Writes one more folder into the atlas, about as large as the rest, which may be removed at any time.
    """
    from sat2cap import api
    from sat2cap.cli import console

    with console.show_progress(resumes=False) as progress:
        print(api.open(atlas, model).prepare(progress))


@app.command()
def publish(
    atlas: AtlasPath,
    folder: Annotated[
        str,
        typer.Argument(
            metavar="DEST",
            help="Folder to write, then to upload as it is, or an address in a bucket: s3://, gs://, az://.",
        ),
    ],
    depth: Annotated[
        list[int] | None,
        typer.Option(
            "--depth",
            metavar="N",
            help="Also write a copy of the first N principal components; may be repeated.",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Title of the collection; by default the atlas's name.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Address at which DEST will be served, for links that must be absolute."
        ),
    ] = None,
) -> None:
    """Write a copy of an atlas for the web.

    The copy is a sharded Zarr group, which other programs open, with a STAC item, a collection and checksums.
    The same command continues an interrupted run.
    """
    from sat2cap import api
    from sat2cap.cli import console
    from sat2cap.formatting import format_bytes

    with console.show_progress() as progress:
        published = api.publish(atlas, folder, depths=depth or (), title=title, url=url, progress=progress)
    files = f"{published.files} files in {published.folder}"
    print(f"{published.store}: {files}, {format_bytes(published.size_bytes)}")
    print(f"check a copy with: sha256sum -c {Path(published.store).stem}.sha256")


@app.command()
def verify(atlas: AtlasPath) -> None:
    """Read all of an atlas and list what is damaged.

    The exit status is 1 if anything is.
    """
    from sat2cap.atlas import open_atlas, verify_atlas
    from sat2cap.query import find_prepared_problem

    opened = open_atlas(atlas)
    problems = []
    for member in opened.members:
        of_member = [str(problem) for problem in verify_atlas(member)]
        of_member = of_member or [problem for problem in [find_prepared_problem(member)] if problem]
        where = "" if member is opened else f"{member.name}: "
        problems += [f"{where}{problem}" for problem in of_member]
    for problem in problems:
        print(problem)
    if problems:
        count = "1 problem; repair it" if len(problems) == 1 else f"{len(problems)} problems; repair them"
        print(f"{count} with: sat2cap atlas repair {opened.name}")
        raise typer.Exit(1)
    print(
        f"{opened.name}: sound"
        + ("" if opened.complete else ", but not finished; the same embed command continues it")
    )


@app.command()
def unlock(atlas: AtlasPath) -> None:
    """Release the lock that a killed process left on an atlas in a bucket.

    Make sure first that the process is gone: it is named, with its machine, where a command is refused. The
    lock of a folder ends with its process.
    """
    from sat2cap.atlas import break_lock
    from sat2cap.cli.console import print_released_lock

    print_released_lock(atlas, break_lock(atlas))


@app.command(context_settings=ACCEPT_OLD_STRETCH)
def repair(
    atlas: AtlasPath,
    imagery: AtlasImagery = None,
    model: AtlasModel = None,
    bands: Bands = None,
    stretch: Stretch = None,
    recipe: Recipe = None,
    cache: TileCache = None,
    engine: Engine = EngineName.process,
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Repair an atlas, and fill cells that could not be read.

    Damaged chunks are computed again, and cells whose imagery could not be read are tried again; all other
    bytes stay as they are. Imagery and model must be those that the atlas was made from; by default they are
    looked up where embed found them.
    """
    from sat2cap import api
    from sat2cap.cli import console
    from sat2cap.redaction import redact_secrets

    name = redact_secrets(atlas)
    with console.show_progress() as progress:
        result = api.repair(
            atlas,
            imagery=imagery,
            model=model,
            bands=bands,
            stretch=stretch,
            recipe=recipe,
            cache=cache,
            engine=engine.value,
            address=address,
            workers=workers,
            progress=progress,
        )
    if result.stale_prepared is not None:
        again = f"make it again with: sat2cap atlas prepare {name}"
        print(f"{name}: damaged {result.stale_prepared} removed; {again}")
    if not (result.damaged_chunks or result.filled_cells or result.failed_cells):
        print(f"{name}: nothing has to be computed again")
        return
    done = f"{result.damaged_chunks} damaged chunks computed again; {result.filled_cells} failed cells filled"
    print(f"{name}: {done}")
    if result.failed_cells:
        if result.failure is not None:
            print(f"  the first failure: {result.failure}")
        print(f"  {result.failed_cells} cells failed again; try later with: sat2cap atlas repair {name}")
