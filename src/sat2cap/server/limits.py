"""Limits of titiler's parameters: numbers that would take all memory, or that nothing can be computed for."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import Request
from pydantic import Field
from titiler.core.dependencies import DefaultDependency, HistogramParams, StatisticsParams

from sat2cap.errors import InputError

MAX_PIXELS = 2048
"""Longest side of a picture or tile, pixels."""
MAX_ZOOM = 30
"""Finest zoom of tiles: a pixel is then less than a millimetre."""
_MAX_BINS = 1000
_MAX_PERCENTILES = 100
_MAX_COVER_SCALE = 20
"""Finest division of a pixel's side at the edge of a polygon."""
_CRS_NAME = re.compile(
    r"\[?(?:urn:ogc:def:crs:)?(?:EPSG|ESRI|OGC):(?:[0-9.]*:)?\w{1,12}\]?"
    r"|\[?https?://www\.opengis\.net/def/crs/(?:EPSG|OGC)/[0-9.]+/\w{1,12}\]?",
    re.IGNORECASE | re.ASCII,
)
"""A CRS by the name that an authority gave it. Of any other text GDAL makes more than people expect: it opens
a file of that name, and fetches what is at an address."""


@dataclass
class SizeParams(DefaultDependency):
    """Size of a picture."""

    max_size: Annotated[int | None, Field(gt=0, le=MAX_PIXELS, description="Longest side, pixels.")] = 1024
    height: Annotated[int | None, Field(gt=0, le=MAX_PIXELS, description="Height, pixels.")] = None
    width: Annotated[int | None, Field(gt=0, le=MAX_PIXELS, description="Width, pixels.")] = None

    def __post_init__(self) -> None:
        """Let a stated height or width replace the longest side."""
        if self.width or self.height:
            self.max_size = None


@dataclass
class PercentileParams(StatisticsParams):
    """Which percentiles are computed."""

    def __post_init__(self) -> None:
        """Raise `InputError` for what is no percentile."""
        super().__post_init__()
        if len(self.percentiles) > _MAX_PERCENTILES:
            raise InputError(
                f"{len(self.percentiles)} percentiles are given; give at most {_MAX_PERCENTILES}"
            )
        wrong = [percent for percent in self.percentiles if not 0 <= percent <= 100]
        if wrong:
            raise InputError(f"p={str(wrong[0])[:40]} is not a percentile; give 0 to 100")


@dataclass
class BinParams(HistogramParams):
    """How a histogram is binned."""

    def __post_init__(self) -> None:
        """Raise `InputError` for bins and ranges that no histogram has."""
        stated: Any = (self.bins, self.range)
        try:
            super().__post_init__()
            edges = np.atleast_1d(np.asarray(self.bins, float))
            ends = np.asarray(self.range or (0.0, 1.0), float)
        except (ValueError, OverflowError, AssertionError):
            raise InputError("histogram_bins or histogram_range is not a list of numbers") from None
        is_count = edges.size == 1
        if edges.size > _MAX_BINS or (is_count and not 1 <= edges[0] <= _MAX_BINS):
            raise InputError(f"histogram_bins {str(stated[0])[:40]}: give 1 to {_MAX_BINS} bins")
        if not is_count and not (np.isfinite(edges).all() and (np.diff(edges) > 0).all()):
            raise InputError(f"histogram_bins {str(stated[0])[:40]}: the edges of bins must rise")
        if not (np.isfinite(ends).all() and ends[0] <= ends[1]):
            raise InputError(f"histogram_range {str(stated[1])[:40]}: the first number must be the lower")


async def check_address(request: Request) -> None:
    """Raise `InputError` for what titiler would take from the address of a map, and should not.

    A CRS is the name of one. TileJSON hands zooms, the size of tiles and the range on to programs that then
    ask for tiles; the edges of polygons that are divided too finely take memory by the square.
    """
    values = request.query_params
    for name, text in values.multi_items():
        if name.lower().endswith("crs") and not _CRS_NAME.fullmatch(text):
            raise InputError(
                f"{name[:20]} {text[:60]!r} is not the name of a CRS; give one such as EPSG:3857"
            )
    _check_number(values.get("cover_scale"), "cover_scale", 1, _MAX_COVER_SCALE)
    _check_number(values.get("tilesize"), "tilesize", 1, MAX_PIXELS)
    low_zoom, high_zoom = (
        _check_number(values.get(name), name, 0, MAX_ZOOM) for name in ("minzoom", "maxzoom")
    )
    if low_zoom is not None and high_zoom is not None and low_zoom > high_zoom:
        raise InputError(f"minzoom {low_zoom:g} is above maxzoom {high_zoom:g}; give the lower first")
    for text in values.getlist("rescale"):
        try:
            low, high = (float(part) for part in text[:200].split(","))
        except ValueError:
            continue  # what are not two numbers is refused where it is read
        if not low < high:
            raise InputError(f"rescale {text[:60]}: the first number must be the lower; such as 0.1,0.3")


def _check_number(text: str | None, name: str, low: int, high: int) -> float | None:
    """Return a number of an address; None for none, and for what is no number, which is refused elsewhere."""
    try:
        number = None if text is None else float(text[:40])
    except ValueError:
        return None
    if number is not None and not low <= number <= high:
        raise InputError(f"{name} {str(text)[:40]!r} is out of range; give {low} to {high}")
    return number


def check_box(bbox: Any, width: int | None, height: int | None) -> None:
    """Raise `InputError` for a box without area, or a picture of it with a side that would be too long.

    `bbox` is left, bottom, right, top in any CRS; a side in pixels that is None follows from the other.
    """
    if max(width or 0, height or 0) > MAX_PIXELS:
        raise InputError(f"a picture or tile may have at most {MAX_PIXELS} pixels a side")
    left, bottom, right, top = map(float, bbox)
    if top < bottom or (right < left and not 180 <= left - right <= 360):  # 180: across the antimeridian
        raise InputError("the box has its corners turned; give west, south, east, north")
    across, down = abs(right - left), abs(top - bottom)
    if not (np.isfinite([left, bottom, right, top]).all() and across > 0 and down > 0):
        raise InputError("the box or polygon has no area; give one with corners that are apart")
    if width and not height:
        longer = width * (down / across)
    elif height and not width:
        longer = height * (across / down)
    else:
        return
    if longer > MAX_PIXELS:
        raise InputError(f"the other side would be longer than {MAX_PIXELS} pixels; give max_size instead")
