"""Servers on loopback that serve imagery, in good and in bad ways; they end with the test.

::

    with tile_server(MiniImagery(World(2))) as server:
        imagery = open_tiles(server.url)          # http://127.0.0.1:PORT/{z}/{x}/{y}.png
        server.faults = lambda tile, nth: 500 if tile[1] % 50 == 0 else None

A fault is a status, `TRUNCATED` (the connection ends half way), `GARBLED` (half an image, said to be all of
it), `after(seconds)` (429 with Retry-After), or `late(seconds)` (a right answer that takes its time).
"""

import io
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import shapely
from affine import Affine
from file_server import RangeHandler, running
from odc.geo.geobox import GeoBox
from PIL import Image

from sat2cap.geo.grid import outline
from sat2cap.imagery.protocol import Imagery

Tile = tuple[int, int, int]
EQUATOR_M = 2 * math.pi * 6378137.0
TRUNCATED, GARBLED = "truncated", "garbled"


@dataclass(frozen=True)
class Wait:
    seconds: float
    refuse: bool


def after(seconds: float) -> Wait:
    """429, to be tried again in so many seconds."""
    return Wait(seconds, True)


def late(seconds: float) -> Wait:
    """The right answer, so many seconds late."""
    return Wait(seconds, False)


Fault = int | str | Wait | None


def no_fault(tile: Tile, nth: int) -> Fault:
    return None


@dataclass
class TileServer:
    """What a running server is asked, and what it does about it."""

    imagery: Imagery
    size: int = 256
    suffix: str = "png"
    faults: Callable[[Tile, int], Fault] = no_fault
    """Of a tile and how often it has been asked for, from 0: what goes wrong."""
    asked: Counter[Tile] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of every request."""
    queries: list[str] = field(default_factory=list)
    most_at_once: int = 0
    port: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _made: dict[Tile, bytes | None] = field(default_factory=dict)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.root}/{{z}}/{{x}}/{{y}}.{self.suffix}"

    def rest(self) -> None:
        """Forget what was asked; waits for answers that are still under way."""
        while self._now:
            time.sleep(0.01)
        self.faults, self.most_at_once = no_fault, 0
        self.asked.clear()
        self.headers.clear()
        self.queries.clear()

    @contextmanager
    def request(self, tile: Tile) -> Iterator[Fault]:
        """Counts a request while it is under way, and says what is to go wrong."""
        with self._lock:
            nth = self.asked[tile]
            self.asked[tile] += 1
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            yield self.faults(tile, nth)
        finally:
            with self._lock:
                self._now -= 1

    def body(self, tile: Tile) -> bytes | None:
        """The encoded tile; None where the imagery has nothing. Made once."""
        with self._lock:
            if tile not in self._made:
                self._made[tile] = encode(self.imagery.read(tile_box(tile, self.size)).values, self.suffix)
            return self._made[tile]


def tile_box(tile: Tile, size: int = 256) -> GeoBox:
    """A tile's pixels in EPSG:3857."""
    z, x, y = tile
    side = EQUATOR_M / 2**z
    affine = Affine(side / size, 0, x * side - EQUATOR_M / 2, 0, -side / size, EQUATOR_M / 2 - y * side)
    return GeoBox((size, size), affine, "EPSG:3857")


def encode(rgba: np.ndarray, suffix: str) -> bytes | None:
    if not rgba[..., 3].any():
        return None
    out = io.BytesIO()
    image = Image.fromarray(rgba)
    if suffix == "png":
        image.save(out, "PNG", compress_level=1)
    else:
        image.convert("RGB").save(out, "JPEG", quality=95)
    return out.getvalue()


