"""Statistics of maps within zones: what `OpenAtlas.zones` does."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import geopandas as gpd
import xarray as xr

from sat2cap.api.inputs import to_texts
from sat2cap.api.reporting import ProgressLike, listening
from sat2cap.arguments import type_words
from sat2cap.errors import InputError
from sat2cap.geo import UtmZone
from sat2cap.zones import parse_statistic, read_zones, zone_statistics


def summarise_zones(
    score: xr.DataArray | Mapping[UtmZone | None, xr.DataArray],
    zones: gpd.GeoDataFrame,
    statistics: str | Sequence[str],
    progress: ProgressLike,
) -> gpd.GeoDataFrame:
    """Return `zones` with a column for each statistic of a score.

    If the score has several prompts or dates, each has columns of its own. `score` is a map, or the maps of
    the UTM zones of one atlas. Statistics are texts such as ``"mean"``, ``"p90"`` or ``"share-above=0.3"``.
    Raises `InputError` for a statistic that is not known, naming those that are.
    """
    parsed = [parse_statistic(text) for text in to_texts(statistics, "statistics")]
    with listening(progress) as report:
        return zone_statistics(score, zones, parsed, report)


def to_zones(zones: object, layer: str | None = None) -> gpd.GeoDataFrame:
    """Return zones as a table: read from a file, or a GeoDataFrame or GeoSeries as it is.

    Raises `InputError`.
    """
    if isinstance(zones, gpd.GeoDataFrame):
        return zones
    if isinstance(zones, gpd.GeoSeries):
        return gpd.GeoDataFrame(geometry=zones)
    if isinstance(zones, str | Path):
        return read_zones(zones, layer)
    raise InputError(f"zones is {type_words(zones)}; give a GeoDataFrame, a GeoSeries or the path of a file")
