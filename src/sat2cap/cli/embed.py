"""``sat2cap embed``."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.imagery import opened
from sat2cap.cli.options import Bands, ImagerySource, Model, Recipe, Stretch, TileCache

if TYPE_CHECKING:
    from sat2cap.atlas.store import Atlas, AtlasSpec, Chunk
    from sat2cap.geo.region import Region
    from sat2cap.model.checkpoint import Checkpoint
    from sat2cap.model.compute import Compute
    from sat2cap.sources.imagery import Imagery


class Dtype(StrEnum):
    """How embeddings are stored."""

    int8 = "int8"
    float16 = "float16"


class Precision(StrEnum):
    """How the network computes."""

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
        str | None, typer.Option(metavar="NAME", help="Of the region's file, if it has several.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=VALUE", help="Features of the region's file to take; may be repeated."),
    ] = None,
    cell: Annotated[
        float | None,
        typer.Option(
            metavar="METRES",
            help="Side of a cell; the patch's if left out. If smaller, patches overlap in a finer map.",
        ),
    ] = None,
    patch: Annotated[
        float | None,
        typer.Option(
            metavar="METRES",
            help="Side of the ground seen for a cell; 480 if left out, or the cell's if more.",
        ),
    ] = None,
    crs: Annotated[
        str | None,
        typer.Option(
            metavar="CODE", help="Of the grid, such as EPSG:32631; the region's UTM zone if left out."
        ),
    ] = None,
    max_missing: Annotated[
        float, typer.Option(metavar="SHARE", help="Of a patch, that the imagery may lack.")
    ] = 0.5,
    dtype: Annotated[
        Dtype, typer.Option(metavar="int8|float16", help="How embeddings are stored.")
    ] = Dtype.int8,
    precision: Annotated[
        Precision,
        typer.Option(
            metavar="auto|float32|bfloat16|int8",
            help="How the network computes; auto takes bfloat16 where the machine is quick at it.",
        ),
    ] = Precision.auto,
    bands: Bands = None,
    scale: Stretch = None,
    recipe: Recipe = None,
    cache: TileCache = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Embed a region's imagery, once.

    The atlas then answers any prompt. The same command goes on where a stopped run was.
    """
    from sat2cap.geo.grid import PATCH_M, cell_grid, cell_mask

    given = _given(region, layer, where or [])
    # The networks take seconds to import, a region that cannot be read should not.
    from sat2cap.atlas.store import still_pending
    from sat2cap.cli import show
    from sat2cap.embed import embed_atlas, plan_atlas
    from sat2cap.model.compute import choose_compute

    source = opened(imagery, bands, scale, recipe, cache, given)
    place = given or _extent(source)
    grid = cell_grid(place, next(side for side in (cell, patch, PATCH_M) if side is not None), crs)
    asked = None if precision is Precision.auto else precision.value
    compute = choose_compute(asked or _begun_in(out))
    checkpoint = _named(model).to(compute.device)
    spec = plan_atlas(
        grid,
        cell_mask(grid, place),
        source,
        checkpoint,
        patch_m=patch,
        dtype=dtype.value,
        max_missing=max_missing,
        precision=compute.precision,
    )
    pending = still_pending(out, spec)
    plan = _plan(place, spec, pending, source, checkpoint, compute)
    if dry_run:
        show.facts(plan)
        return
    show.facts(plan, sys.stderr)
    with show.progress() as progress:
        atlas = embed_atlas(spec, source, checkpoint, out, progress=progress)
    _say_result(atlas)


def _given(region: str | None, layer: str | None, where: list[str]) -> "Region | None":
    """The region, if one was given."""
    from sat2cap.errors import RegionError
    from sat2cap.geo.region import parse_region

    if region is not None:
        return parse_region(region, layer=layer, where=where)
    if layer is not None or where:
        raise RegionError("--layer and --where choose from a region's file; give the file as REGION")
    return None


def _begun_in(out: Path) -> str | None:
    """The precision of the atlas that is there already, so that it goes on as it began."""
    from sat2cap.atlas.store import open_atlas

    if not (out / "zarr.json").is_file():
        return None
    return open_atlas(out).model.get("precision")


def _extent(source: "Imagery") -> "Region":
    """All that the imagery covers."""
    from sat2cap.errors import RegionError
    from sat2cap.geo.region import Region

    if source.footprint is None:
        raise RegionError(
            f"imagery {source.info.uri} has no extent of its own; give a REGION before --imagery"
        )
    box = source.footprint.boundingbox
    side = max(box.span_x, box.span_y)
    # Straight edges of one CRS bend in another; a hair inside, or rounding adds a row of cells in vain.
    inside = source.footprint.buffer(-side * 1e-5)
    outline = inside.to_crs("EPSG:4326", resolution=side / 256, wrapdateline=True)
    return Region(outline, source.info.uri)


def _named(model: str) -> "Checkpoint":
    """The model, remembering what it was called, so that the atlas can find it again."""
    from dataclasses import replace

    from sat2cap.api import GIVEN
    from sat2cap.catalogue import resolve_model

    checkpoint = resolve_model(model)
    return replace(checkpoint, card={**checkpoint.card, GIVEN: model})


def _plan(
    place: "Region",
    spec: "AtlasSpec",
    pending: "list[Chunk]",
    source: "Imagery",
    checkpoint: "Checkpoint",
    compute: "Compute",
) -> list[tuple[str, object]]:
    """What will be done, and what it will cost."""
    from sat2cap.cli import show
    from sat2cap.embed.estimate import cost, measure

    (height, width), cell_m = spec.grid.shape, spec.grid.affine.a
    pixel_m = spec.patch_m / spec.patch_pixels
    todo, info = cost(spec, pending), source.info
    coarse = ", coarser than the network sees" if info.gsd_m > 2 * pixel_m else ""
    time = "none, all is done"
    if pending:
        rates = measure(spec, pending, source, checkpoint)
        measured = f"network {rates.embed:.3g} cells/s, imagery {rates.read:.3g} cells/s"
        seconds = show.duration(rates.seconds(todo.cells))
        time = f"about {seconds} ({measured}, measured)"
    return [
        ("region", place.label),
        ("grid", f"{height} x {width} cells of {cell_m:g} m in {spec.grid.crs}"),
        ("patches", f"{spec.patch_m:g} m, {spec.patch_pixels} px: {pixel_m:.3g} m a pixel"),
        ("cells to embed", f"{todo.cells} of {int(spec.wanted.sum())}"),
        ("imagery", f"{info.uri}, {info.gsd_m:.3g} m a pixel{coarse}; licence {info.licence}"),
        ("to read", f"{todo.pixels / 1e6:.3g} million pixels of {pixel_m:.3g} m"),
        ("model", f"{checkpoint.card.get('name', 'unnamed')}, {checkpoint.dim} numbers a cell"),
        ("computing", compute),
        ("time", time),
        ("size on disk", show.size(todo.disk_bytes)),
    ]


def _say_result(atlas: "Atlas") -> None:
    import numpy as np

    from sat2cap.atlas.store import STATUS_MEANINGS, CellStatus

    status = atlas.status[atlas.wanted]
    print(f"{atlas.path}: {int((status == CellStatus.OK).sum())} of {len(status)} cells embedded")
    for code in np.unique(status[status != CellStatus.OK]):
        print(f"  {int((status == code).sum())} cells: {STATUS_MEANINGS[CellStatus(code)]}")
    if (status == CellStatus.IMAGERY_FAILED).any():
        print(f"  those that failed are tried again by: sat2cap atlas repair {atlas.path}")
