"""Which format a raster may have by what the user named: no file is opened as what its name does not say.

Some formats of GDAL, such as VRT, are lists of other files and addresses. They are read only when the user's
own words name them: a local file whose name ends in ``.vrt``, or ``DRIVER:…``. Whatever comes over a network
is a picture by itself, and reads nothing but its own address.
"""

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from pathlib import Path

from sat2cap.errors import ImageryError

PICTURE_FORMATS = "GeoTIFF, JPEG 2000, PNG, JPEG or WebP"
"""Formats that hold their own pixels, as messages name them; all that is read over a network."""

_PICTURE_SUFFIXES = {
    "GTiff": (".tif", ".tiff", ".gtiff", ".cog"),
    "JP2OpenJPEG": (".jp2", ".j2k", ".jpx"),
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
}
_PICTURE_MAGIC = {
    "GTiff": re.compile(rb"II[*+]\x00|MM\x00[*+]"),
    "JP2OpenJPEG": re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
# Drivers that read other files or addresses, and the suffixes of names that ask for them.
_REFERRING_DRIVERS = {
    "VRT": (".vrt",),
    "GTI": (".gti", ".gpkg", ".fgb"),
    "WMS": (".xml", ".wms"),
    "WMTS": (".xml", ".wmts"),
    "WCS": (".xml", ".wcs"),
    "MRF": (".mrf",),
    "TIL": (".til",),
    "KMLSUPEROVERLAY": (".kml", ".kmz"),
    **dict.fromkeys(("STACIT", "STACTA", "HTTP", "DERIVED", "PLMOSAIC", "EEDA", "EEDAI", "ISCE"), ()),
}
_LIST_MARKS = tuple(
    f"<{name}".encode()
    for name in ("VRTDataset", "GDAL_WM", "WMS_", "WCS_GDAL", "GDALTileIndex", "MRF_META", "Capabilities")
)
_LIST_SUFFIXES = frozenset(suffix for suffixes in _REFERRING_DRIVERS.values() for suffix in suffixes)
_VRT_SOURCE = re.compile(r"<(?:[A-Za-z]*(?:Filename|Dataset|File)|Argument)\b([^>]*)>([^<]+)<")
"""Elements of a VRT that may hold the name of a file: their attributes and their text."""
_OVERVIEW_BESIDE = ":::BASE:::"
_HEAD_BYTES = 2048
_START_LIFETIME_S = 60.0  # shorter than that of signed addresses, which some redirects lead to
_WEB_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)


def choose_driver(path: str, head: bytes | None, *, remote: bool) -> str | None:
    """Return the name of GDAL's driver that may open a raster; None if GDAL may choose, see `check_driver`.

    `head` is the start of its bytes, None if unknown. Raises `ImageryError` if these are no picture although
    its name says so, or although it comes over a network.
    """
    suffix = Path(path.partition("?")[0]).suffix.lower()
    by_name = next((name for name, suffixes in _PICTURE_SUFFIXES.items() if suffix in suffixes), None)
    if not remote and by_name is None:
        return None
    if not head:
        return by_name or "GTiff"
    for name, magic in _PICTURE_MAGIC.items():
        if magic.match(head):
            return name
    rule = "it is no picture by its first bytes"
    what = "what is read over a network" if remote else "a file of this name"
    raise ImageryError(f"imagery {path!r} cannot be read ({rule}); {what} must be {PICTURE_FORMATS}")


def check_driver(path: str, driver: str, files: list[str]) -> None:
    """Raise `ImageryError` if a local raster was opened as a list of others without its name saying so.

    `files` are the files that GDAL reads for it: the raster itself, and those beside it.
    """
    suffix = Path(path).suffix.lower()
    if driver in _REFERRING_DRIVERS and suffix not in _REFERRING_DRIVERS[driver]:
        raise _list_error(path)
    if suffix not in _LIST_SUFFIXES:
        for name in files:
            require_no_list(name)


