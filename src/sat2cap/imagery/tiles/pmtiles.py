"""Imagery in a PMTiles archive of pictures, local or over HTTP."""

import gzip
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pmtiles.tile import (
    Compression,
    TileType,
    deserialize_directory,
    deserialize_header,
    find_tile,
    zxy_to_tileid,
)

from sat2cap.errors import ImageryError
from sat2cap.files import digest
from sat2cap.geo import Tile
from sat2cap.http import Fetcher, with_secrets
from sat2cap.imagery.identity import file_identity
from sat2cap.imagery.protocol import ImageryInfo
from sat2cap.imagery.tiles.reader import TileImagery, TileResult, decode_tile, finest_pixel_m
from sat2cap.redaction import redact_secrets

_PICTURE_TYPES = (TileType.PNG, TileType.JPEG, TileType.WEBP)
_HEADER_BYTES = 127
_MAGIC = b"PMTiles\x03"  # with the version
_MAX_DIRECTORY_DEPTH = 4  # levels of directories, by the specification
_MAX_CACHED_DIRECTORIES = 64  # one covers thousands of tiles


@dataclass
class PmtilesArchive:
    """A `TileStore` over one PMTiles file (version 3)."""

    path: str = field(repr=False)
    """Path or ``http(s)`` URL, which may hold secrets."""
    fetcher: Fetcher
    """The client for a URL, whose server must serve byte ranges."""
    header: dict[str, Any] = field(default_factory=dict)
    """The header's fields, by the names of the library `pmtiles`; read from the file if empty."""

    def __post_init__(self) -> None:
        """Read the header. Raises `ImageryError` if the file is not an archive of pictures."""
        self._directories: dict[int, list[Any]] = {}
        if not self.header:
            self.header = self._read_header()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the cached directories."""
        return PmtilesArchive, (self.path, self.fetcher, self.header)

    def fetch(self, tiles: Iterable[Tile]) -> Iterator[tuple[Tile, TileResult]]:
        """Yield each of `tiles` with its result, several read at once."""
        with ThreadPoolExecutor(self.fetcher.policy.max_concurrent, thread_name_prefix="tiles") as pool:
            yield from pool.map(lambda tile: (tile, self._read_tile(tile)), tiles)

    def read_metadata(self) -> dict[str, Any]:
        """Return the archive's metadata, such as ``attribution``; empty if it has none."""
        start, length = self.header["metadata_offset"], self.header["metadata_length"]
        data = self._read_bytes(start, length) if length else b"{}"
        if length and self.header["internal_compression"] == Compression.GZIP:
            data = gzip.decompress(data)
        metadata = json.loads(data)
        return metadata if isinstance(metadata, dict) else {}

    def read_tile_pixels(self) -> int:
        """Return the side of the first tile in pixels. Raises `ImageryError` if there are no tiles."""
        directory = self._read_root()
        for _ in range(_MAX_DIRECTORY_DEPTH):
            if directory and directory[0].run_length == 0:
                directory = self._read_leaf(directory[0])
        if not directory:
            raise ImageryError(f"imagery {self.path!r} holds no tiles; check how it was made")
        return int(decode_tile(self._read_tile_data(directory[0])).shape[-1])

    def _read_header(self) -> dict[str, Any]:
        data = self._read_bytes(0, _HEADER_BYTES)
        if data[:2] == b"PM" and data[:8] != _MAGIC:
            rule = "is a PMTiles archive of another version than 3"
            raise ImageryError(f"imagery {self.path!r} {rule}; convert it: pmtiles convert IN OUT")
        try:
            header = dict(deserialize_header(data))
        except Exception as error:  # the library's errors are of no class of its own
            reason = str(error) or type(error).__name__
            raise ImageryError(f"imagery {self.path!r} is no PMTiles archive ({reason}); check it") from None
        if header["tile_type"] not in _PICTURE_TYPES:
            kind = TileType(header["tile_type"]).name
            raise ImageryError(
                f"imagery {self.path!r} holds {kind} tiles, not pictures; take a raster archive"
            )
        return header

    def _read_tile(self, tile: Tile) -> TileResult:
        try:
            entry = self._find_entry(zxy_to_tileid(*tile))
            return None if entry is None else decode_tile(self._read_tile_data(entry))
        except ImageryError as error:
            return error
        except (OSError, ValueError, SyntaxError) as error:  # the last is Pillow's, for a broken PNG
            z, x, y = tile
            return ImageryError(
                f"tile {z}/{x}/{y} of {self.path!r} is broken ({error}); make the archive again"
            )

    def _find_entry(self, tile_id: int) -> Any:
        """Return the directory entry of a tile, or None if the archive does not have the tile."""
        directory = self._read_root()
        for _ in range(_MAX_DIRECTORY_DEPTH):
            entry = find_tile(directory, tile_id)
            if entry is None or entry.run_length > 0:
                return entry
            directory = self._read_leaf(entry)
        return None

    def _read_root(self) -> list[Any]:
        return self._read_directory(self.header["root_offset"], self.header["root_length"])

    def _read_leaf(self, entry: Any) -> list[Any]:
        return self._read_directory(self.header["leaf_directory_offset"] + entry.offset, entry.length)

    def _read_directory(self, offset: int, length: int) -> list[Any]:
        directory = self._directories.get(offset)
        if directory is None:
            directory = deserialize_directory(self._read_bytes(offset, length))
            if len(self._directories) >= _MAX_CACHED_DIRECTORIES:
                self._directories.clear()
            self._directories[offset] = directory
        return directory

    def _read_tile_data(self, entry: Any) -> bytes:
        """Return the encoded picture that an entry points to."""
        data = self._read_bytes(self.header["tile_data_offset"] + entry.offset, entry.length)
        return gzip.decompress(data) if self.header["tile_compression"] == Compression.GZIP else data

    def _read_bytes(self, offset: int, length: int) -> bytes:
        if not is_remote(self.path):
            with Path(self.path).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        byte_range = {"Range": f"bytes={offset}-{offset + length - 1}"}
        check_length = partial(_require_length, length)
        address = with_secrets(self.path, self.path)
        data = self.fetcher.get(address, f"a part ({length} bytes)", check_length, byte_range)
        if data is None:
            raise ImageryError(f"imagery {self.path!r}: there is no such file; check the address")
        return data


