"""What people write for a place, to the store there; nothing of a network is imported for a folder."""

import math
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from sat2cap.errors import InputError
from sat2cap.redaction import redact_secrets
from sat2cap.stores.local import LocalStore
from sat2cap.stores.protocol import Store

CACHE_VARIABLE = "SAT2CAP_CACHE"
"""Environment variable with the folder that objects are kept in; not set, nothing is kept."""
CACHE_SIZE_VARIABLE = "SAT2CAP_CACHE_GB"
"""Environment variable with the size that the folder is kept within, in GB."""

_DEFAULT_CACHE_GB = 20.0
_OBJECT_SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss")
_REMOTE = re.compile(rf"({'|'.join(_OBJECT_SCHEMES)}|https?):(?P<slashes>/+)", re.IGNORECASE)


def is_remote(place: Path | str) -> bool:
    """Return whether a place is an address that `open_store` reads over a network.

    >>> is_remote("s3://bucket/region.zarr"), is_remote("region.zarr")
    (True, False)
    """
    match = _REMOTE.match(str(place))
    return match is not None and (len(match["slashes"]) > 1 or isinstance(place, Path))


def require_local(place: Path | str) -> None:
    """Raise `InputError` for an address where something is to be written: as a path it would be a folder.

    Files are published by rename, which is something that folders of this machine have and buckets do not.

    >>> require_local("s3://bucket/map.tif")
    Traceback (most recent call last):
    sat2cap.errors.InputError: 's3://bucket/map.tif' is an address; write to this machine, then copy it there
    """
    if is_remote(place):
        text = redact_secrets(str(place))
        raise InputError(f"{text!r} is an address; write to this machine, then copy it there")


def open_store(place: Path | str | Store) -> Store:
    """Return the store at a folder, or at an address such as ``s3://bucket/region.zarr``; nothing is read.

    A store is returned as it is. With `CACHE_VARIABLE` set, objects from a network are kept in that folder.
    Raises `InputError` for an address that is none, or with credentials in it, and `ModuleNotFoundError`
    where obstore is missing.
    """
    if not isinstance(place, str | Path):
        return place
    if not str(place).strip():  # which as a path would be the folder of the process
        raise InputError("an empty text stands where a folder or an address is needed; give one")
    if not is_remote(place):
        return LocalStore(Path(place))
    if isinstance(place, Path):
        raise InputError(f"{str(place)!r} is an address as a Path, which loses a slash; give it as text")
    address = place.rstrip("/")
    store: Store
    if urlsplit(address).scheme.lower() in _OBJECT_SCHEMES:
        store = _open_bucket(address)
    else:
        from sat2cap.stores.web import WebStore

        store = WebStore(address)
    folder = os.environ.get(CACHE_VARIABLE)
    if not folder:
        return store
    from sat2cap.stores.cache import CachedStore

    return CachedStore(store, Path(folder), int(_read_cache_gb() * 1e9))


def _open_bucket(address: str) -> Store:
    """Return the store of an address in a bucket. Raises `InputError` unless it is a bucket and a path."""
    import obstore  # noqa: F401 - what is missing is said before any work

    from sat2cap.stores.objects import ObjectStore

    parts = urlsplit(address)
    name = redact_secrets(address)
    is_container = parts.scheme.lower() in ("abfs", "abfss")  # abfss://CONTAINER@ACCOUNT.dfs.core.windows.net
    if parts.query or parts.fragment or (parts.netloc.count("@") and not is_container):
        fix = "credentials are read from the environment"
        raise InputError(f"{name!r} has more than bucket and path; {fix}, such as AWS_ACCESS_KEY_ID")
    if not parts.netloc:
        raise InputError(f"{name!r} names no bucket; write s3://BUCKET/NAME.zarr")
    return ObjectStore(address)


def _read_cache_gb() -> float:
    """Return the size of the cache that the environment names. Raises `InputError`."""
    text = os.environ.get(CACHE_SIZE_VARIABLE) or str(_DEFAULT_CACHE_GB)
    try:
        size_gb = float(text)
    except ValueError:
        size_gb = math.nan
    if not 0 < size_gb < 1e6:
        raise InputError(f"{CACHE_SIZE_VARIABLE} is {text!r}; give gigabytes, such as 20")
    return size_gb
