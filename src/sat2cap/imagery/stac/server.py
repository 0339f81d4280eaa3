"""Requests of a STAC search: pages and files of JSON, within limits of items, pages, bytes and time."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from pystac import Link
from pystac_client.stac_api_io import StacApiIO

from sat2cap.errors import ImageryError
from sat2cap.files import parse_json
from sat2cap.formatting import format_bytes, format_duration
from sat2cap.http import Fetcher, FetchPolicy

MAX_SEARCH_S = 600.0
"""Seconds after which a search makes no further request."""
MAX_SEARCH_BYTES = 2**30
"""Bytes of JSON after which a search makes no further request."""
MAX_PAGES = 10_000
"""Pages of items that a search reads."""
POLICY = FetchPolicy(timeout_s=20.0, max_request_s=45.0, max_answer_bytes=128 * 2**20)
"""Limits of one request: a server that never answers is left after 45 s."""


class SearchLimitError(ImageryError):
    """A search has reached a limit; the text says which, and how far it came."""


class LimitedStacIO(StacApiIO):
    """pystac-client's requests, sent by a `Fetcher` and ended at a limit; `notes` says what was cut short."""

    def __init__(self, name: str) -> None:
        """Begin a search; `name` is that of the source, for messages."""
        super().__init__(max_retries=None)
        self.notes: list[str] = []
        self._name, self._start_s = name, time.monotonic()
        self._fetcher = Fetcher(name, policy=POLICY)
        self._requests = self._bytes = self._items = 0

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Return the text of an answer. Raises `ImageryError`, and `SearchLimitError` at a limit."""
        self._require_budget()
        sends_body = (method or "GET").upper() == "POST"
        url = href if sends_body or not parameters else str(httpx.URL(href).copy_merge_params(parameters))
        text = self._fetcher.send(
            "POST" if sends_body else "GET",
            url,
            "the search",
            _checked_json,
            headers,
            (parameters or {}) if sends_body else None,
        )
        if text is None:
            raise ImageryError(
                f"imagery {self._name!r}: the search failed (nothing there); check the address"
            )
        self._requests, self._bytes = self._requests + 1, self._bytes + len(text)
        return text

    def get_pages(
        self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield pages of items that were not on a page before; end where a page brings none."""
        seen: set[str] = set()
        link: Any = url
        options: dict[str, Any] = {"method": method, "parameters": parameters}
        for number in range(MAX_PAGES):
            page = self.read_json(link, **options)
            features = page.get("features")
            features = features if isinstance(features, list) else []
            keys = [_feature_key(feature) for feature in features]
            fresh = [feature for key, feature in zip(keys, features, strict=True) if key not in seen]
            if features and not fresh:
                self.notes.append(f"the server gave the same items again after {number} pages; it ends there")
            if not fresh:
                return
            seen |= set(keys)
            self._items += len(fresh)
            yield {**page, "features": fresh}
            following = _next_link(page)
            if following is None:
                return
            link, options = Link.from_dict(following), {"parameters": parameters}
        raise self._limit_error(f"{MAX_PAGES} pages")

    def _require_budget(self) -> None:
        if time.monotonic() - self._start_s > MAX_SEARCH_S:
            raise self._limit_error(format_duration(MAX_SEARCH_S))
        if self._bytes > MAX_SEARCH_BYTES:
            raise self._limit_error(format_bytes(MAX_SEARCH_BYTES))

    def _limit_error(self, limit: str) -> SearchLimitError:
        reached = f"{self._requests} answers, {self._items} items, {format_bytes(self._bytes)}"
        fix = "narrow it by region, datetime or max_items"
        return SearchLimitError(f"imagery {self._name!r}: the search was ended at {limit} ({reached}); {fix}")


def _checked_json(data: bytes) -> str:
    """Return an answer as text. Raises `ValueError` if it is no JSON object, which is asked for again."""
    text = data.decode("utf-8")
    if not isinstance(parse_json(text), dict):
        raise ValueError("no JSON object")
    return text


def _feature_key(feature: Any) -> str:
    """Return what tells an item from others: its collection and id, or all of it if it has none."""
    if isinstance(feature, Mapping) and isinstance(feature.get("id"), str):
        return f"{feature.get('collection')}/{feature['id']}"
    return json.dumps(feature, sort_keys=True)


def _next_link(page: Mapping[str, Any]) -> dict[str, Any] | None:
    links = page.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") == "next" and isinstance(link.get("href"), str):
            return link
    return None
