"""Maps computed from other maps: the difference of two, and the best prompt of each cell."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sat2cap.errors import InputError, PromptError
from sat2cap.geo import PlainGrid, grid_of, on_grid, plain_grid_of
from sat2cap.maps.colours import colours_of
from sat2cap.maps.decoration.text import MINUS
from sat2cap.maps.few_photos import FEW_PHOTOS_KEY, list_entries
from sat2cap.maps.layers import CATEGORY, DIFFERENCE, one_layer, values_of

_NAMED_SIDES = {"prompt": "", "when": "any time", "imagery": "unknown", "identity": "unknown"}
"""Attributes that name both sides of a difference, and what stands for one that is missing."""


def difference(score: xr.DataArray, less: xr.DataArray) -> xr.DataArray:
    """Return `score` minus `less`, float32 ``(y, x)``, in the unit of their scale.

    The two may differ in prompt, date and atlas. The result is NaN where either is; its attributes `prompt`,
    `when`, `imagery` and `identity` name both sides, joined by " minus ", where they differ; `attribution`,
    `licence` and `few_photos` list what either side has. Raises `InputError` if either holds several maps,
    or if their grids or scales differ.
    """
    first, second = one_layer(score, "a difference takes"), one_layer(less, "a difference takes")
    if grid_of(first) != grid_of(second):
        raise InputError("the two maps are on different grids; reproject one with .rio.reproject_match first")
    scales = [str(side.attrs.get("scale", "score")) for side in (first, second)]
    if scales[0] != scales[1]:
        raise InputError(
            f"a difference of {scales[0]} and {scales[1]} means nothing; give both the same scale"
        )
    attrs = {**first.attrs, "scale": f"{DIFFERENCE}{scales[0]}"}
    for key, missing in _NAMED_SIDES.items():
        sides = (str(first.attrs.get(key, "")), str(second.attrs.get(key, "")))
        attrs[key] = sides[0] if sides[0] == sides[1] else MINUS.join(side or missing for side in sides)
    for key in ("attribution", "licence"):
        attrs[key] = "; ".join(dict.fromkeys(filter(None, (side.attrs.get(key) for side in (first, second)))))
    attrs = {key: value for key, value in attrs.items() if value != "" or key in first.attrs}
    few_photos = list(dict.fromkeys([*list_entries(first.attrs), *list_entries(second.attrs)]))
    if few_photos:
        attrs[FEW_PHOTOS_KEY] = few_photos
    return on_grid(values_of(first) - values_of(second), grid_of(first), attrs=attrs)


def on_common_cells(first: xr.DataArray, second: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the parts of two maps ``(y, x)`` on the cells that both have.

    Raises `InputError` if their cells do not coincide (another CRS, size or position), or none is common.
    """
    grids = [plain_grid_of(score) for score in (first, second)]
    own, other = grids
    row, col = ((~own.affine) @ (other.affine.c, other.affine.f))[::-1]
    is_aligned = np.allclose([row, col], np.round([row, col]), rtol=0, atol=1e-3)
    if own.crs != other.crs or not _same_steps(own, other) or not is_aligned:
        sizes = " and ".join(f"{abs(grid.affine.a):g} m in {grid.crs[:40]}" for grid in grids)
        raise InputError(
            f"the two maps have different cells ({sizes}): embed both with the same --cell and --crs"
        )
    top, left = round(row), round(col)  # of the second map, in cells of the first
    rows = slice(max(top, 0), min(own.shape[0], top + other.shape[0]))
    cols = slice(max(left, 0), min(own.shape[1], left + other.shape[1]))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        raise InputError("the two maps have no cell in common: their regions must overlap")
    moved_rows, moved_cols = (slice(s.start - n, s.stop - n) for s, n in ((rows, top), (cols, left)))
    return first.isel(y=rows, x=cols), second.isel(y=moved_rows, x=moved_cols)


def _same_steps(first: PlainGrid, second: PlainGrid) -> bool:
    """Return whether the cells of two grids have the same width and height."""
    own, other = ((grid.affine.a, grid.affine.e) for grid in (first, second))
    return bool(np.allclose(own, other, rtol=1e-9, atol=0))


def classify(scores: xr.DataArray, logit_scale: float) -> xr.Dataset:
    """Return the prompt that fits each cell best, from cosines ``(prompt, y, x)``: a Dataset on their grid.

    `category`, float32 ``(y, x)``, is 1 for the first prompt and so on, NaN for no data; ties go to the
    earlier prompt. `confidence`, float32, is its share in a softmax over the prompts at `logit_scale`: 1/K
    for a mere guess among K, 1 for certain among them. Raises `PromptError` if two prompts are the same,
    `InputError` if the dims are different.
    """
    if scores.dims != ("prompt", "y", "x"):
        raise InputError(f"categories are made of dims (prompt, y, x), not {scores.dims}; select a date")
    prompts = [str(prompt) for prompt in scores.coords["prompt"].values]
    if len(set(prompts)) != len(prompts):
        raise PromptError(f"prompts {_quote_prompts(prompts)}: each category must differ; write each once")
    colours_of(prompts)
    category, confidence = _best_categories(np.asarray(scores.values, np.float32), logit_scale)
    attrs = {key: value for key, value in scores.attrs.items() if key not in ("long_name", "units")}
    attrs["prompt"] = ", ".join(prompts)
    layers = {
        "category": on_grid(
            category, grid_of(scores), attrs={**attrs, "scale": CATEGORY, "categories": prompts}
        ),
        "confidence": on_grid(confidence, grid_of(scores), attrs={**attrs, "scale": "confidence"}),
    }
    return xr.Dataset(layers, attrs=attrs)


def _best_categories(
    cosines: NDArray[np.float32], logit_scale: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the category with the greatest of `cosines` [K, y, x], and its share in the softmax.

    Categories are numbered from 1 to K; both are float32 [y, x], NaN where any cosine is.
    """
    has_data = np.isfinite(cosines).all(axis=0)
    top = cosines.max(axis=0)
    category = np.where(has_data, np.argmax(cosines, axis=0) + 1, np.nan)
    share = 1 / np.exp(logit_scale * (cosines - top)).sum(axis=0)
    return category.astype(np.float32), np.where(has_data, share, np.nan).astype(np.float32)


def _quote_prompts(prompts: Sequence[str]) -> str:
    return ", ".join(repr(prompt) for prompt in prompts)
