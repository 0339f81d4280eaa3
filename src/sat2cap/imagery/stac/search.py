"""Search of a STAC API or static catalogue for the least clouded items that cover a region."""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import shapely
from odc.geo.geom import Geometry

from sat2cap.errors import ImageryError, JobError, Sat2CapError, quote
from sat2cap.geo import LONLAT, divide_long_edges
from sat2cap.imagery.named import Source
from sat2cap.imagery.stac.items import (
    Item,
    UnusableItemError,
    cloud_cover,
    has_date,
    item_datetime,
    item_outline,
    overlaps_dates,
    require_usable,
)

if TYPE_CHECKING:
    import pystac_client

    from sat2cap.imagery.stac.server import LimitedStacIO

_MIN_ADDED_SHARE = 1e-3  # share of the region that an item must add to those before it
_UNKNOWN_CLOUD_COVER = 101.0  # percent; sorts after all items that state theirs
_MAX_OUTLINE_POINTS = 500  # of the area that a search sends
_MAX_CATALOGUE_FILES = 100_000  # of a static catalogue


@dataclass(frozen=True)
class SearchResult:
    """What a search came to."""

    items: tuple[Item, ...]
    """The items to read, the least clouded first."""
    notes: tuple[str, ...]
    """What was left out or cut short, one line each."""


def search_items(source: Source, region: Geometry | None) -> SearchResult:
    """Return the items that cover `region` (any CRS) or the source's own bounds, and what was left out.

    The least clouded items come first, and of equally clouded ones the newest. Those that add nothing to what
    the ones before them cover are not needed. Those that cannot be used are counted by their reason, such as
    "2 items left out: without the asset 'visual'". Raises `ImageryError` if the search fails, reaches a limit
    of pages, bytes or time, or finds nothing usable.
    """
    area = _search_area(source, region)
    counts: Counter[str] = Counter()
    notes: list[str] = []
    usable, read = [], 0
    for item in _find_items(source, area, counts, notes):
        read += 1
        try:
            require_usable(item, source)
        except UnusableItemError as error:
            counts[str(error)] += 1
        else:
            usable.append(item)
    if read >= source.max_items:
        notes.append(f"the search ended at {read} items (max_items); there may be more")
    items = _select_covering(usable, area)
    left_out = [
        f"{count} item{'s' if count > 1 else ''} left out: {reason}"
        for reason, count in sorted(counts.items())
    ]
    if not items:
        named = "".join(f"; {text}" for text in (*left_out, *notes))
        of = f" of {source.collection!r}" if source.collection else ""
        rule = f"no item{of} there ({_describe_conditions(source)}{named})"
        raise ImageryError(f"imagery {source.name!r}: {rule}; widen the dates or the cloud cover")
    return SearchResult(tuple(items), (*left_out, *notes))


def _search_area(source: Source, region: Geometry | None) -> shapely.Geometry:
    """Return the area to search, in degrees."""
    if region is not None:
        box = region.boundingbox
        longest = max(box.span_x, box.span_y) / 64
        return divide_long_edges(region, longest).to_crs(LONLAT).geom
    if source.bounds is None:
        raise ImageryError(
            f"imagery {source.name!r} is a search; say where: give a REGION, or ?bounds=w,s,e,n"
        )
    return shapely.box(*source.bounds)


