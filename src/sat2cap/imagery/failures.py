"""Imagery that remembers why reading it failed, for whoever has to say so at the end of a long job."""

from dataclasses import dataclass

import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from sat2cap.errors import ImageryError
from sat2cap.imagery.protocol import Imagery, ImageryInfo


@dataclass
class WatchedImagery:
    """An `Imagery` that reads another, and keeps the first reason for a failure."""

    imagery: Imagery
    failure: str | None = None
    """Of the first read that failed, in one line; None if none has."""

    @property
    def info(self) -> ImageryInfo:
        """The other's."""
        return self.imagery.info

    @property
    def footprint(self) -> Geometry | None:
        """The other's."""
        return self.imagery.footprint

    def read(self, box: GeoBox) -> xr.DataArray:
        """As the other reads, errors included."""
        try:
            return self.imagery.read(box)
        except ImageryError as error:
            self.failure = self.failure or str(error)
            raise
