"""A map as a file, of the kind that the file's name ends in."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from sat2cap.errors import InputError
from sat2cap.maps.layers import CATEGORY
from sat2cap.maps.panel import PLAIN, Look
from sat2cap.progress import Progress, silent

TIFF, PICTURE, AREAS = (".tif", ".tiff"), (".png",), (".geojson", ".parquet")
TILES, PAGE, ANIMATION = (".pmtiles",), (".html",), (".gif", ".mp4")

STILL = (*TIFF, *PICTURE, *AREAS, *TILES, *PAGE)
KINDS = (*STILL, *ANIMATION)
"""What a score can be saved as."""

_MOVING_OR_NOT = (*PICTURE, *ANIMATION)
OPTIONS = {
    "title": (*_MOVING_OR_NOT, *PAGE),
    "underlay": _MOVING_OR_NOT,
    "outlines": _MOVING_OR_NOT,
    "places": _MOVING_OR_NOT,
    "above": AREAS,
    "best": AREAS,
}
"""What may be asked of a file, and of which kinds."""


@dataclass(frozen=True)
class Pick:
    """Which cells of a map become areas."""

    above: float | None = None
    """Those that score at least this."""
    best: int | None = None
    """So many; with neither, the best 5 %."""


def save(
    score: xr.DataArray | xr.Dataset,
    path: Path | str,
    look: Look = PLAIN,
    pick: Pick | None = None,
    progress: Progress = silent,
) -> None:
    """Publish a score, or what `classify` gave, as the kind of file that `path` ends in: one of `KINDS`.

    A GeoTIFF gets a QGIS style beside it and, of categories, a second file ``NAME-confidence.tif``. `look` is
    for pictures, `pick` for areas. Raises `InputError`.
    """
    target, pick = Path(path), pick or Pick()
    asked = {name: getattr(look, name) for name in ("title", "underlay", "outlines", "places")}
    check_options(target, {**asked, "above": pick.above, "best": pick.best})
    if isinstance(score, xr.Dataset):
        _save_categories(score, target, look)
        return
    if score.attrs.get("scale") == CATEGORY:
        raise InputError("this is one layer of what classify gave; save the whole of it, confidence included")
    kind = check_kind(target, KINDS)
    if kind in TIFF:
        from sat2cap.maps.cog import write_cog
        from sat2cap.maps.style import write_style

        write_cog(score, target)
        write_style(score, target)
    elif kind in PICTURE:
        from sat2cap.maps.picture import write_png

        write_png(score, target, look)
    elif kind in AREAS:
        _save_areas(score, target, pick)
    elif kind in ANIMATION:
        from sat2cap.maps.animation import write_gif, write_mp4

        (write_gif if kind == ".gif" else write_mp4)(score, target, look, progress)
    else:
        _save_tiles(score, target, look)


def check_kind(path: Path, kinds: Sequence[str]) -> str:
    """The suffix of `path`, in small letters. Raises `InputError` unless it is one of `kinds`."""
    kind = path.suffix.lower()
    if kind not in kinds:
        raise InputError(f"output {str(path)!r} is of no known kind; end it in one of {', '.join(kinds)}")
    return kind


def check_options(path: Path, given: Mapping[str, object]) -> None:
    """Raise `InputError` for what is given, neither None nor empty, and means nothing to this kind."""
    kind = path.suffix.lower()
    for name, value in given.items():
        absent = value is None or (isinstance(value, Sequence) and not isinstance(value, str) and not value)
        if not absent and kind not in OPTIONS[name]:
            kinds = ", ".join(OPTIONS[name])
            raise InputError(f"output {str(path)!r} has no use for {name!r}; leave it out, or write {kinds}")


def _save_areas(score: xr.DataArray, path: Path, pick: Pick) -> None:
    from sat2cap.maps.places import areas_above, threshold_of_best, write_places

    if pick.above is not None and pick.best is not None:
        raise InputError(f"areas above {pick.above:g} and the best {pick.best} cells; give one of the two")
    if pick.above is not None and not math.isfinite(pick.above):
        raise InputError(f"areas above {pick.above:g}: give a score, such as 0.3")
    least = threshold_of_best(score, pick.best) if pick.above is None else pick.above
    areas = areas_above(score, least)
    if areas.empty:
        greatest = float(score.max())
        warnings.warn(f"no cell scores {least:g} or more, the greatest is {greatest:.4g}", stacklevel=3)
    write_places(areas, path)


def _save_tiles(score: xr.DataArray, path: Path, look: Look) -> None:
    if path.suffix.lower() in TILES:
        from sat2cap.maps.web_tiles import write_pmtiles

        write_pmtiles(score, path)
    else:
        from sat2cap.maps.html_page import write_page

        write_page(score, path, look.title)


def _save_categories(classes: xr.Dataset, path: Path, look: Look) -> None:
    category, confidence = classes["category"], classes["confidence"]
    kind = check_kind(path, STILL)
    if kind in TIFF:
        from sat2cap.maps.cog import write_category_cog, write_cog
        from sat2cap.maps.style import write_style

        beside = path.with_stem(f"{path.stem}-confidence")
        write_cog(confidence, beside)
        write_style(confidence, beside)
        write_category_cog(category, path)
        write_style(category, path)
    elif kind in PICTURE:
        from sat2cap.maps.picture import write_png

        write_png(category, path, look, confidence)
    elif kind in AREAS:
        from sat2cap.maps.places import areas_of_categories, write_places

        write_places(areas_of_categories(category, confidence), path)
    else:
        _save_tiles(category, path, look)
