"""Imagery of a STAC search: its items as one mosaic, each asset read as a raster file is."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote as percent_encode

import numpy as np
import shapely
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from rasterio.features import geometry_mask

from sat2cap.errors import ImageryError, quote
from sat2cap.files import canonical_json, digest, parse_json
from sat2cap.geo import LONLAT, outline
from sat2cap.http import Fetcher, FetchPolicy, require_reachable
from sat2cap.imagery.mosaic import covered_window
from sat2cap.imagery.named import Source
from sat2cap.imagery.pixels import as_imagery
from sat2cap.imagery.protocol import ImageryInfo, PartlyReadError
from sat2cap.imagery.raster import RasterImagery, open_raster
from sat2cap.imagery.stac.items import (
    Item,
    colour_bands,
    find_asset,
    has_invisible_bands,
    item_datetime,
    item_outline,
    offset_applied,
    scale_and_offset,
    stated_nodata,
)
from sat2cap.imagery.stac.search import search_items
from sat2cap.redaction import redact_secrets

_MAX_CONCURRENT = 4  # files under way at the same time
_SIGNATURE_LIFETIME_S = 300.0  # signatures hold for longer: an hour at the Planetary Computer
_SIGNING = FetchPolicy(max_request_s=60.0, max_answer_bytes=2**20)
_LARGEST_GSD_M = 1e6  # also so that a number of a stranger is finite
_DEFAULT_GSD_M = 10.0  # of items that do not state theirs: Sentinel-2, most searches' imagery


@dataclass
class _Signer:
    """Turns the address of an asset into one that may be read."""

    template: str
    """A URL with ``{href}``, which answers with JSON that has ``href``."""
    fetcher: Fetcher
    signed: dict[str, tuple[float, str]] = field(default_factory=dict)
    """For each address, when it was signed, in seconds of a monotonic clock, and the signed address."""

    def sign(self, href: str) -> str:
        """Return a signed address, at most some minutes old.

        Raises `ImageryError` if there is none, or it leads into the network from a signer outside of it.
        """
        signed_s, address = self.signed.get(href, (-1e9, ""))
        if time.monotonic() - signed_s > _SIGNATURE_LIFETIME_S:
            url = self.template.replace("{href}", percent_encode(href, safe=""))
            address = self.fetcher.get(url, "signing an asset", _read_signed) or href
            if address != href:
                require_reachable(address, self.template, self.fetcher.name)
            self.signed[href] = time.monotonic(), address
        return address


def _read_signed(data: bytes) -> str:
    """Return the address in a signer's answer. Raises `ValueError` if it has none, which is asked again."""
    answer = parse_json(data)
    if not isinstance(answer, dict) or not isinstance(answer.get("href"), str):
        raise ValueError("no JSON object with an href")
    return str(answer["href"])


@dataclass(frozen=True)
class StacImagery:
    """An `Imagery` over STAC items; where several have pixels, the first of `items` is used."""

    source: Source
    info: ImageryInfo
    """Provenance, with the items that are read."""
    items: tuple[Item, ...]
    """The items as JSON, the least clouded first."""
    common_scale: float | None = None
    """The scale that most items state for the first asset; `source.scale` counts in its numbers."""
    notes: tuple[str, ...] = ()
    """What the search left out or cut short, and what is doubtful, one line each."""

    @cached_property
    def footprint(self) -> Geometry:
        """The outlines of all items together, in degrees."""
        return Geometry(shapely.union_all(self._outlines), LONLAT)

    @cached_property
    def _outlines(self) -> list[shapely.Geometry]:
        return [item_outline(item) for item in self.items]

    @cached_property
    def _rasters(self) -> dict[str, tuple[RasterImagery, ...]]:
        """Assets opened so far, by item."""
        return {}

    @cached_property
    def _signer(self) -> _Signer | None:
        return (
            _Signer(self.source.sign, Fetcher(self.source.name, policy=_SIGNING))
            if self.source.sign
            else None
        )

    def read(self, box: GeoBox) -> xr.DataArray:
        """Return pixels on exactly `box`, uint8, dims ``(y, x, band)``, bands `RGBA`; alpha 0 is no data.

        Raises `PartlyReadError` when an item that is needed cannot be read; its ground is failed, and not
        filled from items that come after it.
        """
        pixels = np.zeros((*box.shape, 4), np.uint8)
        failed_mask = np.zeros(box.shape, bool)
        failures: list[str] = []
        area = outline(box).geom
        for item, item_area in zip(self.items, self._outlines, strict=True):
            if not item_area.intersects(area):
                continue
            todo = (pixels[..., 3] == 0) & ~failed_mask
            if not todo.any():
                break
            try:
                self._fill(pixels, todo, item, box)
            except ImageryError as error:
                failures.append(f"item {item['id']} of {self.info.uri!r}: {error}")
                failed_mask |= todo & _area_mask(item_area, box)
        bands = np.moveaxis(pixels, -1, 0)
        imagery = as_imagery(bands[:3], bands[3], None, box)
        if failures:
            count = f"{len(failures)} items failed; the first: " if len(failures) > 1 else ""
            raise PartlyReadError(f"{count}{failures[0]}", imagery, failed_mask)
        return imagery

    def _fill(self, pixels: NDArray[np.uint8], todo: NDArray[np.bool_], item: Item, box: GeoBox) -> None:
        """Copy the pixels that an item has on `box` to where `todo` says that some are wanted."""
        rasters = self._open_item(item)
        window = covered_window(box, rasters[0].grid)
        if window is None or not todo[window].any():
            return
        part = box[window]
        if len(rasters) == 1:
            layers = [rasters[0].read(part).values]
        else:
            with ThreadPoolExecutor(_MAX_CONCURRENT, thread_name_prefix="assets") as pool:
                layers = list(pool.map(lambda raster: raster.read(part).values, rasters))
        merged = layers[0].copy()
        for band, layer in enumerate(layers[1:], 1):  # grey layers, one for each colour
            merged[..., band] = layer[..., 0]
            merged[..., 3] = np.maximum(merged[..., 3], layer[..., 3])
        if len(layers) == 3:  # a colour that lacks a pixel which others have is black there
            merged[..., 0] = layers[0][..., 0]
        wanted = todo[window] & (merged[..., 3] > 0)
        pixels[window][wanted] = merged[wanted]

    def _open_item(self, item: Item) -> tuple[RasterImagery, ...]:
        """Return one raster with three bands or grey, or three of one band each, with signed addresses."""
        key = str(item["id"])
        if key not in self._rasters:
            self._rasters[key] = self._open_assets(item)
        if self._signer is None:
            return self._rasters[key]
        return tuple(replace(raster, path=self._signer.sign(raster.path)) for raster in self._rasters[key])

    def _open_assets(self, item: Item) -> tuple[RasterImagery, ...]:
        """Open the assets of an item that are shown: one file with all colours, or one for each colour."""
        names = self.source.assets
        chosen = [find_asset(item, name) for name in names]
        numbers = [band for _, band in chosen]
        if len(names) == 1 and numbers[0] is None:
            return (self._open_asset(item, names[0], colour_bands(chosen[0][0])),)
        if len({asset["href"] for asset, _ in chosen}) == 1:
            return (self._open_asset(item, names[0], tuple(band or 1 for band in numbers)),)
        return tuple(
            self._open_asset(item, name, (band or 1,)) for name, band in zip(names, numbers, strict=True)
        )

    def _open_asset(self, item: Item, name: str, bands: tuple[int, ...] | None) -> RasterImagery:
        """Open one asset as a raster; its identity is that of its address, without secrets."""
        asset, _ = find_asset(item, name)
        href = str(asset["href"])
        address = href if self._signer is None else self._signer.sign(href)
        raster = open_raster(
            address,
            bands,
            stretch=_stored_stretch(self.source, item, name, self.common_scale),
            heed_alpha=not has_invisible_bands(asset),
            attribution="",
            identity=digest("asset", redact_secrets(href)),
            bands_hint=f"?assets={name}.1,{name}.2,{name}.3",
        )
        return replace(raster, path=href, nodata=stated_nodata(asset))


