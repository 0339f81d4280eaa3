"""What is to be embedded, from what and how: settled and checked before any work."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.atlas import AtlasSpec
from sat2cap.embedding.patches import surely_outside
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
) -> AtlasSpec:
    """The atlas of the `wanted` cells (bool `[y, x]`) of `grid`.

    A cell is given the embedding of a patch of `patch_m` metres around its centre; None for the paper's 480,
    or the cell's side where that is more. Raises `RegionError` or `ImageryError` if nothing can be embedded.
    """
    cell_m = abs(grid.affine.a)
    patch_m = max(PATCH_M, cell_m) if patch_m is None else float(patch_m)
    _check(grid, wanted, patch_m, max_missing)
    patches = PatchGrid(grid, patch_m, checkpoint.patch_pixels)
    whole = patches.box(slice(0, grid.shape[0]), slice(0, grid.shape[1]))
    if imagery.footprint is not None and surely_outside(imagery, whole):
        edges = lonlat_bounds(imagery.footprint.to_crs(LONLAT, wrapdateline=True))
        where = ",".join(f"{edge:.4f}" for edge in edges)
        raise ImageryError(f"{imagery.info.uri} lies outside the region; choose one within {where}")
    model = {
        "card": checkpoint.card,
        # whatever decides the numbers is in the identity, so that no run goes on with other settings
        "identity": digest(checkpoint.place_identity, precision, repr(float(max_missing))),
        "place_identity": checkpoint.place_identity,
        "source": str(checkpoint.card.get("source", "")),
        "precision": precision,
        "max_missing": float(max_missing),
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


def patches_of(spec: AtlasSpec) -> PatchGrid:
    """The imagery under its cells."""
    return PatchGrid(spec.grid, spec.patch_m, spec.patch_pixels)


def _check(grid: GeoBox, wanted: NDArray[np.bool_], patch_m: float, max_missing: float) -> None:
    if wanted.shape != tuple(grid.shape):
        raise RegionError(f"wanted cells are {wanted.shape}, the grid {tuple(grid.shape)}; make them equal")
    if not wanted.any():
        raise RegionError("the region has no cells; take a larger one or smaller cells")
    if not (np.isfinite(patch_m) and patch_m > 0):
        raise RegionError(f"patch size {patch_m:g} m must be more than 0; the paper's patches cover 480")
    if not 0 <= max_missing < 1:
        raise ImageryError(f"max_missing {max_missing} must be in [0, 1); use 0.5")
