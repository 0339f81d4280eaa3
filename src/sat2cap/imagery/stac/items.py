"""STAC items as JSON, judged one by one: what each says of its place, time, clouds and assets."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import shapely

from sat2cap.errors import quote
from sat2cap.geo import within_180
from sat2cap.http import is_private
from sat2cap.imagery.named import Source

Item = Mapping[str, Any]
"""A STAC item as JSON."""

_WEB = ("http", "https")
_BUCKETS = ("s3", "gs", "az", "abfs", "abfss")
_BASELINE_WITH_OFFSET = 4.0  # of Sentinel-2 processing, from January 2022 on
_BASELINE_OFFSET = -1000.0  # of its numbers, which are reflectance x 10000 + 1000
_BAND_NUMBER = re.compile(r"[0-9]{1,4}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}")
_SENTINEL2_BANDS = re.compile(
    r"B\d[\dA](_\d+m)?|coastal|blue|green|red|rededge\d?|nir\d*|swir\d*", re.IGNORECASE
)
_INVISIBLE_BANDS = re.compile("nir|swir|lwir|rededge|near.?infrared")


class UnusableItemError(ValueError):
    """An item cannot be used; the text says why, as in "without an outline"."""


def item_outline(item: Item) -> shapely.Geometry:
    """Return the outline of an item in degrees, cut at the antimeridian. Raises `UnusableItemError`."""
    try:
        shape = shapely.force_2d(shapely.geometry.shape(item["geometry"]))
        outline = within_180(shapely.make_valid(shape))
    except Exception:  # of shapely and of whatever stands in place of coordinates
        raise UnusableItemError("without an outline that can be read") from None
    if outline.is_empty:
        raise UnusableItemError("without an outline that can be read")
    return outline


def item_datetime(item: Item) -> str:
    """Return the date and time of an item, or the start of its interval, as text; empty if it has none."""
    properties = item.get("properties") or {}
    return str(properties.get("datetime") or properties.get("start_datetime") or "")


def has_date(item: Item) -> bool:
    """Return whether an item states a date, or the start of an interval, that begins as ISO dates do."""
    return _DATE.match(item_datetime(item)) is not None


def overlaps_dates(item: Item, first: str, last: str) -> bool:
    """Return whether an item's date, or any time of its interval, is within `first` to `last` (ISO texts)."""
    properties = item.get("properties") or {}
    start = str(properties.get("start_datetime") or properties.get("datetime") or "")[:19]
    end = str(properties.get("end_datetime") or properties.get("datetime") or start)[:19]
    return start <= last and end >= first


def cloud_cover(item: Item) -> float | None:
    """Return the cloud cover of an item in percent; None if it states none.

    Raises `UnusableItemError` if what it states is not a number.
    """
    value = (item.get("properties") or {}).get("eo:cloud_cover")
    if value is None:
        return None
    try:
        percent = float(value)
    except (TypeError, ValueError):
        percent = math.nan
    if not math.isfinite(percent):
        raise UnusableItemError("with a cloud cover that is no number")
    return percent


def find_asset(item: Item, name: str) -> tuple[Mapping[str, Any], int | None]:
    """Return the asset of an item that `name` means, and the band that ``image.2`` chooses of it, or None.

    Raises `UnusableItemError` if the item does not have it.
    """
    assets = item.get("assets")
    if isinstance(assets, Mapping):
        key, _, number = name.rpartition(".")
        for candidate, band in ((name, None), (key, int(number) if _BAND_NUMBER.fullmatch(number) else 0)):
            if band == 0:  # no number of a band, which count from 1
                continue
            asset = assets.get(candidate)
            if isinstance(asset, Mapping) and isinstance(asset.get("href"), str):
                return asset, band
    raise UnusableItemError(f"without the asset {quote(name)!r}")


def require_usable(item: Item, source: Source) -> None:
    """Raise `UnusableItemError` if an item lacks an id, an outline or an asset, or is too clouded."""
    if not isinstance(item, Mapping) or not isinstance(item.get("id"), str):
        raise UnusableItemError("without an id")
    if not isinstance(item.get("properties"), Mapping):
        raise UnusableItemError("without properties")
    for name in source.assets:
        scale_and_offset(item, name)
        _require_open_address(str(find_asset(item, name)[0]["href"]), source)
    item_outline(item)
    clouds = cloud_cover(item)
    if source.max_cloud is not None:
        if clouds is None:
            raise UnusableItemError("without a cloud cover")
        if clouds > source.max_cloud:
            raise UnusableItemError("with more clouds")


