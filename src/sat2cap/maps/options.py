"""Options of a saved map, the file suffixes that maps are saved under, and the one check of both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sat2cap.errors import InputError
from sat2cap.formatting import is_plain_text
from sat2cap.imagery import parse_rendering

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr

    from sat2cap.maps.layers import LabelledPoint

TIFF_SUFFIXES, PNG_SUFFIXES, AREA_SUFFIXES = (".tif", ".tiff"), (".png",), (".geojson", ".parquet")
TILE_SUFFIXES, PAGE_SUFFIXES, ANIMATION_SUFFIXES = (".pmtiles",), (".html",), (".gif", ".mp4")

STILL_SUFFIXES = (*TIFF_SUFFIXES, *PNG_SUFFIXES, *AREA_SUFFIXES, *TILE_SUFFIXES, *PAGE_SUFFIXES)
"""Suffixes of files that hold maps which do not move."""
MAP_SUFFIXES = (*STILL_SUFFIXES, *ANIMATION_SUFFIXES)
"""Suffixes of all files that a map can be saved as."""

PICTURE_SUFFIXES = (*PNG_SUFFIXES, *PAGE_SUFFIXES)
"""Suffixes of files in which a map is looked at rather than computed with."""

_DRAWN_SUFFIXES = (*PNG_SUFFIXES, *ANIMATION_SUFFIXES)
_SUFFIXES_OF_OPTION = {
    "title": (*_DRAWN_SUFFIXES, *PAGE_SUFFIXES),
    "underlay": _DRAWN_SUFFIXES,
    "bands": _DRAWN_SUFFIXES,
    "stretch": _DRAWN_SUFFIXES,
    "recipe": _DRAWN_SUFFIXES,
    "outlines": _DRAWN_SUFFIXES,
    "places": _DRAWN_SUFFIXES,
    "above": AREA_SUFFIXES,
    "best": AREA_SUFFIXES,
}


@dataclass(frozen=True)
class MapOptions:
    """Options of one saved map: `above` and `best` are for files of areas, all others for pictures.

    The command line holds names and paths here, to check them before the map is computed. ``sat2cap.save``
    replaces them by what they name; only then can a picture be drawn (see `drawable`).
    """

    title: str | None = None
    """Heading of the page; None for the prompt."""
    underlay: "str | xr.DataArray | None" = None
    """Imagery to draw the scores over: a name, or uint8 RGBA pixels in the CRS of the score."""
    outlines: "Path | str | gpd.GeoSeries | None" = None
    """Lines to draw over the scores, such as borders or roads: a file, or shapes."""
    places: "Path | str | Sequence[LabelledPoint]" = ()
    """Points to label, the most important first: a file, or names with degrees."""
    above: float | None = None
    """Lowest score of the cells that become areas."""
    best: int | None = None
    """Number of best cells that become areas. With neither `above` nor `best`, the best 5 % do."""
    bands: str | None = None
    """Band numbers of an `underlay` that is a name, such as ``4,3,2``."""
    stretch: str | None = None
    """Values of that imagery that are shown as black and as white, such as ``0,3000``."""
    recipe: str | None = None
    """Bands and stretch of that imagery by name, such as ``sentinel2``."""


DEFAULT_OPTIONS = MapOptions()


def check_output(
    path: Path, options: MapOptions = DEFAULT_OPTIONS, suffixes: Sequence[str] = MAP_SUFFIXES
) -> str:
    """Return the suffix of `path` in lower case, after checking it and the options.

    Raises `InputError` if path or title are no plain text, if the suffix is none of `suffixes`, if a file of
    this suffix cannot hold an option that is set, if both `above` and `best` are set, or if `above` is not
    finite.
    """
    for name, text in (("output", str(path)), ("title", (options.title or "").replace("\n", " "))):
        if not is_plain_text(text):
            raise InputError(f"{name} {text!r} holds control characters or broken letters; give plain text")
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        raise InputError(
            f"output {str(path)!r} has an unknown suffix; end it in one of {', '.join(suffixes)}"
        )
    for name, accepting in _SUFFIXES_OF_OPTION.items():
        if _is_set(getattr(options, name)) and suffix not in accepting:
            raise InputError(
                f"output {str(path)!r} has no use for {name!r}; leave it out, or write {', '.join(accepting)}"
            )
    check_rendering(options.underlay, options.bands, options.stretch, options.recipe)
    if options.above is not None and options.best is not None:
        raise InputError(
            f"areas above {options.above:g} and the best {options.best} cells; give one of the two"
        )
    if options.above is not None and not math.isfinite(options.above):
        raise InputError(f"areas above {options.above:g}: give a score, such as 0.3")
    return suffix


def check_rendering(underlay: object, bands: str | None, stretch: str | None, recipe: str | None) -> None:
    """Raise `InputError` if bands, stretch or recipe cannot be read, or if `underlay` is not a name.

    Pixels that are given as they are have been rendered already.
    """
    if bands is None and stretch is None and recipe is None:
        return
    if not isinstance(underlay, str):
        raise InputError(
            "bands, stretch and recipe are those of imagery under a picture: name it as underlay"
        )
    parse_rendering(bands, stretch, recipe)


def drawable(
    options: MapOptions,
) -> "tuple[xr.DataArray | None, gpd.GeoSeries | None, Sequence[LabelledPoint]]":
    """Return underlay, outlines and points to label, as the drawing functions need them.

    Raises `InputError` if one of them is still a name or a path.
    """
    underlay, outlines, places = options.underlay, options.outlines, options.places
    if isinstance(underlay, str) or isinstance(outlines, str | Path) or isinstance(places, str | Path):
        raise InputError(
            "underlay, outlines or places of a picture are still a name or a path; use sat2cap.save, "
            "which reads them"
        )
    return underlay, outlines, places


def _is_set(value: object) -> bool:
    """Return whether an option is neither None nor an empty sequence; an empty title is set."""
    return value is not None and (not isinstance(value, Sequence) or isinstance(value, str) or len(value) > 0)