def is_remote(path: str) -> bool:
    """Return whether a path is a URL to be fetched over HTTP."""
    return path.startswith(("http://", "https://"))


def open_archive(path: str, attribution: str | None = None, licence: str = "unknown") -> TileImagery:
    """Return imagery from a PMTiles archive of PNG, JPEG or WebP tiles, given its path or URL.

    `attribution` defaults to the archive's own. Raises `ImageryError` if the file does not exist, is not such
    an archive, or holds no tiles.
    """
    if not is_remote(path) and not Path(path).is_file():
        raise ImageryError(f"imagery {path!r}: there is no such file; check the path")
    archive = PmtilesArchive(path, Fetcher(redact_secrets(path)))
    header, tile_pixels = archive.header, archive.read_tile_pixels()
    west, south, east, north = (
        header[f"{end}_{axis}_e7"] / 1e7
        for end, axis in (("min", "lon"), ("min", "lat"), ("max", "lon"), ("max", "lat"))
    )
    bounds = (west, south, east, north) if west < east and south < north else None
    if is_remote(path):
        identity = digest(redact_secrets(path), repr(sorted(header.items())))
    else:
        identity = file_identity(Path(path))
    if attribution is None:
        attribution = str(archive.read_metadata().get("attribution", ""))
    gsd_m = finest_pixel_m(header["max_zoom"], tile_pixels, bounds)
    info = ImageryInfo(path, digest("pmtiles", identity), gsd_m, attribution, licence)
    return TileImagery(archive, info, (header["min_zoom"], header["max_zoom"]), tile_pixels, bounds)


def _require_length(length: int, data: bytes) -> bytes:
    """Return `data` unchanged; raise `ValueError` if it is not `length` bytes long."""
    if len(data) != length:
        raise ValueError(f"{len(data)} bytes instead of {length}; does the server serve byte ranges?")
    return data
