"""Imagery whose reads are remembered: the demo embeds each country by three models, from the same pixels."""

from typing import TYPE_CHECKING

from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from sat2cap.imagery import Imagery, ImageryInfo

if TYPE_CHECKING:
    import xarray as xr


class RememberedImagery:
    """Reads each box of `imagery` once and keeps its pixels in memory, 4 bytes a pixel.

    Drawing the pixels of the made-up planet takes longer than embedding them. Threads may share it: two that
    ask for a box at the same moment both draw it.
    """

    def __init__(self, imagery: Imagery) -> None:
        self._imagery = imagery
        self._reads: dict[GeoBox, xr.DataArray] = {}

    @property
    def info(self) -> ImageryInfo:
        """Provenance of the pixels."""
        return self._imagery.info

    @property
    def footprint(self) -> Geometry | None:
        """The area in which there may be pixels, in any CRS; None for everywhere."""
        return self._imagery.footprint

    def read(self, box: GeoBox) -> "xr.DataArray":
        """Return pixels as `Imagery.read` does, read-only, and raise what it raises."""
        pixels = self._reads.get(box)
        if pixels is None:
            pixels = self._imagery.read(box)
            pixels.values.flags.writeable = False  # every reader gets the same array
            self._reads[box] = pixels
        return pixels
