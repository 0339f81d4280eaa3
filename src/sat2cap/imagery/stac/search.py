"""Search of a STAC API or static catalogue for the least clouded items that cover a region."""

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

_MIN_ADDED_SHARE = 1e-3  # share of the region that an item must add to those before it
_UNKNOWN_CLOUD_COVER = 101.0  # percent; sorts after all items that state theirs
_MAX_OUTLINE_POINTS = 500  # of the area that a search sends
_MAX_RETRIES = 4


def search_items(source: Source, region: Geometry | None) -> list[dict[str, Any]]:
    """Return the items, as JSON, that cover `region` (any CRS) or the source's own bounds.

    The least clouded come first, and of equally clouded ones the newest. Items that add nothing to what those
    before them cover are left out. Raises `ImageryError` if the search fails or finds nothing.
    """
    area = _search_area(source, region)
    items = _select_covering(_find_items(source, area), area)
    if not items:
        rule = f"no item of {source.collection!r} there ({_describe_conditions(source)})"
        raise ImageryError(f"imagery {source.name!r}: {rule}; widen the dates or the cloud cover")
    return items


def item_datetime(item: Mapping[str, Any]) -> str:
    """Return the date and time of an item, or the start of its interval, as text; empty if it has none."""
    properties = item["properties"]
    return str(properties.get("datetime") or properties.get("start_datetime") or "")


def _search_area(source: Source, region: Geometry | None) -> shapely.Geometry:
    """Return the area to search, in degrees."""
    if region is not None:
        box = region.boundingbox
        return region.to_crs(LONLAT, resolution=max(box.span_x, box.span_y) / 64).geom
    if source.bounds is None:
        raise ImageryError(
            f"imagery {source.name!r} is a search; say where: give a REGION, or ?bounds=w,s,e,n"
        )
    return shapely.box(*source.bounds)


def _find_items(source: Source, area: shapely.Geometry) -> list[dict[str, Any]]:
    """Return all items that meet the source's conditions, as JSON."""
    client = _open_client(source)
    query = None if source.max_cloud is None else {"eo:cloud_cover": {"lte": source.max_cloud}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pystac-client warns that a static catalogue has no search
            if client.conforms_to("ITEM_SEARCH"):
                search = client.search(
                    collections=[source.collection] if source.collection else None,
                    intersects=shapely.geometry.mapping(_simplify_outline(area)),
                    datetime=source.datetime or None,
                    query=query,
                    max_items=source.max_items,
                )
                return list(search.items_as_dicts())
            return [item.to_dict() for item in _walk_catalogue(client, source, area)]
    except Exception as error:  # of requests, of pystac-client, of a malformed answer
        raise _search_error(source, error) from None


def _simplify_outline(area: shapely.Geometry) -> shapely.Geometry:
    """Return `area`, or its bounding box if it has many points: services refuse long outlines.

    Items that only touch the box are left out later.
    """
    return area if shapely.get_num_coordinates(area) <= _MAX_OUTLINE_POINTS else shapely.box(*area.bounds)


def _open_client(source: Source) -> "pystac_client.Client":
    try:
        import odc.stac  # noqa: F401
        import pystac_client
        from pystac_client.stac_api_io import StacApiIO
        from urllib3.util import Retry
    except ImportError as error:
        fix = "install them: pip install 'sat2cap[stac]'"
        raise ImageryError(f"imagery {source.name!r} needs more libraries ({error}); {fix}") from None
    retries = Retry(
        total=_MAX_RETRIES,
        backoff_factor=0.5,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,  # all of them, as a search is a POST
    )
    try:
        return pystac_client.Client.open(source.url, stac_io=StacApiIO(max_retries=retries, timeout=30))
    except Exception as error:
        raise _search_error(source, error) from None


def _search_error(source: Source, error: Exception) -> ImageryError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ImageryError(
        f"imagery {source.name!r}: the search failed ({reason[:200]}); check the address and terms"
    )


def _walk_catalogue(
    client: "pystac_client.Client", source: Source, area: shapely.Geometry
) -> Iterator["pystac.Item"]:
    """Yield the items of a static catalogue that meet the conditions, which no server checks for us."""
    from pystac_client.item_search import ItemSearch

    first, last = _datetime_span(ItemSearch(source.url, datetime=source.datetime or None))
    for item in client.get_items(recursive=True):
        cloud_cover = item.properties.get("eo:cloud_cover", 0.0)
        moment = str(item.properties.get("datetime") or item.properties.get("start_datetime") or "")
        if (
            (not source.collection or item.collection_id == source.collection)
            and (source.max_cloud is None or cloud_cover <= source.max_cloud)
            and first <= moment[:19] <= last
            and item.geometry is not None
            and shapely.geometry.shape(item.geometry).intersects(area)
        ):
            yield item


def _datetime_span(search: Any) -> tuple[str, str]:
    """Return the first and last second of a search's dates, as text that sorts by time."""
    first, _, last = str(search.get_parameters().get("datetime", "")).partition("/")
    ends = [end[:19] if end not in ("", "..") else "" for end in (first, last or first)]
    return ends[0], ends[1] or "9999"


def _select_covering(items: list[dict[str, Any]], area: shapely.Geometry) -> list[dict[str, Any]]:
    """Return the items in order of precedence that each add something to what those before cover of `area`.

    ::

        area     |------------------|
        clear    |-------|                 first: it covers the left
        hazy         |-------|             second: it adds the middle
        cloudy     |----|                  left out: it adds nothing
    """
    uncovered, selected = area, list[dict[str, Any]]()
    min_added = shapely.area(area) * _MIN_ADDED_SHARE
    by_date = sorted(items, key=lambda item: (item_datetime(item), item["id"]), reverse=True)
    for item in sorted(by_date, key=_cloud_cover):
        rest = uncovered.difference(shapely.make_valid(shapely.geometry.shape(item["geometry"])))
        added = shapely.area(uncovered) - shapely.area(rest)
        if added > min_added or (not selected and shapely.area(area) == 0):
            uncovered = rest
            selected.append(item)
    return selected


def _cloud_cover(item: Mapping[str, Any]) -> float:
    """Return the cloud cover of an item in percent, for sorting."""
    value = item["properties"].get("eo:cloud_cover")
    return _UNKNOWN_CLOUD_COVER if value is None else float(value)


def _describe_conditions(source: Source) -> str:
    cloud_cover = None if source.max_cloud is None else f"at most {source.max_cloud:g} % clouds"
    return ", ".join(text for text in (source.datetime, cloud_cover) if text) or "at any date"
