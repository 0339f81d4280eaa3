"""The long jobs as calls: building pairs, training, embedding a region. Each goes on where a stopped run
was."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sat2cap.api.atlas import OpenAtlas
from sat2cap.api.atlas import open as open_for_prompts
from sat2cap.api.inputs import ProgressLike, RegionLike, listening, to_region
from sat2cap.atlas import USER_SPEC_KEY, is_atlas, open_atlas
from sat2cap.catalogue import open_imagery, open_photos, photo_files, resolve_model
from sat2cap.errors import InputError, RegionError
from sat2cap.geo import PATCH_M, Region, cell_grid, cell_mask
from sat2cap.imagery import Imagery
from sat2cap.pairs import PairSet, PatchSpec, Rules, SplitPlan
from sat2cap.pairs import build_pairs as build_pair_set

if TYPE_CHECKING:
    from sat2cap.model import Checkpoint


def load_model(model: str | Path, text: str | Path | None = None) -> "Checkpoint":
    """Return a model: a folder, a ``.ckpt``, ``owner/name[@revision]`` on the Hugging Face hub, or
    ``miniclip``.

    `text` is the CLIP model whose text tower to add, for a model that has none. Raises `ModelError`.

    >>> load_model("miniclip").dim
    128
    """
    return resolve_model(model, None if text is None else str(text))


def embed(
    region: RegionLike,
    imagery: "str | Imagery",
    model: "str | Path | Checkpoint",
    out: str | Path,
    *,
    cell_m: float | None = None,
    patch_m: float | None = None,
    crs: str | None = None,
    dtype: Literal["int8", "float16"] = "int8",
    max_missing: float = 0.5,
    precision: Literal["float32", "bfloat16", "int8"] | None = None,
    progress: ProgressLike = None,
) -> OpenAtlas:
    """Embed a region's imagery into the atlas `out`, and return it opened.

    ``sat2cap.embed("4.85,52.35,4.95,52.40", "pdok-ortho-25cm", "MVRL/Sat2Cap", "centre.zarr")``

    `region` is None for all of the imagery. `cell_m` and `patch_m` are the sides, in metres, of a cell and of
    the ground that the network sees for it; both are 480 if left out, and one follows the other. `crs` is the
    grid's, the region's UTM zone if left out. `max_missing` is the largest share of a patch, 0 to 1, that may
    have no imagery. `precision` None takes the fastest of this machine, or that of an atlas that is being
    continued. Cells that could not be embedded have a status with the reason, never zeros. Raises
    `RegionError`, `ImageryError`, `ModelError`, `AtlasError` (the atlas there was made from something else),
    `JobError`.
    """
    from sat2cap.embedding import embed_atlas, plan_atlas
    from sat2cap.model import choose_compute

    place = to_region(region)
    spec_text = imagery if isinstance(imagery, str) else imagery.info.uri
    source = _open_source(imagery, place)
    place = place or extent_of(source)
    begun = open_atlas(out).model.get("precision") if precision is None and is_atlas(Path(out)) else None
    compute = choose_compute(precision or begun)
    checkpoint = (resolve_model(model) if isinstance(model, str | Path) else model).to(compute.device)
    if isinstance(model, str | Path):
        checkpoint = replace(checkpoint, card={**checkpoint.card, USER_SPEC_KEY: str(model)})
    grid = cell_grid(place, next(side for side in (cell_m, patch_m, PATCH_M) if side is not None), crs)
    spec = plan_atlas(
        grid,
        cell_mask(grid, place),
        source,
        checkpoint,
        patch_m=patch_m,
        dtype=dtype,
        max_missing=max_missing,
        precision=compute.precision,
    )
    given: dict[str, Any] = {"imagery": spec_text, "where": []}
    if isinstance(region, str | Path):
        given["region"] = str(region)
    spec = replace(spec, imagery={**spec.imagery, USER_SPEC_KEY: given})
    with listening(progress) as report:
        embed_atlas(spec, source, checkpoint, Path(out), progress=report)
    return open_for_prompts(out, None if isinstance(model, str | Path) else model)


def extent_of(imagery: Imagery) -> Region:
    """Return all that the imagery covers. Raises `RegionError` for imagery without an extent of its own."""
    if imagery.footprint is None:
        raise RegionError(f"imagery {imagery.info.uri} has no extent of its own; give a region")
    side = imagery.footprint.area**0.5  # not its width, which is all around the Earth at the antimeridian
    # Straight edges of one CRS bend in another; a hair inside, or rounding adds a row of cells in vain.
    inside = imagery.footprint.buffer(-side * 1e-5)
    return Region(inside.to_crs("EPSG:4326", resolution=side / 256, wrapdateline=True), imagery.info.uri)


def build_pairs(
    photos: str,
    imagery: "str | Imagery",
    out: str | Path,
    *,
    count: int | None = None,
    files: str | None = None,
    patch_m: float = 480.0,
    patch_pixels: int = 800,
    rules: Rules | None = None,
    split: SplitPlan | Literal["spatial", "random", "user"] = "spatial",
    seed: int = 0,
    per_shard: int = 1000,
    workers: int = 1,
    progress: ProgressLike = None,
) -> PairSet:
    """Build pairs of ground photos and overhead patches into the folder `out`, and return them.

    `photos`: a folder with EXIF, ``yfcc:FILE``, ``table:FILE``, ``shards:FOLDER`` or ``miniworld:SEED`` (the
    first `count` of its photos); `files` says where the images of a list are. `patch_m` and `patch_pixels`
    are the side of an overhead patch. `rules` decide which photos are used. Raises `InputError`,
    `ImageryError`, `PairsError`, `JobError`. A script must call this under ``if __name__ == "__main__":``
    when `workers` > 1.
    """
    source = open_photos(photos, count, files=photo_files(files))
    with listening(progress) as report:
        return build_pair_set(
            source,
            _open_source(imagery, None),
            Path(out),
            patch=PatchSpec(size_m=patch_m, pixels=patch_pixels),
            rules=rules or Rules(),
            split=split,
            seed=seed,
            per_shard=per_shard,
            workers=workers,
            progress=report,
        )


def train(run: str | Path, *, progress: ProgressLike = None) -> Path:
    """Train a model as the run file `run` says, and return the folder of its checkpoint.

    Run files that ship lie in ``runs/``; docs/train.md explains them. Raises `RunFileError` with all problems
    of the file, `PairsError`, `ModelError`, `JobError`.
    """
    from sat2cap.training import load_run
    from sat2cap.training import train as run_training

    if not isinstance(run, str | Path):
        raise InputError(f"run is a {type(run).__name__}; give the path of a run file, see docs/train.md")
    loaded = load_run(Path(run))
    with listening(progress) as report:
        return run_training(loaded, resolve=resolve_model, progress=report)


def _open_source(imagery: "str | Imagery", region: Region | None) -> Imagery:
    """Return imagery by name, or as it is."""
    if not isinstance(imagery, str):
        return imagery
    return open_imagery(imagery, region=None if region is None else region.geometry)
