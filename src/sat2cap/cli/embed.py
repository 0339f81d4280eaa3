"""``sat2cap embed``."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.options import ImagerySource, Model

if TYPE_CHECKING:
    from sat2cap.atlas.store import Atlas
    from sat2cap.geo.region import Region
    from sat2cap.model.checkpoint import Checkpoint
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
            "or a GeoJSON or GeoPackage file; all of the imagery if left out.",
        ),
    ] = None,
    cell: Annotated[float, typer.Option(metavar="METRES", help="Side of a cell.")] = 480.0,
    crs: Annotated[
        str | None,
        typer.Option(
            metavar="CODE", help="Of the grid, such as EPSG:32631; the region's UTM zone if left out."
        ),
    ] = None,
    max_missing: Annotated[
        float, typer.Option(metavar="SHARE", help="Of a cell, that the imagery may lack.")
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Embed a region's imagery, once.

    The atlas then answers any prompt. The same command goes on where a stopped run was.
    """
    from sat2cap.geo.grid import cell_grid, cell_mask
    from sat2cap.geo.region import parse_region

    given = None if region is None else parse_region(region)
    # The networks take seconds to import, a region that cannot be read should not.
    from sat2cap.catalogue import open_imagery
    from sat2cap.cli import show
    from sat2cap.embed.job import embed_region
    from sat2cap.model.compute import choose_compute

    source = open_imagery(imagery)
    where = given or _extent(source)
    grid = cell_grid(where, cell, crs)
    wanted = cell_mask(grid, where)
    asked = None if precision is Precision.auto else precision.value
    compute = choose_compute(asked or _begun_in(out))
    checkpoint = _named(model).to(compute.device)
    if dry_run:
        _say_plan(where, source, checkpoint, grid.shape, str(grid.crs), int(wanted.sum()), cell, dtype)
        return
    with show.progress(begins=f"computing in {compute}") as progress:
        atlas = embed_region(
            grid,
            wanted,
            source,
            checkpoint,
            out,
            dtype=dtype.value,
            max_missing=max_missing,
            precision=compute.precision,
            progress=progress,
        )
    _say_result(atlas)


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


def _say_plan(
    where: "Region",
    source: "Imagery",
    checkpoint: "Checkpoint",
    shape: tuple[int, int],
    crs: str,
    cells: int,
    cell: float,
    dtype: Dtype,
) -> None:
    from sat2cap.cli import show

    size = cells * checkpoint.dim * (1 if dtype is Dtype.int8 else 2) / 1e6
    show.facts(
        [
            ("region", where.label),
            ("grid", f"{shape[0]} x {shape[1]} cells of {cell:g} m in {crs}"),
            ("cells to embed", cells),
            ("imagery", f"{source.info.uri}, {source.info.gsd_m:g} m a pixel"),
            (
                "read at",
                f"{cell / checkpoint.patch_pixels:.3g} m a pixel, {checkpoint.patch_pixels} px a cell",
            ),
            ("model", f"{checkpoint.card.get('name', 'unnamed')}, {checkpoint.dim} numbers a cell"),
            ("size on disk", f"about {size:.3g} MB"),
        ]
    )


def _say_result(atlas: "Atlas") -> None:
    import numpy as np

    from sat2cap.atlas.store import STATUS_MEANINGS, CellStatus

    status = atlas.status[atlas.wanted]
    print(f"{atlas.path}: {int((status == CellStatus.OK).sum())} of {len(status)} cells embedded")
    for code in np.unique(status[status != CellStatus.OK]):
        print(f"  {int((status == code).sum())} cells: {STATUS_MEANINGS[CellStatus(code)]}")
