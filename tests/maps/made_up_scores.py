"""Scores made by a formula, so that a test knows every cell."""

import numpy as np
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from sat2cap.geo.frame import grid_of, on_grid

ABOUT = {
    "prompt": "a busy street",
    "when": "2024-05-20T08:00",
    "scale": "cosine",
    "model": "test model",
    "imagery": "miniworld:7",
    "attribution": "somebody",
    "licence": "CC0-1.0",
}


def made_up(
    height: int = 40, width: int = 60, *, crs: str = "EPSG:32631", cell: float = 480.0, gaps: bool = True
) -> xr.DataArray:
    """A smooth score with a single peak at row 10, column 45; the lower left corner has no data."""
    row, col = np.mgrid[:height, :width]
    values = (0.3 * np.exp(-((row - 10) ** 2 + (col - 45) ** 2) / 300)).astype(np.float32)
    if gaps:
        values[height // 2 :, : width // 4] = np.nan
    grid = GeoBox((height, width), Affine(cell, 0, 600_000, 0, -cell, 5_800_000), crs)
    return on_grid(values, grid, attrs=ABOUT)


def three_prompts(height: int = 20, width: int = 30) -> xr.DataArray:
    """Dims ``(prompt, y, x)``; each layer is a multiple of the first."""
    score = made_up(height, width)
    return xr.concat([score, score * 2, score * 3], dim="prompt").assign_coords(
        prompt=["snow", "a $5 ice", "ü"]
    )


def three_months(height: int = 20, width: int = 30) -> xr.DataArray:
    """Dims ``(time, y, x)``: January, April and July of 2024; each is a multiple of the first."""
    score = made_up(height, width)
    when = np.array(["2024-01-15T12:00", "2024-04-15T12:00", "2024-07-15T12:00"], "datetime64[ns]")
    return (
        xr.concat([score, score * 2, score * 3], dim="time")
        .assign_coords(time=when)
        .assign_attrs(score.attrs)
    )


def three_classes() -> xr.Dataset:
    """What `classify` makes of sea in the west, wood and $5 ice in the east; sure in the north alone."""
    from sat2cap.maps.compare import classify

    score = made_up(30, 30, gaps=False)
    cosines = np.full((3, 30, 30), 0.2, np.float32)
    for category in range(3):
        cosines[category, :15, 10 * category : 10 * category + 10] = 0.6
        cosines[category, 15:, 10 * category : 10 * category + 10] = 0.21
    cosines[:, 29, 0] = np.nan
    grid = grid_of(score)
    prompts = {"prompt": ["the sea", "a wood", "a $5 ice"]}
    return classify(on_grid(cosines, grid, ("prompt", "y", "x"), prompts, score.attrs), 20.0)
