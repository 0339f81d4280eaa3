"""The plan of an atlas: cells, imagery, model and settings, checked before any work."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.atlas import AtlasSpec
from sat2cap.embedding.fixed_batches import NUMBERS_VERSION
from sat2cap.embedding.machine import describe_machine
from sat2cap.embedding.patches import is_surely_outside
from sat2cap.errors import ImageryError, RegionError
from sat2cap.files import digest
from sat2cap.geo import LONLAT, PATCH_M, PatchGrid, lonlat_bounds
from sat2cap.imagery import Imagery
from sat2cap.model import Checkpoint, Precision


def plan_atlas(
    grid: GeoBox,
    wanted: NDArray[np.bool_],
    imagery: Imagery,
    checkpoint: Checkpoint,
    *,
    patch_m: float | None = None,
    dtype: Literal["int8", "float16"] = "int8",
    max_missing: float = 0.5,
    precision: Precision = "float32",
    numbers_version: int = NUMBERS_VERSION,
) -> AtlasSpec:
    """Return the plan of an atlas of the `wanted` cells (bool `[y, x]`) of `grid`.

    A cell is given the embedding of a square patch around its centre, `patch_m` metres wide; None takes the
    480 m of the paper, or the side of the cell if that is more. `dtype` is how embeddings are stored.
    `max_missing`, in [0, 1), is the largest share of a patch that the imagery may lack. `precision` is what
    the network computes in. `numbers_version` is `NUMBERS_VERSION`, or that of an atlas begun earlier. Raises
    `RegionError` or `ImageryError` if nothing can be embedded.
    """
    cell_m = abs(grid.affine.a)
    patch_m = max(PATCH_M, cell_m) if patch_m is None else float(patch_m)
    _check_request(grid, wanted, patch_m, max_missing)
    patch_grid = PatchGrid(grid, patch_m, checkpoint.patch_pixels)
    whole_box = patch_grid.pixel_box(slice(0, grid.shape[0]), slice(0, grid.shape[1]))
    if imagery.footprint is not None and is_surely_outside(imagery, whole_box):
        bounds = lonlat_bounds(imagery.footprint.to_crs(LONLAT, wrapdateline=True))
        bbox = ",".join(f"{edge:.4f}" for edge in bounds)
        raise ImageryError(f"{imagery.info.uri} lies outside the region; choose one within {bbox}")
    numbers = [f"numbers {numbers_version}"] if numbers_version > 1 else []  # 1 had no number yet
    model = {
        "card": checkpoint.card,
        # holds whatever changes the embeddings, so that no run continues with other settings
        "identity": digest(checkpoint.place_identity, precision, repr(float(max_missing)), *numbers),
        "place_identity": checkpoint.place_identity,
        "source": str(checkpoint.card.get("source", "")),
        "precision": precision,
        "max_missing": float(max_missing),
        "numbers": numbers_version,
        "computing": describe_machine(checkpoint),
    }
    return AtlasSpec(
        grid=grid,
        wanted=wanted,
        dim=checkpoint.dim,
        dtype=dtype,
        model=model,
        imagery=imagery.info.as_dict(),
        patch_m=patch_m,
        patch_pixels=checkpoint.patch_pixels,
    )


def patch_grid_of(spec: AtlasSpec) -> PatchGrid:
    """Return the grid of patches under the cells of an atlas."""
    return PatchGrid(spec.grid, spec.patch_m, spec.patch_pixels)


def _check_request(grid: GeoBox, wanted: NDArray[np.bool_], patch_m: float, max_missing: float) -> None:
    """Raise `RegionError` or `ImageryError` for values that no atlas can be made with."""
    if wanted.shape != tuple(grid.shape):
        raise RegionError(f"wanted cells are {wanted.shape}, the grid {tuple(grid.shape)}; make them equal")
    if not wanted.any():
        raise RegionError("the region has no cells; take a larger one or smaller cells")
    if not (np.isfinite(patch_m) and patch_m > 0):
        raise RegionError(f"patch size {patch_m:g} m must be more than 0; the paper's patches cover 480")
    if not 0 <= max_missing < 1:
        raise ImageryError(f"max_missing {max_missing} must be in [0, 1); use 0.5")
