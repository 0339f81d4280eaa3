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
    from sat2cap.geo import PATCH_M, cell_grid, cell_mask

    how = as_given(imagery, bands, scale, recipe, region, layer, where)
    given = _given(region, layer, where or [])
    # The networks take seconds to import, a region that cannot be read should not.
    from sat2cap.atlas import USER_SPEC_KEY, pending_chunks
    from sat2cap.cli import console
    from sat2cap.embedding import embed_atlas, plan_atlas
    from sat2cap.imagery import WatchedImagery
    from sat2cap.model import ASSUMED_PREPROCESS, choose_compute

    source = WatchedImagery(opened(imagery, bands, scale, recipe, cache, given))
    place = given or _extent(source)
    grid = cell_grid(place, next(side for side in (cell, patch, PATCH_M) if side is not None), crs)
    asked = None if precision is Precision.auto else precision.value
    compute = choose_compute(asked or _begun_in(out))
    checkpoint = _named(model).to(compute.device)
    if ASSUMED_PREPROCESS in checkpoint.card:
        console.warn(assumed_preprocess_warning(model, checkpoint.card[ASSUMED_PREPROCESS]))
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
    spec = replace(spec, imagery={**spec.imagery, USER_SPEC_KEY: how})
    pending = pending_chunks(out, spec)
    console.facts(_plan(place, spec, pending, source, checkpoint, compute), None if dry_run else sys.stderr)
    if source.failure is not None:
        console.warn(f"some cells were tried, and their imagery could not be read: {source.failure}")
    if dry_run:
        return
    with console.progress() as progress:
        atlas = embed_atlas(spec, source, checkpoint, out, progress=progress)
    _say_result(atlas, source.failure)


def _given(region: str | None, layer: str | None, where: list[str]) -> "Region | None":
    """The region, if one was given."""
    from sat2cap.errors import RegionError
    from sat2cap.geo import parse_region

    if region is not None:
        return parse_region(region, layer=layer, where=where)
    if layer is not None or where:
        raise RegionError("--layer and --where choose from a region's file; give the file as REGION")
    return None


def _begun_in(out: Path) -> str | None:
    """The precision of the atlas that is there already, so that it goes on as it began."""
    from sat2cap.atlas import is_atlas, open_atlas

    return open_atlas(out).model.get("precision") if is_atlas(out) else None


def _extent(source: "Imagery") -> "Region":
    """All that the imagery covers."""
    from sat2cap.errors import RegionError
    from sat2cap.geo import Region

    if source.footprint is None:
        raise RegionError(
            f"imagery {source.info.uri} has no extent of its own; give a REGION before --imagery"
        )
    side = source.footprint.area**0.5  # not its width, which is all around the Earth at the antimeridian
    # Straight edges of one CRS bend in another; a hair inside, or rounding adds a row of cells in vain.
    inside = source.footprint.buffer(-side * 1e-5)
    outline = inside.to_crs("EPSG:4326", resolution=side / 256, wrapdateline=True)
    return Region(outline, source.info.uri)


def _named(model: str) -> "Checkpoint":
    """The model, remembering what it was called, so that the atlas can find it again."""
    from sat2cap.atlas import USER_SPEC_KEY
    from sat2cap.catalogue import resolve_model

    checkpoint = resolve_model(model)
    return replace(checkpoint, card={**checkpoint.card, USER_SPEC_KEY: model})


def _plan(
    place: "Region",
    spec: "AtlasSpec",
    pending: "list[Chunk]",
    source: "Imagery",
    checkpoint: "Checkpoint",
    compute: "Compute",
) -> list[tuple[str, object]]:
    """What will be done, and what it will cost."""
    from sat2cap.cli import console
    from sat2cap.embedding import cost, measure

    (height, width), cell_m = spec.grid.shape, spec.grid.affine.a
    pixel_m = spec.patch_m / spec.patch_pixels
    todo, info = cost(spec, pending), source.info
    coarse = ", coarser than the network sees" if info.gsd_m > 2 * pixel_m else ""
    time = "none, all is done"
    if pending:
        rates = measure(spec, pending, source, checkpoint)
        measured = f"network {rates.embed:.3g} cells/s, imagery {rates.read:.3g} cells/s"
        seconds = console.duration(rates.seconds(todo.cells))
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
        ("size on disk", console.size(todo.disk_bytes)),
    ]


def _say_result(atlas: "Atlas", failure: str | None) -> None:
    """How the cells fared, and why reading first failed if it did. Exit status 1 if none has an embedding."""
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
