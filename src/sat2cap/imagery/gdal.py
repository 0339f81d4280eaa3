"""Opening rasters with GDAL: its settings, and its errors as `ImageryError`."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from sat2cap.errors import ImageryError

HTTP_RETRY_SETTINGS = {
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": 1,
    "GDAL_HTTP_TIMEOUT": 60,
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
}
"""GDAL's settings for slow and failing servers; delays and timeouts in seconds."""

_SETTINGS = HTTP_RETRY_SETTINGS | {
    "GDAL_CACHEMAX": 256 * 2**20,  # bytes; the default is a share of the machine's memory
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # over HTTP, listing a folder is a request for nothing
}


@contextmanager
def open_dataset(path: str, overview_level: int | None = None) -> Iterator[rasterio.DatasetReader]:
    """Open a raster, or one of its overviews, and close it at the end of the block.

    `path` is a path or URL, as GDAL takes it. Raises `ImageryError` if it cannot be opened, and for any error
    of GDAL in the block.
    """
    options = {} if overview_level is None else {"overview_level": overview_level}
    try:
        with rasterio.Env(**{**_SETTINGS, **_user_settings()}):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # `native_grid` raises for these
                dataset = rasterio.open(path, **options)
            with dataset:
                yield dataset
    except RasterioError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        public = "for a public bucket, set AWS_NO_SIGN_REQUEST=YES"
        fix = public if "AWS_NO_SIGN_REQUEST" in reason else "check it with gdalinfo"
        raise ImageryError(f"imagery {path!r} cannot be read ({reason}); {fix}") from None


def _user_settings() -> dict[str, str]:
    """Return the settings that the user has made in the environment, which take precedence over ours."""
    return {name: os.environ[name] for name in _SETTINGS if name in os.environ}