def require_own_overviews(path: str, overview_file: str | None, *, remote: bool = False) -> None:
    """Raise `ImageryError` if the metadata of a raster name a file or address elsewhere as its overviews.

    GDAL would open it, whatever it is. A file of the same folder is written ``:::BASE:::NAME``; `remote` says
    that there is no folder.
    """
    if overview_file is None:
        return
    start, _, name = overview_file.partition(_OVERVIEW_BESIDE)
    if remote or start or not name or set(name) & set("/\\:<"):
        fix = "remove OVERVIEW_FILE from its metadata"
        raise ImageryError(
            f"imagery {path!r} names something else as its overviews, which is not read; {fix}"
        )
    require_no_list(str(Path(path).with_name(name)))


def require_no_list(path: str) -> None:
    """Raise `ImageryError` if a local file is a list of others by its first bytes, but not by its name."""
    if Path(path).suffix.lower() in _LIST_SUFFIXES or path.lower().endswith(".aux.xml"):
        return
    head = read_head(path)
    if head and any(mark in head for mark in _LIST_MARKS):
        raise _list_error(path)


def reads_elsewhere(path: Path, folder: Path) -> bool:
    """Return whether a VRT reads anything but files in a folder: other files, addresses, drivers' names.

    A VRT that can not be read as text counts as one that does.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError):
        return True
    for attributes, value in _VRT_SOURCE.findall(text):
        name = unescape(value).strip()
        start = path.parent if re.search(r"relativeToVRT\s*=\s*[\"']1", attributes) else Path()
        if ":" in name or "<" in name or name.startswith("/vsi"):
            return True
        try:
            inside = (start / name).resolve().is_relative_to(folder.resolve())
        except (OSError, ValueError):
            return True
        if not inside:
            return True
    return False


def read_head(path: str) -> bytes | None:
    """Return the first bytes of a local file; None if there is no such file, or it cannot be read."""
    try:
        if not Path(path).is_file():
            return None
        with Path(path).open("rb") as file:
            return file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class RemoteStart:
    """What a web address gave when it was asked."""

    address: str
    """Where its redirects have led: the address itself without any, or if it did not answer."""
    head: bytes | None = None
    """The first bytes there; None if it did not answer, or is on no ``http`` server."""


def fetch_start(address: str, first: str, name: str) -> RemoteStart:
    """Return where a web address leads and the first bytes there, at most a minute old.

    `first` is the address that the user gave, and `name` what messages call it. Raises `ImageryError` if
    `address`, or what it redirects to, is inside this network while `first` is not.
    """
    return _fetch_start(address, first, name, int(time.monotonic() // _START_LIFETIME_S))


@lru_cache(maxsize=4096)
def _fetch_start(address: str, first: str, name: str, minute: int) -> RemoteStart:
    """Fetch the first bytes of a file at an address; `minute` makes the cache of answers forget old ones."""
    import httpx

    from sat2cap.http import redirect_guard, require_reachable, user_agent

    match = _WEB_ADDRESS.search(address)
    if match is None:
        return RemoteStart(address)
    require_reachable(match[0], first, name)
    headers = {"User-Agent": user_agent(), "Range": f"bytes=0-{_HEAD_BYTES - 1}"}
    hooks = {"response": [redirect_guard(name)]}
    try:
        with (
            httpx.Client(follow_redirects=True, timeout=20, event_hooks=hooks) as client,
            client.stream("GET", match[0], headers=headers) as answer,
        ):
            if answer.is_success:
                final = address.replace(match[0], str(answer.url)) if answer.history else address
                return RemoteStart(final, next(answer.iter_bytes(_HEAD_BYTES), b""))
    except (httpx.HTTPError, httpx.InvalidURL):
        pass
    return RemoteStart(address)


def _list_error(path: str) -> ImageryError:
    rule = "is a list of other files by its content, but not by its name"
    return ImageryError(f"imagery {path!r} {rule}; if it is your own, name it .vrt")
