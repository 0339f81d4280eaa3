"""``sat2cap embed``."""

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.options import (
    Address,
    Bands,
    Engine,
    EngineName,
    ImagerySource,
    Model,
    Recipe,
    Stretch,
    TileCache,
    Workers,
)
from sat2cap.extras import require_extra

if TYPE_CHECKING:
    from sat2cap.api import EmbeddingPlan, WideEmbeddingPlan
    from sat2cap.atlas import Atlas


class Dtype(StrEnum):
    """Type that embeddings are stored as."""

    int8 = "int8"
    float16 = "float16"


class Precision(StrEnum):
    """Number format that the network computes in; ``auto`` chooses by the machine."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    int8 = "int8"


def embed(
    imagery: ImagerySource,
    model: Model,
    out: Annotated[
        str,
        typer.Option(
            "-o",
            "--out",
            metavar="X.zarr",
            help="The atlas to write: a folder, or an address in a bucket: s3://, gs://, az://.",
        ),
    ],
    region: Annotated[
        str | None,
        typer.Argument(
            metavar="REGION",
            help="west,south,east,north or lon,lat,radius (such as 5km) in degrees, "
            "or a GeoJSON, GeoPackage or shapefile; all of the imagery if left out.",
        ),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Layer of the region's file, if it has several.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE",
            help="Use only the features of the region's file that have this value; may be repeated.",
        ),
    ] = None,
    cell: Annotated[
        float | None,
        typer.Option(
            metavar="METRES",
            help="Side of a cell; by default that of the patch. Smaller cells give a finer map from "
            "overlapping patches.",
        ),
    ] = None,
    patch: Annotated[
        float | None,
        typer.Option(
            metavar="METRES",
            help="Side of the square of ground that the network sees for a cell; by default 480, or the side "
            "of the cell if that is more.",
        ),
    ] = None,
    crs: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help="CRS of the grid, such as EPSG:32631; by default the UTM zone of the region, or all of its "
            "zones if it is too wide for one. utm takes all of them for a narrow region, too.",
        ),
    ] = None,
    max_missing: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Largest share of a patch that may have no imagery, from 0 to 1.",
            min=0,
            max=1,
        ),
    ] = 0.5,
    dtype: Annotated[
        Dtype, typer.Option(metavar="int8|float16", help="Type that embeddings are stored as.")
    ] = Dtype.int8,
    precision: Annotated[
        Precision,
        typer.Option(
            metavar="auto|float32|bfloat16|int8",
            help="Number format the network computes in; auto is bfloat16 on machines that are fast at it.",
        ),
    ] = Precision.auto,
    bands: Bands = None,
    stretch: Stretch = None,
    recipe: Recipe = None,
    cache: TileCache = None,
    engine: Engine = EngineName.process,
    address: Address = None,
    workers: Workers = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done and how long it would take, and stop.")
    ] = False,
) -> None:
    """Embed the imagery of a region into an atlas, which then answers any prompt.

    The same command continues a run that was stopped.
    """
    require_extra("embed", "sat2cap embed")
    from sat2cap import api
    from sat2cap.cli import console

    api.check_engine(engine.value, address, workers)
    plan = api.plan_embedding(
        region,
        imagery,
        model,
        out,
        layer=layer,
        where=where or [],
        bands=bands,
        stretch=stretch,
        recipe=recipe,
        cache=cache,
        cell_m=cell,
        patch_m=patch,
        crs=crs,
        dtype=dtype.value,
        max_missing=max_missing,
        precision=precision.value,
    )
    chosen_engine = api.make_engine(engine.value, address, workers)
    console.print_facts(_describe_plan(plan), None if dry_run else sys.stderr)
    if plan.source.failure is not None:
        console.print_warning(f"the imagery of some cells could not be read: {plan.source.failure}")
    if dry_run:
        return
    with console.show_progress() as progress:
        atlas = plan.run(progress, chosen_engine)
    _print_result(atlas, plan.source.failure)


def _describe_plan(plan: "EmbeddingPlan | WideEmbeddingPlan") -> list[tuple[str, object]]:
    """Return labelled facts: what will be embedded, from what, and how much time and space it will take."""
    from sat2cap.embedding import RemainingWork, count_remaining_work, measure_throughput
    from sat2cap.formatting import format_bytes, format_duration

    source, checkpoint, first = plan.source, plan.checkpoint, plan.parts[0].spec
    plan.pending()  # says that another atlas is there before anything is measured
    pending = [(part.spec, part.pending()) for part in plan.parts]
    work = RemainingWork.total(count_remaining_work(*part) for part in pending)
    pixel_m, info = first.patch_m / first.patch_pixels, source.info
    coarse_note = ", coarser than the network sees" if info.gsd_m > 2 * pixel_m else ""
    time_text = "none, all cells are embedded"
    fullest = max(pending, key=lambda part: len(part[1]))
    if fullest[1]:
        throughput = measure_throughput(*fullest, source, checkpoint)
        network, imagery = throughput.embed_cells_per_s, throughput.read_cells_per_s
        rates = f"network {network:.3g} cells/s, imagery {imagery:.3g} cells/s"
        time_text = f"about {format_duration(throughput.seconds(work))} ({rates}, measured)"
    return [
        ("region", plan.region.label),
        *(("grid", _describe_grid(part)) for part in plan.parts),
        ("patches", f"{first.patch_m:g} m, {first.patch_pixels} px: {pixel_m:.3g} m a pixel"),
        ("cells to embed", f"{work.cells} of {sum(int(part.spec.wanted.sum()) for part in plan.parts)}"),
        ("imagery", f"{info.uri}, {info.gsd_m:.3g} m a pixel{coarse_note}; licence {info.licence}"),
        ("to read", f"{work.pixels / 1e6:.3g} million pixels of {pixel_m:.3g} m"),
        ("model", f"{checkpoint.card.get('name', 'unnamed')}, {checkpoint.dim} numbers a cell"),
        ("computing", plan.compute),
        ("time", time_text),
        ("size on disk", format_bytes(work.disk_bytes)),
    ]


def _describe_grid(part: "EmbeddingPlan") -> str:
    (height, width), grid = part.spec.grid.shape, part.spec.grid
    return f"{height} x {width} cells of {grid.affine.a:g} m in {grid.crs}"


def _print_result(atlas: "Atlas", failure: str | None) -> None:
    """Print how many cells have an embedding, and why the others have none; exit with status 1 if none has.

    `failure` is the first error of reading imagery, if there was one.
    """
    import numpy as np

    from sat2cap.atlas import STATUS_MEANINGS, CellStatus

    status = atlas.status[atlas.wanted]
    embedded = int((status == CellStatus.OK).sum())
    print(f"{atlas.name}: {embedded} of {len(status)} cells embedded")
    for code in np.unique(status[status != CellStatus.OK]):
        print(f"  {int((status == code).sum())} cells: {STATUS_MEANINGS[CellStatus(code)]}")
    if (status == CellStatus.IMAGERY_FAILED).any():
        if failure is not None:
            print(f"  the first failure: {failure}")
        print(f"  try the failed cells again with: sat2cap atlas repair {atlas.name}")
    if embedded == 0:
        raise typer.Exit(1)
