"""Imagery found by a STAC search, as one mosaic that odc-stac reads; it comes with the extra ``stac``."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

import numpy as np
import shapely
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from sat2cap.errors import ImageryError
from sat2cap.files import canonical_json, digest
from sat2cap.geo import LONLAT, outline
from sat2cap.http import Fetcher
from sat2cap.imagery.gdal import HTTP_RETRY_SETTINGS
from sat2cap.imagery.named import Source
from sat2cap.imagery.pixels import as_imagery, gsd_m, split_parts
from sat2cap.imagery.protocol import ImageryInfo
from sat2cap.imagery.stac.search import item_datetime, search_items

_AVERAGE_ABOVE = 2.0
_AT_ONCE = 4  # files under way at the same time


@dataclass(frozen=True)
class _Signer:
    """Turns an asset's address into one that may be read."""

    template: str
    """A URL with ``{href}``, which answers with JSON that has ``href``."""
    fetcher: Fetcher

    def __call__(self, href: str) -> str:
        url = self.template.replace("{href}", quote(href, safe=""))
        signed = self.fetcher.get(url, "signing an asset", json.loads)
        return href if signed is None else str(signed["href"])


@dataclass(frozen=True)
class StacImagery:
    """An `Imagery` over STAC items; where several have pixels, the first shows."""

    source: Source
    info: ImageryInfo
    items: tuple[Mapping[str, Any], ...]
    """The items as JSON, the least clouded first."""

    @cached_property
    def footprint(self) -> Geometry:
        """The outlines of all items together, in degrees."""
        return Geometry(shapely.union_all(self._outlines), LONLAT)

    @cached_property
    def _outlines(self) -> list[shapely.Geometry]:
        return [shapely.make_valid(shapely.geometry.shape(item["geometry"])) for item in self.items]

    @cached_property
    def _bands(self) -> list[str]:
        """As odc-stac names them: one asset that has three bands or more is red, green and blue."""
        names = self.source.assets
        asset = self.items[0]["assets"].get(names[0], {})
        if len(names) == 1 and _band_count(asset) >= 3:
            return [f"{names[0]}.{number}" for number in (1, 2, 3)]
        return list(names)

    @cached_property
    def _signer(self) -> _Signer | None:
        return _Signer(self.source.sign, Fetcher(self.source.name)) if self.source.sign else None

    def read(self, box: GeoBox) -> xr.DataArray:
        """Pixels on exactly `box`, uint8, dims ``(y, x, band)``, bands `RGBA`; alpha 0 is no data.

        Missing is what lies at the assets' nodata value in all bands, or outside them. Raises `ImageryError`
        when an item that is needed cannot be read.
        """
        pixels = np.zeros((4, *box.shape), np.uint8)
        for rows, cols in split_parts(box):
            part = box[rows, cols]
            area = outline(part).geom
            pairs = zip(self.items, self._outlines, strict=True)
            if items := [item for item, shape in pairs if shape.intersects(area)]:
                found = as_imagery(*self._load(items, part), self.source.scale, part)
                pixels[:, rows, cols] = np.moveaxis(found.values, -1, 0)
        return as_imagery(pixels[:3], pixels[3], None, box)

    def _load(
        self, items: list[Mapping[str, Any]], box: GeoBox
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Values `[1 or 3, h, w]` and alpha `[h, w]`."""
        import odc.stac
        import pystac

        coarse = gsd_m(box) > self.info.gsd_m * _AVERAGE_ABOVE
        odc.stac.configure_rio(cloud_defaults=True, **HTTP_RETRY_SETTINGS)
        try:
            loaded = odc.stac.load(
                [pystac.Item.from_dict(_with_bands(item, self._bands)) for item in items],
                bands=self._bands,
                dtype="float32",
                geobox=box,
                groupby=_all_together,
                preserve_original_order=True,
                resampling="average" if coarse else "bilinear",
                patch_url=self._signer,
                pool=_AT_ONCE,
            )
        except Exception as error:  # of rasterio, of GDAL, of a malformed item: all mean unreadable
            names = ", ".join(str(item["id"]) for item in items[:3])
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            message = f"items {names} of {self.info.uri!r} cannot be read ({reason})"
            raise ImageryError(f"{message}; check their assets, or try again") from None
        layers = [loaded[band].isel(time=0) for band in self._bands]
        values = np.stack([layer.values for layer in layers])
        empty = np.stack([_empty(layer.values, layer.attrs.get("nodata")) for layer in layers])
        values[empty] = 0
        if self.source.scale is None and values.max(initial=0) > 255:
            rule = f"has values up to {values.max():g}, more than 8 bits hold"
            raise ImageryError(f"imagery {self.info.uri!r} {rule}; give a stretch, such as --stretch 0,3000")
        return values, np.where(empty.all(0), 0, 255).astype(np.uint8)


def open_stac(source: Source, region: Geometry | None) -> StacImagery:
    """The mosaic of what a search finds in `region` (any CRS), or in the source's own bounds.

    Its identity is that of the items. Raises `ImageryError`.
    """
    items = search_items(source, region)
    kept = [_record(item) for item in items]
    identity = digest("stac", canonical_json([kept, source.assets, source.scale]))
    gsd = source.gsd_m or _gsd(items)
    info = ImageryInfo(source.name, identity, gsd, source.attribution, source.licence, tuple(kept))
    return StacImagery(source, info, tuple(items))


def _record(item: Mapping[str, Any]) -> dict[str, Any]:
    links = {link["rel"]: link["href"] for link in item.get("links", [])}
    return {
        "id": item["id"],
        "collection": item.get("collection"),
        "datetime": item_datetime(item),
        "cloud_cover": item["properties"].get("eo:cloud_cover"),
        "href": links.get("self", ""),
    }


def _gsd(items: list[dict[str, Any]]) -> float:
    """What the items say of themselves; 10 m, most searches' imagery, when they do not."""
    said = [item["properties"].get("gsd") for item in items]
    return float(min((value for value in said if value), default=10.0))


def _band_count(asset: Mapping[str, Any]) -> int:
    return max((len(asset.get(key, ())) for key in ("bands", "raster:bands", "eo:bands")), default=0)


def _with_bands(item: Mapping[str, Any], wanted: list[str]) -> dict[str, Any]:
    """With the number of each asset's bands where odc-stac looks for it; many items do not say it there."""
    assets = {}
    for name, asset in item["assets"].items():
        asked = [
            int(band.rpartition(".")[2]) for band in wanted if re.fullmatch(rf"{re.escape(name)}\.\d+", band)
        ]
        count = max([_band_count(asset), *asked])
        said = "raster:bands" in asset or "bands" in asset or count < 2
        assets[name] = asset if said else {**asset, "raster:bands": [{} for _ in range(count)]}
    return {**item, "assets": assets}


def _all_together(_item: Any, _parsed: Any, _index: int) -> int:
    """Every item belongs to one picture."""
    return 0


def _empty(values: NDArray[np.float32], nodata: float | None) -> NDArray[np.bool_]:
    missing = np.isnan(values)
    return missing if nodata is None else missing | (values == nodata)
