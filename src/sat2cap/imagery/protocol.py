"""What every imagery source gives: RGBA pixels on any grid you ask for."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from sat2cap.errors import ImageryError

RGBA = ("red", "green", "blue", "alpha")


@dataclass(frozen=True)
class ImageryInfo:
    """Where pixels come from and what may be done with them."""

    uri: str
    """What the user wrote to get it: a path, a URL, ``miniworld:SEED``."""
    identity: str
    """Changes when the pixels change: a content hash, or size and time for files too large to hash."""
    gsd_m: float
    """Ground sample distance in metres at native resolution."""
    attribution: str = ""
    licence: str = "unknown"
    items: tuple[dict[str, Any], ...] = ()
    """Of a search: what it found and is read, as id, collection, datetime, cloud cover and address."""

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values; without `items` where there are none."""
        values = asdict(self)
        items = values.pop("items")
        return values | {"items": list(items)} if items else values


class PartlyReadError(ImageryError):
    """Some of what was asked could not be read; the rest came with it, and need not be read again."""

    def __init__(self, message: str, pixels: xr.DataArray, failed: NDArray[np.bool_]) -> None:
        super().__init__(message)
        self.pixels = pixels
        """As `Imagery.read` gives them, alpha 0 where they failed."""
        self.failed = failed
        """Bool ``[y, x]``: pixels that could not be read, which is not the same as having no data."""


class Imagery(Protocol):
    """A source of overhead pixels."""

    @property
    def info(self) -> ImageryInfo:
        """Provenance."""
        ...

    @property
    def footprint(self) -> Geometry | None:
        """Where there may be pixels, in any CRS; None for everywhere."""
        ...

    def read(self, box: GeoBox) -> xr.DataArray:
        """Pixels on exactly `box`, uint8, dims ``(y, x, band)`` with bands `RGBA`; alpha 0 means no data.

        Reads no finer than about twice what `box` needs. Raises `ImageryError` when reading fails,
        and `PartlyReadError` when only some of it does.
        """
        ...
