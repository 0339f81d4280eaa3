"""Maps made of maps: what differs between two, and which of several prompts fits best."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sat2cap.errors import InputError, PromptError
from sat2cap.geo import grid_of, on_grid
from sat2cap.maps.colours import colours_of
from sat2cap.maps.decoration.text import MINUS
from sat2cap.maps.layers import CATEGORY, DIFFERENCE, one_layer, values_of


def difference(score: xr.DataArray, less: xr.DataArray) -> xr.DataArray:
    """`score` minus `less`, float32 ``(y, x)``: two prompts, two dates or both, on one grid and scale.

    NaN where either is. Prompt and date say both sides where they differ. Raises `InputError`.
    """
    first, second = one_layer(score, "a difference takes"), one_layer(less, "a difference takes")
    if grid_of(first) != grid_of(second):
        raise InputError("the two maps are on different grids; reproject one with .rio.reproject_match first")
    scales = [str(side.attrs.get("scale", "score")) for side in (first, second)]
    if scales[0] != scales[1]:
        raise InputError(f"a difference of {scales[0]} and {scales[1]} means nothing; give both one scale")
    attrs = {**first.attrs, "scale": f"{DIFFERENCE}{scales[0]}"}
    for key in ("prompt", "when"):
        both = (str(first.attrs.get(key, "")), str(second.attrs.get(key, "")))
        attrs[key] = both[0] if both[0] == both[1] else MINUS.join(side or "any time" for side in both)
    return on_grid(values_of(first) - values_of(second), grid_of(first), attrs=attrs)


def classify(scores: xr.DataArray, logit_scale: float) -> xr.Dataset:
    """Which prompt fits each cell best, of cosines ``(prompt, y, x)``: a Dataset on their grid.

    `category`, float32 ``(y, x)``, is 1 for the first prompt and so on, NaN for no data; ties go to the
    earlier prompt. `confidence`, float32, is its share in a softmax over the prompts at `logit_scale`: 1/K
    for a mere guess among K, 1 for certain among them. Raises `PromptError`, `InputError`.
    """
    if scores.dims != ("prompt", "y", "x"):
        raise InputError(f"categories are made of dims (prompt, y, x), not {scores.dims}; select a date")
    prompts = [str(prompt) for prompt in scores.coords["prompt"].values]
    if len(set(prompts)) != len(prompts):
        raise PromptError(f"prompts {_quoted(prompts)}: each category must differ; write each once")
    colours_of(prompts)
    category, confidence = _best(np.asarray(scores.values, np.float32), logit_scale)
    attrs = {key: value for key, value in scores.attrs.items() if key not in ("long_name", "units")}
    attrs["prompt"] = ", ".join(prompts)
    layers = {
        "category": on_grid(
            category, grid_of(scores), attrs={**attrs, "scale": CATEGORY, "categories": prompts}
        ),
        "confidence": on_grid(confidence, grid_of(scores), attrs={**attrs, "scale": "confidence"}),
    }
    return xr.Dataset(layers, attrs=attrs)


def _best(
    cosines: NDArray[np.float32], logit_scale: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Number of the greatest of `cosines` [K, y, x], from 1, and its share in the softmax."""
    known = np.isfinite(cosines).all(axis=0)
    top = cosines.max(axis=0)
    category = np.where(known, np.argmax(cosines, axis=0) + 1, np.nan)
    share = 1 / np.exp(logit_scale * (cosines - top)).sum(axis=0)
    return category.astype(np.float32), np.where(known, share, np.nan).astype(np.float32)


def _quoted(prompts: Sequence[str]) -> str:
    return ", ".join(repr(prompt) for prompt in prompts)