def _require_open_address(href: str, source: Source) -> None:
    """Raise `UnusableItemError` if a catalogue on the internet leads to this machine or inside its network.

    A catalogue that is itself a file here, or on a server inside the network, may name either.
    """
    try:
        scheme = urlsplit(href).scheme.lower()
    except ValueError:
        raise UnusableItemError("with an asset at no valid address") from None
    if urlsplit(source.url).scheme.lower() not in _WEB or is_private(source.url):
        return
    if scheme not in (*_WEB, *_BUCKETS):
        raise UnusableItemError("with an asset that is a file of this machine")
    if is_private(href):
        raise UnusableItemError("with an asset at an address inside this network")


def colour_bands(asset: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return the numbers of red, green and blue that an asset's metadata names; None if it names none."""
    names = [_band_name(band) for band in _band_metadata(asset)]
    if {"red", "green", "blue"} <= set(names):
        return tuple(names.index(colour) + 1 for colour in ("red", "green", "blue"))
    return None


def has_invisible_bands(asset: Mapping[str, Any]) -> bool:
    """Return whether an asset's metadata name a band that is no colour, such as near infrared.

    Files may mark such a fourth band as alpha, which it is not.
    """
    return any(_INVISIBLE_BANDS.match(_band_name(band)) for band in _band_metadata(asset))


def stated_nodata(asset: Mapping[str, Any]) -> float | None:
    """Return the nodata value that an asset's metadata states; None if it states none."""
    for band in (*_band_metadata(asset), asset):
        value = band.get("nodata")
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    return None


def scale_and_offset(item: Item, name: str) -> tuple[float | None, float]:
    """Return the scale that an asset states or None, and the offset of its stored numbers.

    Metadata state physical values as stored x scale + offset; the offset that is returned is to be added to
    stored numbers, and so is offset / scale. Sentinel-2 of processing baseline 04.00 and later stores 1000
    more than before: where no offset is stated the baseline says so. 0 where the provider has applied it.
    Raises `UnusableItemError` for a scale of 0.
    """
    asset, band = find_asset(item, name)
    bands = _band_metadata(asset)
    own = bands[band - 1] if band and band <= len(bands) else bands[0] if bands else {}
    scale = _first_number((own, asset), "raster:scale", "scale")
    offset = _first_number((own, asset), "raster:offset", "offset")
    if scale == 0:
        raise UnusableItemError(f"with a scale of 0 for the asset {name!r}")
    if offset_applied(item):
        return scale, 0.0
    if offset is not None:
        return scale, offset / (1.0 if scale is None else scale)
    return scale, _BASELINE_OFFSET if _stores_baseline_offset(item, name) else 0.0


def offset_applied(item: Item) -> bool | None:
    """Return what Earth Search says of Sentinel-2's offset: whether it has been applied; None if nothing."""
    for key in ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"):
        value = item["properties"].get(key)
        if isinstance(value, bool):
            return value
    return None


def _stores_baseline_offset(item: Item, name: str) -> bool:
    """Return whether an asset holds reflectance of Sentinel-2 with the offset of newer baselines."""
    if not _SENTINEL2_BANDS.fullmatch(name.partition(".")[0]):
        return False
    for key in ("s2:processing_baseline", "sentinel:processing_baseline"):
        try:
            return float(item["properties"][key]) >= _BASELINE_WITH_OFFSET
        except (KeyError, TypeError, ValueError):
            continue
    return False


def _first_number(sources: Iterable[Mapping[str, Any]], *keys: str) -> float | None:
    """Return the first finite number that one of `sources` has under one of `keys`."""
    for source in sources:
        for key in keys:
            value = source.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                return float(value)
    return None


def _band_name(band: Mapping[str, Any]) -> str:
    return str(band.get("eo:common_name") or band.get("common_name") or band.get("name") or "").lower()


def _band_metadata(asset: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what an asset states of each of its bands, merged from every extension that states something."""
    merged: list[dict[str, Any]] = []
    for key in ("eo:bands", "raster:bands", "bands"):
        stated = asset.get(key)
        for number, band in enumerate(stated if isinstance(stated, list) else []):
            if number >= len(merged):
                merged.append({})
            if isinstance(band, Mapping):
                merged[number].update(band)
    return list(merged)
