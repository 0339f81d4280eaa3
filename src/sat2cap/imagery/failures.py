"""Imagery that records why reading failed, so that a long job can say so at its end."""

from collections.abc import Callable
from dataclasses import dataclass

import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from sat2cap.errors import ImageryError
from sat2cap.imagery.protocol import Imagery, ImageryInfo


@dataclass
class FailureRecordingImagery:
    """An `Imagery` that reads from another one and records the message of its first failure."""

    imagery: Imagery
    """The wrapped imagery."""
    failure: str | None = None
    """Message of the first read that failed, one line; None while none has."""
    reopen: Callable[[], Imagery] | None = None
    """Opens the imagery in another process, to which it need not be sent then; None to pickle it."""

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle how to open the imagery anew, or the imagery itself."""
        return _unpickle, (self.imagery if self.reopen is None else None, self.reopen)

    @property
    def info(self) -> ImageryInfo:
        """Metadata of the wrapped imagery."""
        return self.imagery.info

    @property
    def footprint(self) -> Geometry | None:
        """Footprint of the wrapped imagery."""
        return self.imagery.footprint

    def read(self, box: GeoBox) -> xr.DataArray:
        """Read from the wrapped imagery; record the message of an `ImageryError` before it is raised again.

        Arguments, result and errors are those of `Imagery.read`.
        """
        try:
            return self.imagery.read(box)
        except ImageryError as error:
            self.failure = self.failure or str(error)
            raise


def _unpickle(imagery: Imagery | None, reopen: Callable[[], Imagery] | None) -> FailureRecordingImagery:
    """Return imagery that was pickled, or the same opened here."""
    source = reopen() if imagery is None and reopen is not None else imagery
    assert source is not None
    return FailureRecordingImagery(source, reopen=reopen)
