"""``sat2cap atlas``: look at, check and mend an atlas."""

import typer

from sat2cap.cli.options import AtlasPath

app = typer.Typer(help="Look at, check and mend an atlas.", no_args_is_help=True)


@app.command()
def info(atlas: AtlasPath) -> None:
    """Say what an atlas holds.

    What it covers, what it was made from, and how its cells fared.
    """
    import numpy as np

    from sat2cap.atlas.store import STATUS_MEANINGS, CellStatus, open_atlas
    from sat2cap.cli import show

    opened = open_atlas(atlas)
    spec, box = opened.spec, opened.grid.geographic_extent.boundingbox
    status = opened.status[opened.wanted]
    counts = [(CellStatus(code), int((status == code).sum())) for code in np.unique(status)]
    height, width = opened.grid.shape
    size = sum(file.stat().st_size for file in opened.path.rglob("*") if file.is_file())
    show.facts(
        [
            ("atlas", opened.path),
            ("complete", "yes" if opened.complete else "no: the same embed command goes on"),
            ("extent", ",".join(f"{edge:.4f}" for edge in (box.left, box.bottom, box.right, box.top))),
            (
                "grid",
                f"{height} x {width} cells of {spec.patch_m:g} m in {opened.grid.crs}",
            ),
            ("embeddings", f"{opened.dim} numbers a cell, {spec.dtype}"),
            ("cells", opened.wanted.sum()),
            *((f"  {STATUS_MEANINGS[code]}", count) for code, count in counts),
            ("model", opened.model.get("card", {}).get("name", "unnamed")),
            ("imagery", opened.imagery.get("uri", "")),
            ("attribution", opened.attribution),
            ("licence", opened.licence),
            ("size", f"{size / 1e6:.3g} MB"),
            ("identity", opened.identity),
        ]
    )


@app.command()
def verify(atlas: AtlasPath) -> None:
    """Read all of an atlas and say what is wrong.

    Exit status 1 if anything is.
    """
    from sat2cap.atlas.store import open_atlas
    from sat2cap.atlas.store import verify as find_problems

    opened = open_atlas(atlas)
    problems = find_problems(opened)
    for problem in problems:
        print(problem)
    if problems:
        print(f"{len(problems)} problems; mend them with: sat2cap atlas repair {atlas}")
        raise typer.Exit(1)
    print(
        f"{atlas}: sound" + ("" if opened.complete else ", but not finished; the same embed command goes on")
    )


@app.command()
def repair(atlas: AtlasPath) -> None:
    """Mend an atlas.

    What needs no computing is mended; damaged chunks are forgotten, so that embed redoes only those.
    """
    from sat2cap.atlas.store import open_atlas
    from sat2cap.atlas.store import repair as mend

    forgotten = mend(open_atlas(atlas))
    if forgotten:
        print(f"{atlas}: {len(forgotten)} damaged chunks forgotten; run the same embed command to redo them")
    else:
        print(f"{atlas}: nothing has to be computed again")