def _find_items(
    source: Source, area: shapely.Geometry, counts: Counter[str], notes: list[str]
) -> Iterator[Item]:
    """Yield the items of the collection and dates, as JSON.

    What cannot be read is counted in `counts`; what a limit has cut short is added to `notes`.
    """
    query = None if source.max_cloud is None else {"eo:cloud_cover": {"lte": source.max_cloud}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pystac-client warns that a static catalogue has no search
            stac_io, client = _open_client(source)
            if client.conforms_to("ITEM_SEARCH"):
                search = client.search(
                    collections=[source.collection] if source.collection else None,
                    intersects=shapely.geometry.mapping(_simplify_outline(area)),
                    datetime=source.datetime or None,
                    query=query,
                    max_items=source.max_items,
                )
                for item in search.items_as_dicts():
                    yield _with_absolute_addresses(item, _self_address(item) or source.url)
            else:
                yield from _walk_catalogue(stac_io, source, area, counts)
            notes.extend(stac_io.notes)
    except Sat2CapError:
        raise
    except Exception as error:  # of pystac-client, of a malformed answer
        fix = "check the address and terms"
        raise ImageryError(f"imagery {source.name!r}: the search failed ({quote(error)}); {fix}") from None


def _simplify_outline(area: shapely.Geometry) -> shapely.Geometry:
    """Return `area`, or its bounding box if it has many points: services refuse long outlines.

    Items that only touch the box are left out later.
    """
    return area if shapely.get_num_coordinates(area) <= _MAX_OUTLINE_POINTS else shapely.box(*area.bounds)


def _open_client(source: Source) -> "tuple[LimitedStacIO, pystac_client.Client]":
    """Return what limits requests, and a client by it. Raises `ImageryError` if a library is missing."""
    try:
        import pystac_client

        from sat2cap.imagery.stac.server import LimitedStacIO
    except ImportError as error:
        fix = "install them: pip install 'sat2cap[stac]'"
        raise ImageryError(f"imagery {source.name!r} needs more libraries ({quote(error)}); {fix}") from None
    stac_io = LimitedStacIO(source.name)
    return stac_io, pystac_client.Client.open(source.url, stac_io=stac_io)


def _walk_catalogue(
    stac_io: "LimitedStacIO", source: Source, area: shapely.Geometry, counts: Counter[str]
) -> Iterator[Item]:
    """Yield the items of a static catalogue of the collection, dates and place, which no server checks.

    Every file is read once; one that cannot be read is counted, except for the first. At most
    `source.max_items` items are yielded.
    """
    from pystac_client.item_search import ItemSearch

    from sat2cap.imagery.stac.server import SearchLimitError

    first, last = _datetime_span(ItemSearch(source.url, datetime=source.datetime or None))
    pending, seen, yielded = [source.url], {source.url}, 0
    while pending and yielded < source.max_items and len(seen) <= _MAX_CATALOGUE_FILES:
        address = pending.pop(0)
        try:
            document = stac_io.read_json(address)
            links = [link for link in document.get("links") or [] if isinstance(link, Mapping)]
        except Exception as error:  # of the server, of JSON that is none
            if address == source.url or isinstance(error, JobError | SearchLimitError):
                raise
            counts["in files that cannot be read"] += 1
            continue
        if document.get("type") == "Feature":
            if source.datetime and not has_date(document):
                counts["without a date"] += 1
            elif _is_wanted(document, source, area, first, last):
                yielded += 1
                yield _with_absolute_addresses(document, address)
            continue
        for link in links:
            target = _join_address(address, str(link.get("href", "")))
            if link.get("rel") in ("item", "child") and target not in seen:
                seen.add(target)
                pending.append(target)


def _is_wanted(item: Item, source: Source, area: shapely.Geometry, first: str, last: str) -> bool:
    """Return whether an item is of the collection, dates and place; unusable ones are judged later."""
    if source.collection and item.get("collection") != source.collection:
        return False
    try:
        is_then = not source.datetime or overlaps_dates(item, first, last)
        return is_then and item_outline(item).intersects(area)
    except UnusableItemError:
        return True


def _with_absolute_addresses(item: Item, address: str) -> Item:
    """Return an item whose assets' addresses are relative to `address`, with absolute ones."""
    if not isinstance(item, Mapping) or not isinstance(item.get("assets"), Mapping):
        return item
    assets = {
        key: {**asset, "href": _join_address(address, asset["href"])}
        if isinstance(asset, Mapping) and isinstance(asset.get("href"), str)
        else asset
        for key, asset in item["assets"].items()
    }
    return {**item, "assets": assets}


def _join_address(base: str, address: str) -> str:
    """Return an address that may be relative to `base`; as it is where it is no valid one."""
    try:
        return urljoin(base, address)
    except ValueError:  # of a bracket that is not closed
        return address


def _self_address(item: Item) -> str | None:
    links = item.get("links") if isinstance(item, Mapping) else None
    for link in links if isinstance(links, list) else []:
        if isinstance(link, Mapping) and link.get("rel") == "self":
            return str(link.get("href"))
    return None


def _datetime_span(search: Any) -> tuple[str, str]:
    """Return the first and last second of a search's dates, as text that sorts by time."""
    first, _, last = str(search.get_parameters().get("datetime", "")).partition("/")
    ends = [end[:19] if end not in ("", "..") else "" for end in (first, last or first)]
    return ends[0], ends[1] or "9999"


def _select_covering(items: list[Item], area: shapely.Geometry) -> list[Item]:
    """Return the items in order of precedence that each add something to what those before cover of `area`.

    ::

        area     |------------------|
        clear    |-------|                 first: it covers the left
        hazy         |-------|             second: it adds the middle
        cloudy     |----|                  left out: it adds nothing
    """
    uncovered, selected = area, list[Item]()
    min_added = shapely.area(area) * _MIN_ADDED_SHARE
    by_date = sorted(items, key=lambda item: (item_datetime(item), item["id"]), reverse=True)
    for item in sorted(by_date, key=_cloud_sort_key):
        rest = uncovered.difference(item_outline(item))
        added = shapely.area(uncovered) - shapely.area(rest)
        if added > min_added or (not selected and shapely.area(area) == 0):
            uncovered = rest
            selected.append(item)
    return selected


def _cloud_sort_key(item: Item) -> float:
    percent = cloud_cover(item)
    return _UNKNOWN_CLOUD_COVER if percent is None else percent


def _describe_conditions(source: Source) -> str:
    cloud_cover = None if source.max_cloud is None else f"at most {source.max_cloud:g} % clouds"
    return ", ".join(text for text in (source.datetime, cloud_cover) if text) or "at any date"
