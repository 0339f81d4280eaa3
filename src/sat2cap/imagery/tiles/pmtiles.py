"""Imagery in a PMTiles archive of pictures, local or over HTTP."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pmtiles.tile import (
    Compression,
    TileType,
    deserialize_header,
    find_tile,
    zxy_to_tileid,
)

from sat2cap.errors import ImageryError, quote
from sat2cap.files import digest, open_regular_file, parse_json
from sat2cap.geo import Tile
from sat2cap.http import Fetcher, with_secrets
from sat2cap.imagery.identity import file_identity
from sat2cap.imagery.protocol import ImageryInfo
from sat2cap.imagery.tiles.pmtiles_parts import (
    MAX_DIRECTORY_BYTES,
    MAX_METADATA_BYTES,
    MAX_TILE_BYTES,
    parse_directory,
    unpack,
)
from sat2cap.imagery.tiles.reader import TileImagery, TileResult, decode_tile, finest_pixel_m
from sat2cap.redaction import redact_secrets

_PICTURE_TYPES = (TileType.PNG, TileType.JPEG, TileType.WEBP)
_HEADER_BYTES = 127
_MAGIC = b"PMTiles\x03"  # with the version
_MAX_DIRECTORY_DEPTH = 4  # levels of directories, by the specification
_MAX_CACHED_DIRECTORIES = 64  # one covers thousands of tiles
_MAX_ZOOM = 30  # ids of tiles have 64 bits
_READABLE = (Compression.UNKNOWN, Compression.NONE, Compression.GZIP)


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
        """Yield each of `tiles` with its result, pixels of shape (4, h, w), None or error."""
        with ThreadPoolExecutor(self.fetcher.policy.max_concurrent, thread_name_prefix="tiles") as pool:
            yield from pool.map(lambda tile: (tile, self._read_tile(tile)), tiles)

    def read_metadata(self) -> dict[str, Any]:
        """Return the archive's metadata, such as ``attribution``; empty if it has none."""
        start, length = self.header["metadata_offset"], self.header["metadata_length"]
        if length == 0:
            return {}
        try:
            metadata = parse_json(self._read_part(start, length, MAX_METADATA_BYTES))
        except (OSError, ValueError) as error:
            raise self._damaged(error) from None
        return metadata if isinstance(metadata, dict) else {}

    def read_tile_pixels(self) -> int:
        """Return the side of the first tile in pixels. Raises `ImageryError` if there are no tiles."""
        if self.header["root_length"] == 0 or self.header["tile_data_length"] == 0:
            raise ImageryError(f"imagery {self.path!r} holds no tiles; check how it was made")
        try:
            directory = self._read_root()
            for _ in range(_MAX_DIRECTORY_DEPTH):
                if directory[0].run_length == 0:
                    directory = self._read_leaf(directory[0])
            return int(decode_tile(self._read_tile_data(directory[0])).shape[-1])
        except (OSError, ValueError) as error:
            raise self._damaged(error) from None

    def _read_header(self) -> dict[str, Any]:
        """Return the archive's header. Raises `ImageryError` if it has none, or one of another version."""
        try:
            data = self._read_bytes(0, _HEADER_BYTES, _HEADER_BYTES)
        except (OSError, ValueError) as error:
            raise ImageryError(
                f"imagery {self.path!r} is no PMTiles archive ({quote(error)}); check it"
            ) from None
        if data[:2] == b"PM" and data[:8] != _MAGIC:
            rule = "is a PMTiles archive of another version than 3"
            raise ImageryError(f"imagery {self.path!r} {rule}; convert it: pmtiles convert IN OUT")
        try:
            header = dict(deserialize_header(data))
        except Exception as error:  # the library's errors are of no class of its own
            raise ImageryError(
                f"imagery {self.path!r} is no PMTiles archive ({quote(error)}); check it"
            ) from None
        if header["tile_type"] not in _PICTURE_TYPES:
            kind = TileType(header["tile_type"]).name
            raise ImageryError(
                f"imagery {self.path!r} holds {kind} tiles, not pictures; take a raster archive"
            )
        if header["tile_compression"] not in _READABLE or header["internal_compression"] not in _READABLE:
            rule = "is packed with brotli or zstd, which is not read"
            raise ImageryError(f"imagery {self.path!r} {rule}; write it with gzip or without compression")
        if not header["min_zoom"] <= header["max_zoom"] <= _MAX_ZOOM:
            zooms = f"{header['min_zoom']} to {header['max_zoom']}"
            raise ImageryError(f"imagery {self.path!r} states zooms {zooms}; check how it was made")
        return header

    def _damaged(self, error: Exception) -> ImageryError:
        return ImageryError(f"imagery {self.path!r} is damaged ({quote(error)}); make or download it again")

    def _read_tile(self, tile: Tile) -> TileResult:
        """Return a tile's pixels, None if the archive lacks it, or the error that reading it gave."""
        try:
            entry = self._find_entry(zxy_to_tileid(*tile))
            return None if entry is None else decode_tile(self._read_tile_data(entry))
        except ImageryError as error:
            return error
        except (OSError, ValueError) as error:
            z, x, y = tile
            return ImageryError(
                f"tile {z}/{x}/{y} of {self.path!r} is broken ({quote(error)}); make the archive again"
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
            directory = parse_directory(self._read_part(offset, length, MAX_DIRECTORY_BYTES))
            if len(self._directories) >= _MAX_CACHED_DIRECTORIES:
                self._directories.clear()
            self._directories[offset] = directory
        return directory

    def _read_tile_data(self, entry: Any) -> bytes:
        """Return the encoded picture that an entry points to."""
        start = self.header["tile_data_offset"] + entry.offset
        data = self._read_bytes(start, entry.length, MAX_TILE_BYTES)
        return unpack(data, self.header["tile_compression"], MAX_TILE_BYTES)

    def _read_part(self, offset: int, length: int, limit_bytes: int) -> bytes:
        """Return a directory or the metadata, unpacked. Raises `ValueError` if it is broken or too large."""
        data = self._read_bytes(offset, length, limit_bytes)
        return unpack(data, self.header["internal_compression"], limit_bytes)

    def _read_bytes(self, offset: int, length: int, limit_bytes: int) -> bytes:
        """Return a part of the archive. Raises `ValueError` if it is too long, or cut short."""
        if not (0 <= offset < 2**63 and 0 < length <= limit_bytes):
            raise ValueError(f"a part of {length} bytes, of which {limit_bytes} are read at most")
        if not is_remote(self.path):
            with open_regular_file(self.path) as file:
                file.seek(offset)
                part = file.read(length)
            if len(part) != length:
                raise ValueError("the file is cut short")
            return part
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
    stated = -180 <= west < east <= 180 and -90 <= south < north <= 90
    bounds = (west, south, east, north) if stated else None
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