def open_stac(source: Source, region: Geometry | None) -> StacImagery:
    """Return the mosaic of the items that a search finds in `region` (any CRS) or in the source's own bounds.

    Its identity is that of the items and of what their numbers mean. Raises `ImageryError` if the search
    fails or finds no usable item.
    """
    result = search_items(source, region)
    items = result.items
    records = [_record(item) for item in items]
    scales = Counter(scale_and_offset(item, source.assets[0])[0] for item in items)
    common_scale = scales.most_common(1)[0][0]
    stretches = [
        [_stored_stretch(source, item, name, common_scale) for name in source.assets] for item in items
    ]
    identity = digest("stac", canonical_json([records, source.assets, source.scale]))
    if any(stretch != source.scale for row in stretches for stretch in row):
        identity = digest(identity, repr(stretches))
    gsd_m = source.gsd_m or _finest_gsd_m(items)
    info = ImageryInfo(source.name, identity, gsd_m, source.attribution, source.licence, tuple(records))
    return StacImagery(source, info, items, common_scale, (*result.notes, *_doubts(items)))


def _stored_stretch(
    source: Source, item: Item, name: str, common_scale: float | None
) -> tuple[float, float] | None:
    """Return a search's stretch in the stored numbers of an asset, so that equal reflectance looks equal.

    The stretch counts in numbers of `common_scale` without an offset, such as reflectance x 10000.
    """
    if source.scale is None:
        return None
    scale, offset = scale_and_offset(item, name)
    ratio = common_scale / scale if scale and common_scale else 1.0
    low, high = (value * ratio - offset for value in source.scale)
    return low, high


def _doubts(items: Iterable[Item]) -> list[str]:
    """Return what the metadata of `items` state that is known to be wrong at times."""
    doubtful = [item for item in items if offset_applied(item) is False]
    if not doubtful:
        return []
    claim = f"{len(doubtful)} items, such as {quote(doubtful[0]['id'])}, are said to lack Sentinel-2's offset"
    return [f"{claim} (boa_offset_applied), which is wrong for some; check that they are not too dark"]


def _record(item: Item) -> dict[str, Any]:
    """Return what is kept of an item in an atlas."""
    links = [link for link in item.get("links") or [] if isinstance(link, Mapping)]
    return {
        "id": item["id"],
        "collection": item.get("collection"),
        "datetime": item_datetime(item),
        "cloud_cover": item["properties"].get("eo:cloud_cover"),
        "href": redact_secrets(
            next((str(link.get("href", "")) for link in links if link.get("rel") == "self"), "")
        ),
    }


def _finest_gsd_m(items: Sequence[Item]) -> float:
    """Return the finest ground sample distance that the items state, in metres."""
    stated = [item["properties"].get("gsd") for item in items]
    numbers = [float(v) for v in stated if type(v) in (int, float) and 0 < v <= _LARGEST_GSD_M]
    return min(numbers, default=_DEFAULT_GSD_M)


def _area_mask(area: shapely.Geometry, box: GeoBox) -> NDArray[np.bool_]:
    """Return which pixels of `box` an area in degrees touches, bool ``[y, x]``."""
    shape = Geometry(area, LONLAT).to_crs(box.crs).geom
    mask: NDArray[np.bool_] = geometry_mask([shape], box.shape, box.affine, all_touched=True, invert=True)
    return mask
