"""Embedding a region: planned and checked first, then run.

`plan_embedding` settles everything that decides the atlas, so that its cost can be stated before any work:
``sat2cap.embed`` is a plan that is run at once, and ``sat2cap embed --dry-run`` one that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sat2cap.api.atlas import OpenAtlas
from sat2cap.api.embedding_plans import EmbeddingPlan, WideEmbeddingPlan
from sat2cap.api.engines import EngineName, check_engine, make_engine
from sat2cap.api.imagery import imagery_options, open_imagery, rendering_texts, reopen_imagery
from sat2cap.api.inputs import CrsLike, RegionLike, to_crs_text, to_region
from sat2cap.api.models import load_model
from sat2cap.api.open import open as open_for_prompts
from sat2cap.api.reporting import ProgressLike
from sat2cap.arguments import NumbersLike, check_number, check_path, check_sequence, check_text
from sat2cap.atlas import USER_SPEC_KEY, AtlasSpec, begun_model, check_place
from sat2cap.errors import InputError, RegionError
from sat2cap.extras import require_extra
from sat2cap.geo import (
    PATCH_M,
    Region,
    UtmZone,
    cell_grid,
    cell_mask,
    divide_long_edges,
    is_wider_than_utm,
    parse_region,
)
from sat2cap.imagery import FailureRecordingImagery, Imagery
from sat2cap.stores import Store, open_store

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from sat2cap.model import Checkpoint

Dtype = Literal["int8", "float16"]
PrecisionName = Literal["auto", "float32", "bfloat16", "int8"]

UTM = "utm"
"""What `crs` is for an atlas of every UTM zone that the region reaches into, however narrow it is."""


def plan_embedding(
    region: RegionLike,
    imagery: str | Path | Imagery,
    model: str | Path | Checkpoint,
    out: str | Path,
    *,
    layer: str | None = None,
    where: Sequence[str] = (),
    bands: NumbersLike | None = None,
    stretch: NumbersLike | None = None,
    recipe: str | None = None,
    cache: str | Path | None = None,
    cell_m: float | None = None,
    patch_m: float | None = None,
    crs: CrsLike = None,
    dtype: Dtype = "int8",
    max_missing: float = 0.5,
    precision: PrecisionName = "auto",
) -> EmbeddingPlan | WideEmbeddingPlan:
    """Return what `embed` with the same arguments would do, without doing it.

    `layer` and `where` (``FIELD=VALUE``) choose from a region's file; `bands`, `stretch`, `recipe` and
    `cache` are those of `open_imagery`. Raises as `embed` does.
    """
    _check_names(imagery, model, out)
    _check_settings(cell_m, patch_m, max_missing, dtype, precision)
    rendering = rendering_texts(bands, stretch, recipe)
    require_extra("embed", "embedding")
    store = open_store(out)
    check_place(store)
    place = _read_region(region, layer, where)
    # after the region is read: importing the networks takes seconds, and a wrong region should not
    from sat2cap.embedding import NUMBERS_VERSION
    from sat2cap.model import choose_compute

    if isinstance(imagery, str | Path):
        opened = open_imagery(imagery, **rendering, cache=cache, region=place)
    elif any(text is not None for text in rendering.values()) or cache is not None:
        raise InputError("bands, stretch, recipe and cache are for imagery by name: leave them out")
    else:
        opened = imagery
    source = FailureRecordingImagery(opened)
    covered = place or extent_of(source)
    grid, side = _choose_grid(covered, cell_m, patch_m, to_crs_text(crs))
    begun = begun_model(store)  # which goes on as it began
    compute = choose_compute(begun.get("precision") if precision == "auto" else precision)
    checkpoint = _resolve(model).to(compute.device)
    specs = _plan_parts(
        covered,
        grid,
        source,
        checkpoint,
        cell_m=side,
        patch_m=patch_m,
        dtype=dtype,
        max_missing=max_missing,
        precision=compute.precision,
        numbers_version=begun.get("numbers", 1) if begun else NUMBERS_VERSION,
    )
    is_named = isinstance(imagery, str | Path)
    name = str(imagery) if is_named else source.info.uri
    text = str(region) if isinstance(region, str | Path) else None
    options = imagery_options(name, **rendering, region=text, layer=layer, where=where)
    if is_named:
        record = {**source.info.as_dict(), USER_SPEC_KEY: options}
        source.reopen = partial(reopen_imagery, record, covered, cache=cache)
    return _bind_plans(specs, store, options, partial(EmbeddingPlan, covered, source, checkpoint, compute))


def _check_names(imagery: object, model: object, out: object) -> None:
    """Raise `InputError`, which names the argument, for values of types that nothing here can take."""
    check_path(imagery, "imagery", "a name of imagery, or opened imagery", opened="footprint")
    check_path(model, "model", "a name or path, or a model that was loaded", opened="embed_overhead")
    check_path(out, "out", "a folder or an address in a bucket")


def _check_settings(
    cell_m: object, patch_m: object, max_missing: object, dtype: object, precision: object
) -> None:
    """Raise `InputError`, which names the argument, for settings that are no number or no text."""
    for argument, metres in (("cell_m", cell_m), ("patch_m", patch_m)):
        if metres is not None:
            check_number(metres, argument)
    check_number(max_missing, "max_missing")
    check_text(dtype, "dtype", "int8")
    check_text(precision, "precision", "auto")


def _choose_grid(
    region: Region, cell_m: float | None, patch_m: float | None, crs: str | None
) -> tuple[GeoBox | None, float]:
    """Return the grid of cells, None for one of each UTM zone, and the side of a cell in metres.

    Raises `RegionError` for a size or CRS that cannot be used.
    """
    side = next(side for side in (cell_m, patch_m, PATCH_M) if side is not None)
    is_wide = is_wider_than_utm(region) if crs is None else crs.strip().lower() == UTM
    return None if is_wide else cell_grid(region, side, crs), side


def _bind_plans(
    specs: AtlasSpec | dict[UtmZone, AtlasSpec],
    store: Store,
    options: Mapping[str, Any],
    make_plan: Callable[[AtlasSpec, Store], EmbeddingPlan],
) -> EmbeddingPlan | WideEmbeddingPlan:
    """Return the plan of one atlas in `store`, or of several zones in folders of it.

    `options`, by which the same imagery is opened again, become part of each atlas's record.
    """

    def plan_part(spec: AtlasSpec, out: Store) -> EmbeddingPlan:
        return make_plan(replace(spec, imagery={**spec.imagery, USER_SPEC_KEY: options}), out)

    if isinstance(specs, AtlasSpec):
        return plan_part(specs, store)
    parts = {zone: plan_part(spec, store.child(zone.name)) for zone, spec in specs.items()}
    return WideEmbeddingPlan(parts, store)


def _plan_parts(
    region: Region, grid: GeoBox | None, source: Imagery, checkpoint: Checkpoint, *, cell_m: float,
    patch_m: float | None, **settings: Any,
) -> AtlasSpec | dict[UtmZone, AtlasSpec]:  # fmt: skip
    """Return the plan of an atlas on a grid; without a grid, that of the part in each UTM zone.

    Raises as `plan_atlas` does.
    """
    from sat2cap.embedding import plan_atlas, plan_wide_atlas

    if grid is not None:
        wanted = cell_mask(grid, region)
        return plan_atlas(grid, wanted, source, checkpoint, patch_m=patch_m, **settings)
    side = max(PATCH_M, cell_m) if patch_m is None else float(patch_m)
    return plan_wide_atlas(region, cell_m, source, checkpoint, side, **settings)


def embed(
    region: RegionLike,
    imagery: str | Path | Imagery,
    model: str | Path | Checkpoint,
    out: str | Path,
    *,
    cell_m: float | None = None,
    patch_m: float | None = None,
    crs: CrsLike = None,
    bands: NumbersLike | None = None,
    stretch: NumbersLike | None = None,
    recipe: str | None = None,
    cache: str | Path | None = None,
    dtype: Dtype = "int8",
    max_missing: float = 0.5,
    precision: PrecisionName = "auto",
    engine: EngineName = "process",
    address: str | None = None,
    workers: int | None = None,
    progress: ProgressLike = None,
) -> OpenAtlas:
    """Embed a region's imagery into the atlas `out`, and return it opened.

    ``sat2cap.embed("4.85,52.35,4.95,52.40", "pdok-ortho-25cm", "MVRL/Sat2Cap", "centre.zarr")``

    `out` is a folder, or an address such as ``s3://bucket/centre.zarr`` (docs/stores.md).

    `region` is None for all of the imagery. `imagery` is named as in `open_imagery`, with the same `bands`,
    `stretch`, `recipe` and `cache`. `cell_m` and `patch_m` are the sides, in metres, of a cell and of the
    ground that the network sees for it; both are 480 if left out, and one follows the other. `crs` is the
    grid's, the region's UTM zone if left out; a region too wide for one, or any with ``utm``, becomes one
    atlas of several zones. `max_missing` is the largest share of a patch, 0 to 1, that may
    have no imagery. `precision` ``auto`` takes the fastest of this machine, or that of an atlas that is being
    continued. `engine` ``ray`` computes on the Ray cluster whose head is at `address`, or in `workers`
    processes of this machine, with the same bytes (docs/scale.md). Cells that could not be embedded have a
    status with the reason, never zeros. The same call continues a stopped one. Raises `RegionError`,
    `ImageryError`, `ModelError`, `AtlasError` (the atlas there was made from something else), `JobError`,
    `StoreError` (a bucket refuses or fails).
    """
    check_engine(engine, address, workers)
    plan = plan_embedding(
        region,
        imagery,
        model,
        out,
        bands=bands,
        stretch=stretch,
        recipe=recipe,
        cache=cache,
        cell_m=cell_m,
        patch_m=patch_m,
        crs=crs,
        dtype=dtype,
        max_missing=max_missing,
        precision=precision,
    )
    plan.run(progress, make_engine(engine, address, workers))
    return open_for_prompts(out, None if isinstance(model, str | Path) else model)


def extent_of(imagery: Imagery) -> Region:
    """Return the area that the imagery covers, in degrees, for a call without a region.

    The outline is drawn in by a hundred-thousandth of its size, because its straight edges bend in another
    CRS. Raises `RegionError` for imagery without an extent of its own, such as a tile service.
    """
    if imagery.footprint is None:
        raise RegionError(
            f"imagery {imagery.info.uri} has no extent of its own; give a REGION, "
            "on the command line before --imagery"
        )
    side = imagery.footprint.area**0.5  # not its width, which is all around the Earth at the antimeridian
    # Straight edges of one CRS bend in another; a hair inside, or rounding adds a row of cells in vain.
    inside = divide_long_edges(imagery.footprint.buffer(-side * 1e-5), side / 256)
    return Region(inside.to_crs("EPSG:4326", wrapdateline=True), imagery.info.uri)


def _read_region(region: RegionLike, layer: str | None, where: Sequence[str]) -> Region | None:
    check_sequence(where, "where", "a list such as ['name=Utrecht']")
    for condition in where:
        check_text(condition, "a condition of where", "name=Utrecht")
    if layer is not None:
        check_text(layer, "layer", "land")
    if isinstance(region, str | Path):
        return parse_region(str(region), layer=layer, where=where)
    if layer is not None or where:
        raise RegionError("--layer and --where choose from the file of a region; give that file as REGION")
    return to_region(region)


def _resolve(model: str | Path | Checkpoint) -> Checkpoint:
    """Return the model, remembering what it was called so that the atlas can find it again."""
    if not isinstance(model, str | Path):
        return model
    checkpoint = load_model(model)
    return replace(checkpoint, card={**checkpoint.card, USER_SPEC_KEY: str(model)})
