"""``sat2cap embed``."""

import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.manage.imagery import as_given, opened
from sat2cap.cli.manage.models import assumed_preprocess_warning
from sat2cap.cli.options import Bands, ImagerySource, Model, Recipe, Stretch, TileCache

if TYPE_CHECKING:
    from sat2cap.atlas import Atlas, AtlasSpec, Chunk
    from sat2cap.geo import Region
    from sat2cap.imagery import Imagery
    from sat2cap.model import Checkpoint, Compute


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
    out: Annotated[Path, typer.Option("-o", "--out", metavar="X.zarr", help="The atlas to write.")],
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
            help="Use only features of the region's file with this value; may be repeated.",
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
            help="CRS of the grid, such as EPSG:32631; by default the UTM zone of the region.",
        ),
    ] = None,
    max_missing: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Largest share of a patch that may have no imagery, from 0 to 1."),
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
    scale: Stretch = None,
    recipe: Recipe = None,
    cache: TileCache = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and stop.")] = False,
) -> None:
    """Embed the imagery of a region, once; the atlas then answers any prompt.

    The same command continues a run that was stopped.
    """
    from sat2cap.geo import PATCH_M, cell_grid, cell_mask

    how = as_given(imagery, bands, scale, recipe, region, layer, where)
    requested_region = _read_region(region, layer, where or [])
    # after the region is read: importing the networks takes seconds, and a wrong region should not
    from sat2cap.atlas import USER_SPEC_KEY, pending_chunks
    from sat2cap.cli import console
    from sat2cap.embedding import embed_atlas, plan_atlas
    from sat2cap.imagery import WatchedImagery
    from sat2cap.model import ASSUMED_PREPROCESS, choose_compute

    source = WatchedImagery(opened(imagery, bands, scale, recipe, cache, requested_region))
    covered_region = requested_region or _imagery_extent(source)
    grid = cell_grid(covered_region, next(side for side in (cell, patch, PATCH_M) if side is not None), crs)
    requested_precision = None if precision is Precision.auto else precision.value
    compute = choose_compute(requested_precision or _precision_of_begun_atlas(out))
    checkpoint = _resolve_named_model(model).to(compute.device)
    if ASSUMED_PREPROCESS in checkpoint.card:
        console.warn(assumed_preprocess_warning(model, checkpoint.card[ASSUMED_PREPROCESS]))
    spec = plan_atlas(
        grid,
        cell_mask(grid, covered_region),
        source,
        checkpoint,
        patch_m=patch,
        dtype=dtype.value,
        max_missing=max_missing,
        precision=compute.precision,
    )
    spec = replace(spec, imagery={**spec.imagery, USER_SPEC_KEY: how})
    pending = pending_chunks(out, spec)
    facts = _plan_facts(covered_region, spec, pending, source, checkpoint, compute)
    console.facts(facts, None if dry_run else sys.stderr)
    if source.failure is not None:
        console.warn(f"the imagery of some cells that were tried could not be read: {source.failure}")
    if dry_run:
        return
    with console.progress() as progress:
        atlas = embed_atlas(spec, source, checkpoint, out, progress=progress)
    _print_result(atlas, source.failure)


def _read_region(region: str | None, layer: str | None, where: list[str]) -> "Region | None":
    """Return the region of the command line; None if there is none."""
    from sat2cap.errors import RegionError
    from sat2cap.geo import parse_region

    if region is not None:
        return parse_region(region, layer=layer, where=where)
    if layer is not None or where:
        raise RegionError("--layer and --where choose from the file of a region; give that file as REGION")
    return None


def _precision_of_begun_atlas(out: Path) -> str | None:
    """Return the precision of the atlas at `out`, which it has to continue in; None if there is none."""
    from sat2cap.atlas import is_atlas, open_atlas

    return open_atlas(out).model.get("precision") if is_atlas(out) else None


