"""Layers of a score (one map per prompt and date), its scale and its provenance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import InputError
from sat2cap.geo import GridArray, When, as_data_array, plain_grid_of
from sat2cap.maps.conditioning import (
    CONDITIONING_KEY,
    TRAINING_YEARS_KEY,
    Conditioning,
    conditioning_of,
    with_conditioning_words,
)
from sat2cap.maps.few_photos import FEW_PHOTOS_KEY, photos_of_prompts

if TYPE_CHECKING:
    import xarray as xr

AnyScore: TypeAlias = "xr.DataArray | GridArray"
"""A score as people have it, or as the package computes it; their attributes have the same names."""
Score = TypeVar("Score", "xr.DataArray", GridArray, "xr.DataArray | GridArray")

LabelledPoint = tuple[str, float, float]
"""``(name, lon, lat)`` of a point to label on a map, degrees."""

STACKED = ("prompt", "time")
"""Dimensions that a score may have before ``(y, x)``: one map for each of their values."""

PROVENANCE = (
    "prompt",
    "when",
    "dynamic",
    "negatives",
    "scale",
    "calibration",
    "few_photos",
    "model",
    "identity",
    "imagery",
    "attribution",
    "licence",
)
"""The attributes of a score that every file made of it carries, in the order they are shown."""

DIFFERENCE = "difference of "
"""Prefix of the scale of a difference; the scale of the two scores follows."""

CATEGORY = "category"
"""The scale of a map whose numbers stand for prompts: 1 for the first of its attribute `categories`."""


@dataclass(frozen=True)
class Scale:
    """Name, unit and fixed limits of the values of a score."""

    name: str
    unit: str
    """Empty for none."""
    low: float | None = None
    """The value of the first colour; None for nearly the lowest score of the map."""
    high: float | None = None
    """The value of the last colour; None for nearly the highest score of the map."""
    centred: bool = False
    """Whether 0 is the middle, and has the middle colour."""

    @property
    def label(self) -> str:
        """Name and unit, as beside a colour bar."""
        return f"{self.name} ({self.unit or 'no unit'})"


_SCALES = {
    "cosine": Scale("cosine similarity", ""),
    "percentile": Scale("percentile within the region", "%", 0.0, 100.0),
    "contrast": Scale("share against generic prompts", "0 to 1", 0.0),
    "confidence": Scale("share among the prompts", "0 to 1", 0.0, 1.0),
}


def scale_of(score: AnyScore) -> Scale:
    """Return the scale of a score: what its numbers are called, their unit and the ends of the colours.

    It follows from the attribute `scale`, and from whether the score was calibrated or has negatives. A scale
    that is not listed here is shown under its own name, without a unit.
    """
    name = str(score.attrs.get("scale", "score"))
    if name.startswith(DIFFERENCE):
        compared = name.removeprefix(DIFFERENCE)
        scale = _SCALES.get(compared, Scale(compared, ""))
        return Scale(f"{DIFFERENCE}{scale.name}", "%" if scale.unit == "%" else "", centred=True)
    if name == "contrast" and score.attrs.get("calibration"):
        return Scale("share of photos that CLIP would say fit", "0 to 1", 0.0)
    if name == "cosine" and score.attrs.get("negatives"):
        return Scale("cosine similarity less that of the negatives", "")
    return _SCALES.get(name, Scale(name, ""))


def layers_of(score: Score) -> list[Score]:
    """Return the single maps ``(y, x)`` of a score in order, each with its own prompt and date.

    Raises `InputError` unless the dims are ``(y, x)``, optionally with `STACKED` before them.
    """
    leading = [str(dim) for dim in score.dims if dim not in ("y", "x")]
    if score.dims[-2:] != ("y", "x") or not set(leading) <= set(STACKED):
        dims = ", ".join(map(str, score.dims))
        raise InputError(
            f"a score has dims (y, x), or prompt or time before them, not ({dims}); transpose or select first"
        )
    indices = product(*(range(score.sizes[dim]) for dim in leading))
    return [as_single_map(score.isel(dict(zip(leading, index, strict=True)))) for index in indices]


def one_layer(score: Score, subject: str) -> Score:
    """Return the only map of a score.

    Raises `InputError` if it has several; `subject` begins the message, e.g. "a page shows".
    """
    layers = layers_of(score)
    if len(layers) != 1:
        raise InputError(
            f"{subject} one map, this score has {len(layers)}; ask for one, or select with .isel(prompt=0)"
        )
    return layers[0]


def names_of(score: AnyScore) -> list[str]:
    """Return a name for each map of a score: its prompt, its date, or both."""
    stacked = [dim for dim in STACKED if dim in score.dims]
    keys = [{"prompt": "prompt", "time": "when"}[dim] for dim in stacked] or ["prompt"]
    return [", ".join(str(layer.attrs.get(key, "")) for key in keys) for layer in layers_of(score)]


def stack_times(scores: Sequence[Score], moments: Sequence[When]) -> Score:
    """Stack the scores ``(prompt, y, x)`` of several moments into one, ``(prompt, time, y, x)``.

    The attributes are those of the first score, or of the first whose year is outside the training photos'.
    """
    first = scores[0]
    times = np.array([moment.isoformat() for moment in moments], "datetime64[s]")
    out_of_range = [
        score for score in scores if conditioning_of(score.attrs) is Conditioning.YEAR_OUT_OF_RANGE
    ]
    attrs = {**(out_of_range or scores)[0].attrs, "when": ""}
    stacked = GridArray(
        np.stack([score.values for score in scores], axis=1),
        plain_grid_of(first),
        ("prompt", "time", "y", "x"),
        {"prompt": np.asarray(first.coords["prompt"]), "time": times},
        attrs,
        {"time": {"long_name": "local date and hour"}},
    )
    return stacked if isinstance(first, GridArray) else as_data_array(stacked)


def values_of(layer: AnyScore) -> NDArray[np.float32]:
    """Return the values of a single map, float32, shape (H, W)."""
    return np.asarray(layer.values, dtype=np.float32)


def provenance(score: AnyScore) -> dict[str, str]:
    """Return the attributes named in `PROVENANCE` as text, without those that are empty.

    Prompts and dates are those of the maps that `score` holds now, joined by " | "; the conditioning is in
    words.
    """
    attrs = with_conditioning_words(score.attrs)
    texts = {name: _join_values(attrs.get(name)) for name in PROVENANCE}
    layers = layers_of(score)
    for key in ("prompt", "when"):  # of the maps left after selecting, which may be fewer than at first
        values = dict.fromkeys(_join_values(layer.attrs.get(key)) for layer in layers)
        texts[key] = " | ".join(values)
    entries = {
        entry
        for layer in layers
        for entry in photos_of_prompts(layer.attrs, [str(layer.attrs.get("prompt", ""))]).get(
            FEW_PHOTOS_KEY, ()
        )
    }
    texts[FEW_PHOTOS_KEY] = "; ".join(sorted(entries))
    return {name: text for name, text in texts.items() if text}


def table_attributes(score: AnyScore) -> dict[str, Any]:
    """Return the provenance of a score for the ``.attrs`` of a table: texts, except the conditioning.

    That stays data, as whatever writes the table has the words for it.
    """
    data = {key: score.attrs[key] for key in (CONDITIONING_KEY, TRAINING_YEARS_KEY) if key in score.attrs}
    return {**provenance(score), **data}


def with_standard_attributes(score: "xr.DataArray") -> "xr.DataArray":
    """Return the score with the attributes that xarray and rioxarray look for.

    These are a name, `long_name` and `units` for the axis of a plot, and NaN as the value of no data. Lists
    of text among the attributes are joined with " | ", since not every file format can hold a list.
    """
    scale = scale_of(score)
    words = {"long_name": scale.name}
    if scale.unit:
        words["units"] = scale.unit
    for name in ("prompt", "negatives", FEW_PHOTOS_KEY):
        if isinstance(score.attrs.get(name), list | tuple):
            words[name] = " | ".join(map(str, score.attrs[name]))
    named = score.rename(score.name or "score").assign_attrs(words)
    named.encoding.update(score.encoding, _FillValue=np.float32(np.nan))
    return named


def as_single_map(layer: Score) -> Score:
    """Return a map with the prompt and the date of its coordinates as its attributes `prompt` and `when`.

    Of the prompts that few photos fit, its attribute `few_photos` keeps its own alone. Other attributes stay.
    """
    attrs = {name: value for name, value in layer.attrs.items() if name != FEW_PHOTOS_KEY}
    if "prompt" in layer.coords:
        attrs["prompt"] = str(layer.coords["prompt"].item())
    if "time" in layer.coords:
        attrs["when"] = str(np.datetime_as_string(np.asarray(layer.coords["time"]), unit="m"))
    prompt = attrs.get("prompt", "")
    attrs |= photos_of_prompts(layer.attrs, [prompt] if isinstance(prompt, str) else list(prompt))
    if isinstance(layer, GridArray):
        return replace(layer, attrs=attrs)
    single = layer.copy(deep=False)
    single.attrs = attrs
    return single


def _join_values(value: object) -> str:
    """Return an attribute as text: a list joined with commas, None as nothing."""
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
