"""The protocol of imagery: any source gives RGBA pixels on any grid."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from sat2cap.errors import ImageryError
from sat2cap.redaction import redact_secrets

if TYPE_CHECKING:
    import xarray as xr

RGBA = ("red", "green", "blue", "alpha")
"""Names of the bands that every read returns, in order."""


@dataclass(frozen=True)
class ImageryInfo:
    """Provenance of imagery: where its pixels come from, and what may be done with them."""

    uri: str
    """What the user wrote to open it: a path, a URL (without secrets), ``miniworld:SEED``."""
    identity: str
    """A hash that changes when the pixels change: of the content, or of size and time for large files."""
    gsd_m: float
    """Ground sample distance in metres at native resolution."""
    attribution: str = ""
    """Whom to name when pixels are shown; empty if not known."""
    licence: str = "unknown"
    """Name of the licence of the pixels."""
    items: tuple[dict[str, Any], ...] = ()
    """STAC items that are read: ``id``, ``collection``, ``datetime``, ``cloud_cover``, ``href`` of each."""

    def __post_init__(self) -> None:
        """Leave secrets out of what is stored in atlases and shown on every map."""
        object.__setattr__(self, "uri", redact_secrets(self.uri))
        items = tuple({**item, "href": redact_secrets(str(item.get("href", "")))} for item in self.items)
        object.__setattr__(self, "items", items)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values, without `items` if there are none."""
        values = asdict(self)
        items = values.pop("items")
        return values | {"items": list(items)} if items else values


class PartlyReadError(ImageryError):
    """A part of a read has failed; the error carries the pixels of the rest, which need not be read again."""

    def __init__(self, message: str, pixels: "xr.DataArray", failed: NDArray[np.bool_]) -> None:
        super().__init__(message)
        self.pixels = pixels
        """Pixels as `Imagery.read` returns them, with alpha 0 where reading failed."""
        self.failed = failed
        """Mask of the pixels that could not be read, bool ``[y, x]``; pixels without data are not in it."""


class Imagery(Protocol):
    """A source of overhead pixels."""

    @property
    def info(self) -> ImageryInfo:
        """Provenance of the pixels."""
        ...

    @property
    def footprint(self) -> Geometry | None:
        """The area in which there may be pixels, in any CRS; None for everywhere."""
        ...

    def read(self, box: GeoBox) -> "xr.DataArray":
        """Return pixels on exactly `box`, uint8, dims ``(y, x, band)`` with bands `RGBA`; alpha 0 is no data.

        A source with several resolutions reads one that is about as fine as `box`. Raises `ImageryError` when
        reading fails, and `PartlyReadError` when only a part of it does.
        """
        ...
