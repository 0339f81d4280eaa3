"""A score taken apart into single maps, and what it says of itself."""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sat2cap.errors import InputError

Place = tuple[str, float, float]
"""``(name, lon, lat)``, degrees."""

PROVENANCE = (
    "prompt",
    "when",
    "dynamic",
    "negatives",
    "scale",
    "model",
    "identity",
    "imagery",
    "attribution",
    "licence",
)
"""The attributes of a score that every file made of it carries, in the order they are shown."""


def maps_of(score: xr.DataArray) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Each ``(prompt, float32 [y, x])`` of a score of dims (y, x) or (prompt, y, x). Raises `InputError`."""
    if score.dims == ("y", "x"):
        yield str(score.attrs.get("prompt", "")), np.asarray(score.values, dtype=np.float32)
    elif score.dims == ("prompt", "y", "x"):
        for prompt, values in zip(score.coords["prompt"].values, score.values, strict=True):
            yield str(prompt), np.asarray(values, dtype=np.float32)
    else:
        dims = ", ".join(map(str, score.dims))
        raise InputError(
            f"a score has dims (y, x) or (prompt, y, x), not ({dims}); transpose or select first"
        )


def provenance(score: xr.DataArray) -> dict[str, str]:
    """What the score says of itself, as text; what it leaves open is left out."""
    known = {name: _text(score.attrs.get(name)) for name in PROVENANCE}
    if "prompt" in score.dims:
        known["prompt"] = " | ".join(prompt for prompt, _ in maps_of(score))
    return {name: text for name, text in known.items() if text}


def _text(value: object) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
