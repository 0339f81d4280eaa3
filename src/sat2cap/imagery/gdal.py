"""Opening rasters with GDAL: its settings, and its errors as `ImageryError`."""

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from sat2cap.errors import ImageryError
from sat2cap.http import with_secrets
from sat2cap.imagery.formats import (
    check_driver,
    choose_driver,
    fetch_start,
    read_head,
    require_no_list,
    require_own_overviews,
)
from sat2cap.redaction import redact_secrets

HTTP_RETRY_SETTINGS = {
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": 1,
    "GDAL_HTTP_TIMEOUT": 60,
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
}
"""GDAL's settings for slow and failing servers; delays and timeouts in seconds."""

_SETTINGS = HTTP_RETRY_SETTINGS | {
    "GDAL_CACHEMAX": 256 * 2**20,  # bytes; the default is a share of the machine's memory
}
_REMOTE_SETTINGS = {
    # Over HTTP, listing a folder is a request for nothing. A local folder must be listed, as files beside a
    # raster hold its mask, nodata values, overviews, grid or CRS.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
}
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|/vsi(curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)", re.IGNORECASE)


_NETWORK = re.compile(
    r"(https?|ftps?|s3|gs|az|adls?|oss|swift|hdfs|webhdfs)://|/vsi(curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)",
    re.IGNORECASE,
)
_CREDENTIALS = tuple(
    f"GDAL_HTTP_{name}"
    for name in ("AUTH", "BEARER", "COOKIE", "COOKIEFILE", "HEADERS", "HEADER_FILE", "USERPWD")
)
_DRIVER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]+:")  # as in GPKG:a.gpkg:ortho, about which GDAL says more


def is_remote(path: str) -> bool:
    """Return whether GDAL reads a path over a network: a URL, or a file system such as ``/vsicurl/``."""
    return _REMOTE.search(path) is not None and not path.lower().startswith("file://")


@contextmanager
def open_dataset(path: str, overview_level: int | None = None) -> Iterator[rasterio.DatasetReader]:
    """Open a raster, or one of its overviews, and close it at the end of the block.

    `path` is a path, a URL, or any other name that GDAL takes, such as ``NETCDF:a.nc:band``; ``${NAME}`` in a
    URL is read from the environment. Only the formats that `path` names may open it, see
    `sat2cap.imagery.formats`. Raises `ImageryError` if it cannot be opened, and for any error of GDAL in the
    block.
    """
    address = with_secrets(path, path) if is_remote(path) else path
    address, driver = _choose_driver(path, address)
    options = {} if overview_level is None else {"overview_level": overview_level}
    settings = _SETTINGS | _REMOTE_SETTINGS if is_remote(path) else _SETTINGS
    try:
        with rasterio.Env(**{**settings, **_user_settings(settings)}):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # `native_grid` raises for these
                dataset = rasterio.open(address, driver=driver, **options)
            with dataset:
                overviews = dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE")
                require_own_overviews(path, overviews, remote=is_remote(path))
                if not is_remote(path) and not _DRIVER_NAME.match(path):
                    if overview_level is None:  # of which GDAL has looked at the others already
                        _check_sidecars(path, path)
                    check_driver(path, dataset.driver, list(dataset.files))
                yield dataset
    except (RasterioError, CPLE_BaseError) as error:
        raise _reading_error(path, address, error) from None


def _check_sidecars(path: str, name: str, depth: int = 3) -> None:
    """Raise `ImageryError` if a mask or overviews beside a local raster lead to something else.

    `name` is that of the raster `path` or of a file beside it, which GDAL takes for a raster as well.
    """
    for suffix in (".ovr", ".msk", ".OVR", ".MSK"):
        sidecar = name + suffix
        if not (name.startswith("/vsi") or Path(sidecar).is_file()):
            continue
        require_no_list(sidecar)
        try:
            with rasterio.open(sidecar) as dataset:
                driver, overviews = dataset.driver, dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE")
        except (RasterioError, CPLE_BaseError):  # none, or one that GDAL does not read
            continue
        require_own_overviews(path, overviews)
        check_driver(sidecar, driver, [])
        if depth > 1:
            _check_sidecars(path, sidecar, depth - 1)


def _choose_driver(path: str, address: str) -> tuple[str, str | None]:
    """Return the address to read `path` at, and the driver that may open it; None for any.

    `address` is `path` with its secrets. Where it is redirected, the address that the redirects have led to
    is read, so that GDAL reads what was looked at; credentials for the first are not sent there.
    """
    if _is_network(path):
        start = fetch_start(address, address, redact_secrets(path))
        has_credentials = "@" in address or any(name in os.environ for name in _CREDENTIALS)
        driver = choose_driver(path, start.head, remote=True)
        return address if has_credentials else start.address, driver
    if _DRIVER_NAME.match(path):
        return address, None
    if Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
        raise ImageryError(f"imagery {path!r} is not a regular file; give a file or a folder")
    require_no_list(path)
    return address, choose_driver(path, read_head(path), remote=False)


def _is_network(path: str) -> bool:
    """Return whether what is read comes from a server; false for names such as ``vrt://`` and ``zip://``."""
    return _NETWORK.search(path) is not None and not path.lower().startswith("vrt:")


def is_georeferenced(path: str) -> bool:
    """Return whether a raster states its CRS, in the file or beside it. Raises `ImageryError`."""
    with open_dataset(path) as dataset:
        return dataset.crs is not None


def _reading_error(path: str, address: str, error: Exception) -> ImageryError:
    is_file = not is_remote(path) and not path.startswith("/vsi") and not _DRIVER_NAME.match(path)
    if is_file and not Path(path).exists():
        return ImageryError(f"imagery {path!r}: there is no such file; check the path")
    reason = str(error.__cause__ or error).splitlines()[0].replace(address, path)
    public = "for a public bucket, set AWS_NO_SIGN_REQUEST=YES"
    fix = public if "AWS_NO_SIGN_REQUEST" in reason else "check it with gdalinfo"
    return ImageryError(f"imagery {path!r} cannot be read ({reason}); {fix}")


def _user_settings(settings: Mapping[str, object]) -> dict[str, str]:
    """Return those of `settings` that the user has made in the environment, which take precedence."""
    return {name: os.environ[name] for name in settings if name in os.environ}
