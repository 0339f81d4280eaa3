"""A map as a file: what `sat2cap.save` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sat2cap.api.imagery import rendering_texts
from sat2cap.api.inputs import is_instance_of
from sat2cap.api.reporting import ProgressLike, listening
from sat2cap.arguments import NumbersLike, check_number, check_path, check_text, type_words
from sat2cap.errors import ImageryError, InputError
from sat2cap.geo import GridArray
from sat2cap.imagery import BandRendering, parse_rendering
from sat2cap.stores import require_local

# A GeoTIFF of what the command line computed needs none of these.
if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr

    from sat2cap.maps import LabelledPoint

_PICTURE_PIXELS = 1600
"""Pixels along the longer side of imagery under a picture."""


def save(
    score: xr.DataArray | xr.Dataset | gpd.GeoDataFrame | GridArray,
    path: Path | str,
    *,
    title: str | None = None,
    underlay: str | xr.DataArray | None = None,
    outlines: Path | str | gpd.GeoSeries | None = None,
    places: Path | str | Sequence[LabelledPoint] = (),
    above: float | None = None,
    best: int | None = None,
    bands: NumbersLike | None = None,
    stretch: NumbersLike | None = None,
    recipe: str | None = None,
    progress: ProgressLike = None,
) -> None:
    """Publish a map as the kind of file that `path` ends in.

    ``.tif`` is a cloud-optimised GeoTIFF with a QGIS style beside it; ``.png`` a picture; ``.gif`` and
    ``.mp4`` one that moves through the dates; ``.geojson`` and ``.parquet`` the areas that score `above`
    something, or the `best` so many cells, or the best 5 %; ``.pmtiles`` web tiles; ``.html`` a page.

    A table from ``atlas.zones`` becomes a table (``.gpkg``, ``.geojson``, ``.parquet``, ``.csv``) or a map
    with each zone in the colour of its value (``.png``, ``.html``).

    Pictures have a `title` instead of the prompt, imagery under the scores (`underlay`, a name or RGBA pixels
    in the CRS of the score; with `bands`, `stretch` and `recipe` as `open_imagery` has them, for a name),
    `outlines` over them and `places` to label, both as files or as they are.
    Raises `InputError`, `ImageryError`.
    """
    check_path(path, "path", "the path of a file")
    require_local(path)
    rendering = rendering_texts(bands, stretch, recipe)
    if title is not None:
        check_text(title, "title", "Beaches")
    if above is not None:
        check_number(above, "above")
    from sat2cap.maps import MapOptions, check_rendering
    from sat2cap.maps import save as write_map

    if is_instance_of(score, "geopandas", "GeoDataFrame"):
        from sat2cap.zones import TABLE_SUFFIXES, choropleth, write_zones

        if Path(path).suffix.lower() in TABLE_SUFFIXES:
            write_zones(score, path)
            return
        outlines = _zone_borders(score, path) if outlines is None else outlines
        score = choropleth(score)
    if not (isinstance(score, GridArray) or is_instance_of(score, "xarray", "DataArray", "Dataset")):
        raise InputError(f"score is {type_words(score)}; save what map, difference or classify gave")
    check_rendering(underlay, **rendering)
    if isinstance(underlay, str):
        underlay = _imagery_under(score, underlay, parse_rendering(**rendering))
    options = MapOptions(
        title,
        underlay,
        _read_outlines(outlines) if isinstance(outlines, str | Path) else outlines,
        _read_places(places) if isinstance(places, str | Path) else places,
        above,
        best,
    )
    with listening(progress) as report:
        write_map(score, path, options, report)


def _zone_borders(table: gpd.GeoDataFrame, path: Path | str) -> gpd.GeoSeries | None:
    """Return the borders of zones, to draw on a picture that shows lines; None for other kinds of file."""
    return table.geometry if Path(path).suffix.lower() == ".png" else None


def _read_outlines(path: Path | str) -> gpd.GeoSeries:
    from sat2cap.maps import read_outlines

    return read_outlines(path)


def _read_places(path: Path | str) -> list[LabelledPoint]:
    from sat2cap.maps import read_places

    return read_places(path)


def _imagery_under(
    score: xr.DataArray | xr.Dataset | GridArray, spec: str, rendering: BandRendering
) -> xr.DataArray:
    """Return RGBA imagery on the grid of the score, as fine as a picture can show."""
    from sat2cap.catalogue import open_imagery
    from sat2cap.geo import grid_of, outline, patch_box

    grid = grid_of(score)
    pixels = max(1, _PICTURE_PIXELS // max(grid.shape))
    rgba = open_imagery(spec, rendering, region=outline(grid)).read(
        patch_box(grid, slice(None), slice(None), pixels)
    )
    if not rgba.sel(band="alpha").any():
        raise ImageryError(f"imagery {spec!r} has no pixels where the map is; give imagery of that place")
    return rgba