class _TileHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        tiles: TileServer = self.server.tiles
        path, _, query = self.path.partition("?")
        tiles.headers.append(dict(self.headers))
        tiles.queries.append(query)
        z, x, y = (int(part.split(".")[0]) for part in path.strip("/").split("/")[-3:])
        with tiles.request((z, x, y)) as fault:
            self._answer(tiles, (z, x, y), fault)

    def _answer(self, tiles: TileServer, tile: Tile, fault: Fault) -> None:
        if isinstance(fault, int):
            return self._send(fault, b"no")
        if isinstance(fault, Wait) and fault.refuse:
            return self._send(429, b"slow down", {"Retry-After": f"{fault.seconds:g}"})
        if isinstance(fault, Wait):
            time.sleep(fault.seconds)
        body = tiles.body(tile)
        if body is None:
            return self._send(404, b"none")
        if fault == GARBLED:
            body = body[: len(body) // 2]
        self._send(200, body, cut=fault == TRUNCATED)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = cut

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def tile_server(imagery: Imagery, size: int = 256, suffix: str = "png") -> Iterator[TileServer]:
    """Any imagery as Web Mercator tiles; 404 where it has nothing."""
    with running(_TileHandler) as server:
        tiles = TileServer(imagery, size, suffix)
        server.tiles = tiles  # type: ignore[attr-defined]
        tiles.port = server.server_address[1]
        yield tiles


@contextmanager
def file_server(folder: Path) -> Iterator[Any]:
    """A folder over HTTP with byte ranges: ``(root, server)``; ``server.sent`` counts bytes of bodies."""
    with running(partial(RangeHandler, directory=str(folder))) as server:
        server.sent = 0  # type: ignore[attr-defined]
        yield f"http://127.0.0.1:{server.server_address[1]}", server


class _StacHandler(RangeHandler):
    """A folder with files and ``catalog.json``, and a search over `server.items` at ``/search``."""

    def do_GET(self) -> None:  # noqa: N802 (http.server's name)
        if self.path.partition("?")[0] in ("/", "/collections"):
            return self._json(self._landing() if self.path.startswith("/?") or self.path == "/" else {})
        if self.path.startswith("/sign?"):
            (href,) = parse_qs(self.path.partition("?")[2])["href"]
            self.server.signed.append(href)
            return self._json({"href": f"{href}?signature=1"})
        super().do_GET()

    def do_POST(self) -> None:  # noqa: N802 (http.server's name)
        search = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.searches.append(search)
        fault = self.server.faults.pop(0) if self.server.faults else None
        if isinstance(fault, Wait):
            return self._json({}, 429, {"Retry-After": f"{fault.seconds:g}"})
        if fault is not None:
            return self._json({"code": "broken"}, fault)
        matching = [item for item in self.server.items if matches(item, search)]
        start, limit = int(search.get("token", 0)), min(int(search.get("limit", 10)), self.server.page)
        links = []
        if start + limit < len(matching):
            body = {**search, "token": start + limit}
            links = [{"rel": "next", "href": f"{self._root()}/search", "method": "POST", "body": body}]
        self._json({"type": "FeatureCollection", "features": matching[start : start + limit], "links": links})

    def _root(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def _landing(self) -> dict[str, Any]:
        return {
            "type": "Catalog",
            "id": "loopback",
            "stac_version": "1.0.0",
            "description": "items for tests",
            "conformsTo": [
                "https://api.stacspec.org/v1.0.0/core",
                "https://api.stacspec.org/v1.0.0/item-search",
                "https://api.stacspec.org/v1.0.0/item-search#query",
            ],
            "links": [
                {"rel": "self", "href": self._root()},
                {"rel": "root", "href": self._root()},
                {"rel": "search", "href": f"{self._root()}/search", "method": "POST"},
            ],
        }

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def matches(item: dict[str, Any], search: dict[str, Any]) -> bool:
    """Whether an item meets a search: collections, intersects, datetime and the greatest cloud cover."""
    properties = item["properties"]
    first, _, last = search.get("datetime", "../..").partition("/")
    least, most = (end if end not in ("", "..") else None for end in (first, last or first))
    cloud = search.get("query", {}).get("eo:cloud_cover", {}).get("lte", 100)
    return (
        item["collection"] in search.get("collections", [item["collection"]])
        and (least is None or properties["datetime"] >= least)
        and (most is None or properties["datetime"] <= most)
        and properties.get("eo:cloud_cover", 0) <= cloud
        and shapely.geometry.shape(item["geometry"]).intersects(shapely.geometry.shape(search["intersects"]))
    )


def stac_item(
    name: str,
    grid: GeoBox,
    assets: dict[str, str | dict[str, Any]],
    datetime: str = "2024-06-01T10:00:00Z",
    collection: str = "made",
    **properties: Any,
) -> dict[str, Any]:
    """An item over `grid`; assets are addresses, or an address with more fields."""
    area = outline(grid).geom
    whole = {key: {"href": value} if isinstance(value, str) else value for key, value in assets.items()}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": collection,
        "geometry": shapely.geometry.mapping(area),
        "bbox": list(area.bounds),
        "properties": {"datetime": datetime, **properties},
        "assets": whole,
        "links": [],
    }


@contextmanager
def stac_server(folder: Path) -> Iterator[Any]:
    """``(root, server)``: fill ``server.items``; ``server.faults`` answers the next searches instead.

    ``/sign?href=`` gives an address to read an asset at, and notes it in ``server.signed``.
    """
    with running(partial(_StacHandler, directory=str(folder))) as server:
        server.sent, server.page = 0, 2  # type: ignore[attr-defined]
        server.items, server.searches, server.faults, server.signed = [], [], [], []  # type: ignore[attr-defined]
        yield f"http://127.0.0.1:{server.server_address[1]}", server