def _imagery_extent(source: "Imagery") -> "Region":
    """Return all that the imagery covers. Raises `RegionError` if it has no extent of its own."""
    from sat2cap.errors import RegionError
    from sat2cap.geo import Region

    if source.footprint is None:
        raise RegionError(
            f"imagery {source.info.uri} has no extent of its own; give a REGION before --imagery"
        )
    side = source.footprint.area**0.5  # not its width, which is 360 degrees across the antimeridian
    # Straight edges in one CRS are curved in another. Shrunk slightly, or rounding would add a row of cells.
    inside = source.footprint.buffer(-side * 1e-5)
    outline = inside.to_crs("EPSG:4326", resolution=side / 256, wrapdateline=True)
    return Region(outline, source.info.uri)


def _resolve_named_model(model: str) -> "Checkpoint":
    """Return the model with its name in its card, so that it can be found again from the atlas."""
    from sat2cap.atlas import USER_SPEC_KEY
    from sat2cap.catalogue import resolve_model

    checkpoint = resolve_model(model)
    return replace(checkpoint, card={**checkpoint.card, USER_SPEC_KEY: model})


def _plan_facts(
    region: "Region",
    spec: "AtlasSpec",
    pending: "list[Chunk]",
    source: "Imagery",
    checkpoint: "Checkpoint",
    compute: "Compute",
) -> list[tuple[str, object]]:
    """Return labelled facts: what will be embedded, from what, and how much time and space it will take."""
    from sat2cap.cli import console
    from sat2cap.embedding import count_remaining_work, measure_throughput

    (height, width), cell_m = spec.grid.shape, spec.grid.affine.a
    pixel_m = spec.patch_m / spec.patch_pixels
    work, info = count_remaining_work(spec, pending), source.info
    coarse = ", coarser than the network sees" if info.gsd_m > 2 * pixel_m else ""
    time = "none, all is done"
    if pending:
        speed = measure_throughput(spec, pending, source, checkpoint)
        rates = f"network {speed.embed_cells_per_s:.3g} cells/s, imagery {speed.read_cells_per_s:.3g} cells/s"
        time = f"about {console.duration(speed.seconds(work.cells))} ({rates}, measured)"
    return [
        ("region", region.label),
        ("grid", f"{height} x {width} cells of {cell_m:g} m in {spec.grid.crs}"),
        ("patches", f"{spec.patch_m:g} m, {spec.patch_pixels} px: {pixel_m:.3g} m a pixel"),
        ("cells to embed", f"{work.cells} of {int(spec.wanted.sum())}"),
        ("imagery", f"{info.uri}, {info.gsd_m:.3g} m a pixel{coarse}; licence {info.licence}"),
        ("to read", f"{work.pixels / 1e6:.3g} million pixels of {pixel_m:.3g} m"),
        ("model", f"{checkpoint.card.get('name', 'unnamed')}, {checkpoint.dim} numbers a cell"),
        ("computing", compute),
        ("time", time),
        ("size on disk", console.size(work.disk_bytes)),
    ]


def _print_result(atlas: "Atlas", failure: str | None) -> None:
    """Print how many cells have an embedding, and why the others have none; exit with status 1 if none has.

    `failure` is the first error of reading imagery, if there was one.
    """
    import numpy as np

    from sat2cap.atlas import STATUS_MEANINGS, CellStatus

    status = atlas.status[atlas.wanted]
    embedded = int((status == CellStatus.OK).sum())
    print(f"{atlas.path}: {embedded} of {len(status)} cells embedded")
    for code in np.unique(status[status != CellStatus.OK]):
        print(f"  {int((status == code).sum())} cells: {STATUS_MEANINGS[CellStatus(code)]}")
    if (status == CellStatus.IMAGERY_FAILED).any():
        if failure is not None:
            print(f"  the first to fail: {failure}")
        print(f"  those that failed are tried again by: sat2cap atlas repair {atlas.path}")
    if embedded == 0:
        raise typer.Exit(1)
