"""Searching a STAC API or catalogue for the least clouded items that cover a region, with pystac-client."""

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import shapely
from odc.geo.geom import Geometry

from sat2cap.errors import ImageryError
from sat2cap.geo import LONLAT
from sat2cap.imagery.named import Source

if TYPE_CHECKING:
    import pystac
    import pystac_client

_ADDS = 1e-3  # share of the region that an item must add to those before it
_UNKNOWN_CLOUD = 101.0  # after all that say how clouded they are
_MOST_POINTS = 500  # of an outline that is sent
_TRIES = 4


def search(source: Source, region: Geometry | None) -> list[dict[str, Any]]:
    """The items, as JSON, that cover `region` (any CRS), or the source's own bounds.

    Kept are the least clouded, the newest of equals, until one more adds nothing to what they cover. Raises
    `ImageryError`.
    """
    area = _area(source, region)
    items = _chosen(_found(source, area), area)
    if not items:
        rule = f"no item of {source.collection!r} there ({_conditions(source)})"
        raise ImageryError(f"imagery {source.name!r}: {rule}; widen the dates or the cloud cover")
    return items


def _area(source: Source, region: Geometry | None) -> shapely.Geometry:
    if region is not None:
        box = region.boundingbox
        return region.to_crs(LONLAT, resolution=max(box.span_x, box.span_y) / 64).geom
    if source.bounds is None:
        raise ImageryError(
            f"imagery {source.name!r} is a search; say where: give a REGION, or ?bounds=w,s,e,n"
        )
    return shapely.box(*source.bounds)


def _found(source: Source, area: shapely.Geometry) -> list[dict[str, Any]]:
    """All items that meet the conditions, as JSON."""
    client = _client(source)
    query = None if source.max_cloud is None else {"eo:cloud_cover": {"lte": source.max_cloud}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a static catalogue is said to lack a search, which we know
            if client.conforms_to("ITEM_SEARCH"):
                found = client.search(
                    collections=[source.collection] if source.collection else None,
                    intersects=shapely.geometry.mapping(_simple(area)),
                    datetime=source.datetime or None,
                    query=query,
                    max_items=source.max_items,
                )
                return list(found.items_as_dicts())
            return [item.to_dict() for item in _walk(client, source, area)]
    except Exception as error:  # of requests, of pystac-client, of a malformed answer
        raise _unreachable(source, error) from None


def _simple(area: shapely.Geometry) -> shapely.Geometry:
    """What a search is asked with: services refuse long outlines, and what lies beside is dropped later."""
    return area if shapely.get_num_coordinates(area) <= _MOST_POINTS else shapely.box(*area.bounds)


def _client(source: Source) -> "pystac_client.Client":
    try:
        import odc.stac  # noqa: F401
        import pystac_client
        from pystac_client.stac_api_io import StacApiIO
        from urllib3.util import Retry
    except ImportError as error:
        fix = "install them: pip install 'sat2cap[stac]'"
        raise ImageryError(f"imagery {source.name!r} needs more libraries ({error}); {fix}") from None
    again = Retry(
        total=_TRIES,
        backoff_factor=0.5,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,  # a search is a POST
    )
    try:
        return pystac_client.Client.open(source.url, stac_io=StacApiIO(max_retries=again, timeout=30))
    except Exception as error:
        raise _unreachable(source, error) from None


def _unreachable(source: Source, error: Exception) -> ImageryError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ImageryError(
        f"imagery {source.name!r}: the search failed ({reason[:200]}); check the address and terms"
    )


def _walk(client: "pystac_client.Client", source: Source, area: shapely.Geometry) -> Iterator["pystac.Item"]:
    """A static catalogue's items, looked through one by one."""
    from pystac_client.item_search import ItemSearch

    first, last = _span(ItemSearch(source.url, datetime=source.datetime or None))
    for item in client.get_items(recursive=True):
        cloud = item.properties.get("eo:cloud_cover", 0.0)
        when = str(item.properties.get("datetime") or item.properties.get("start_datetime") or "")
        if (
            (not source.collection or item.collection_id == source.collection)
            and (source.max_cloud is None or cloud <= source.max_cloud)
            and first <= when[:19] <= last
            and item.geometry is not None
            and shapely.geometry.shape(item.geometry).intersects(area)
        ):
            yield item


def _span(search: Any) -> tuple[str, str]:
    """The first and last second of a search's dates, as text that sorts by time."""
    first, _, last = str(search.get_parameters().get("datetime", "")).partition("/")
    known = [end[:19] if end not in ("", "..") else "" for end in (first, last or first)]
    return known[0], known[1] or "9999"


def _chosen(items: list[dict[str, Any]], area: shapely.Geometry) -> list[dict[str, Any]]:
    """The best items, of which each adds something to what those before it cover of `area`."""
    left, kept = area, list[dict[str, Any]]()
    least = shapely.area(area) * _ADDS
    by_date = sorted(items, key=lambda item: (taken(item), item["id"]), reverse=True)
    for item in sorted(by_date, key=_cloud):
        rest = left.difference(shapely.make_valid(shapely.geometry.shape(item["geometry"])))
        if shapely.area(left) - shapely.area(rest) > least or (not kept and shapely.area(area) == 0):
            left = rest
            kept.append(item)
    return kept


def taken(item: Mapping[str, Any]) -> str:
    """When an item begins, as it says."""
    found = item["properties"].get("datetime") or item["properties"].get("start_datetime") or ""
    return str(found)


def _cloud(item: Mapping[str, Any]) -> float:
    value = item["properties"].get("eo:cloud_cover")
    return _UNKNOWN_CLOUD if value is None else float(value)


def _conditions(source: Source) -> str:
    cloud = None if source.max_cloud is None else f"at most {source.max_cloud:g} % clouds"
    return ", ".join(part for part in (source.datetime, cloud) if part) or "at any date"
