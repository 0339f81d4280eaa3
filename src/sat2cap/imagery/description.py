"""What can be said of a name of imagery before anything is imported that reads imagery."""

from pathlib import Path

from sat2cap.errors import ImageryError

_STAC_PREFIX = "stac:"
_RASTER_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img", ".png", ".jpg", ".jpeg")


def may_be_described(spec: str) -> bool:
    """Return False for a path, URL or tile template; no name of `named_sources` has a dot or a slash.

    >>> may_be_described("scene.tif"), may_be_described("sentinel-2-l2a?max_cloud=10")
    (False, True)
    """
    name = spec.partition("?")[0]
    return spec.startswith(_STAC_PREFIX) or name.endswith(".toml") or not set(name) & {".", "/"}


def check_file_exists(spec: str) -> None:
    """Raise `ImageryError` if `spec` is the path of a raster file that does not exist, as opening it would.

    Whatever may be an address, a name of GDAL or of anything else passes.
    """
    path = Path(spec)
    if path.suffix.lower() not in _RASTER_SUFFIXES or set(spec) & {":", "?", "{"} or spec.startswith("/vsi"):
        return
    if not path.exists():
        raise ImageryError(f"imagery {spec!r}: there is no such file; check the path")
