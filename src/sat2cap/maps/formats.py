"""Writing a map as the kind of file that its path ends in."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from sat2cap.errors import InputError
from sat2cap.geo import GridArray, as_data_array
from sat2cap.maps.layers import CATEGORY, AnyScore, with_standard_attributes
from sat2cap.maps.options import (
    ANIMATION_SUFFIXES,
    AREA_SUFFIXES,
    DEFAULT_OPTIONS,
    MAP_SUFFIXES,
    PNG_SUFFIXES,
    STILL_SUFFIXES,
    TIFF_SUFFIXES,
    TILE_SUFFIXES,
    MapOptions,
    check_output,
)
from sat2cap.progress import Progress, silent

if TYPE_CHECKING:
    import xarray as xr


def save(
    score: "xr.DataArray | xr.Dataset | GridArray",
    path: Path | str,
    options: MapOptions = DEFAULT_OPTIONS,
    progress: Progress = silent,
) -> None:
    """Write a score, or the Dataset that `classify` returns, as the kind of file that `path` ends in.

    The suffix is one of `MAP_SUFFIXES`, for a Dataset one of `STILL_SUFFIXES`. A GeoTIFF gets a QGIS style
    beside it and, for categories, a second file ``NAME-confidence.tif``. Raises `InputError` if the suffix
    and the options do not fit, if `above` or `best` is set for a Dataset, or if `score` is one layer of such
    a Dataset.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if isinstance(score, GridArray):
        if suffix in TIFF_SUFFIXES:
            check_output(target, options, MAP_SUFFIXES)
            _save_tiff(score, target)
            return
        score = with_standard_attributes(as_data_array(score))
    import xarray as xr

    if isinstance(score, xr.Dataset):
        _save_categories(score, target, options)
        return
    check_output(target, options, MAP_SUFFIXES)
    if score.attrs.get("scale") == CATEGORY:
        raise InputError("this is one layer of a classified map; save the whole Dataset, confidence included")
    if suffix in TIFF_SUFFIXES:
        _save_tiff(score, target)
    elif suffix in PNG_SUFFIXES:
        from sat2cap.maps.picture import write_png

        write_png(score, target, options)
    elif suffix in AREA_SUFFIXES:
        _save_areas(score, target, options)
    elif suffix in ANIMATION_SUFFIXES:
        from sat2cap.maps.animation import write_gif, write_mp4

        (write_gif if suffix == ".gif" else write_mp4)(score, target, options, progress)
    else:
        _save_tiles(score, target, options)


def _save_tiff(score: AnyScore, path: Path) -> None:
    """Write a GeoTIFF with a QGIS style beside it."""
    from sat2cap.maps.cog import write_cog
    from sat2cap.maps.style import write_style

    write_cog(score, path)
    write_style(score, path)


def _refuse_score_limits(options: MapOptions) -> None:
    """Raise `InputError` if `above` or `best` is set: areas of categories hold every cell that has data."""
    for name in ("above", "best"):
        value = getattr(options, name)
        if value is not None:
            raise InputError(
                f"{name} {value:g} chooses areas by score, but areas of categories hold every cell; leave it "
                "out, and filter the written areas by their mean confidence"
            )


def _save_areas(score: "xr.DataArray", path: Path, options: MapOptions) -> None:
    """Write the areas that `options` choose. If no cell is among them, warn and write a file of none."""
    from sat2cap.maps.places import areas_above, threshold_of_best, write_places

    threshold = threshold_of_best(score, options.best) if options.above is None else options.above
    areas = areas_above(score, threshold)
    if areas.empty:
        greatest = float(score.max())
        warnings.warn(f"no cell scores {threshold:g} or more, the greatest is {greatest:.4g}", stacklevel=3)
    write_places(areas, path)


def _save_tiles(score: "xr.DataArray", path: Path, options: MapOptions) -> None:
    """Write web tiles, as a PMTiles file or inside an HTML page."""
    if path.suffix.lower() in TILE_SUFFIXES:
        from sat2cap.maps.web_tiles import write_pmtiles

        write_pmtiles(score, path)
    else:
        from sat2cap.maps.html_page import write_page

        write_page(score, path, options.title)


def _save_categories(classes: "xr.Dataset", path: Path, options: MapOptions) -> None:
    """Write the Dataset that `classify` returns. Raises `InputError` as `save` does."""
    category, confidence = classes["category"], classes["confidence"]
    suffix = check_output(path, options, STILL_SUFFIXES)
    _refuse_score_limits(options)
    if suffix in TIFF_SUFFIXES:
        from sat2cap.maps.cog import write_category_cog
        from sat2cap.maps.style import write_style

        _save_tiff(confidence, path.with_stem(f"{path.stem}-confidence"))
        write_category_cog(category, path)
        write_style(category, path)
    elif suffix in PNG_SUFFIXES:
        from sat2cap.maps.picture import write_png

        write_png(category, path, options, confidence)
    elif suffix in AREA_SUFFIXES:
        from sat2cap.maps.places import areas_of_categories, write_places

        write_places(areas_of_categories(category, confidence), path)
    else:
        _save_tiles(category, path, options)
