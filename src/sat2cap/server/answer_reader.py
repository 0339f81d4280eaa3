"""An answer as rio-tiler reads it: a raster in memory."""

from typing import Any

import numpy as np
from rasterio._err import CPLE_BaseError  # what PROJ refuses comes as this, in no public module
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rio_tiler.io import Reader
from rio_tiler.models import ImageData

from sat2cap.errors import InputError
from sat2cap.geo import grid_of
from sat2cap.server.limits import MAX_ZOOM, check_box
from sat2cap.server.scores import Answer

DIFFERENCE_BAND = "difference"
"""Name of the band of a difference."""


class AnswerReader(Reader):
    """A reader whose input is an `Answer`, not a path."""

    def __attrs_post_init__(self) -> None:
        """Open the answer as a GeoTIFF in memory."""
        memory = self._ctx_stack.enter_context(MemoryFile(_as_geotiff(self.input)))
        self.dataset = self._ctx_stack.enter_context(memory.open())
        super().__attrs_post_init__()

    def tile(self, tile_x: int, tile_y: int, tile_z: int, *arguments: Any, **options: Any) -> ImageData:
        """Return the scores in a tile. Raises `InputError` for a zoom that no pyramid has."""
        if not 0 <= tile_z <= MAX_ZOOM:
            raise InputError(f"zoom {str(tile_z)[:40]} is not a zoom; give 0 to {MAX_ZOOM}")
        return super().tile(tile_x, tile_y, tile_z, *arguments, **options)

    def point(self, lon: float, lat: float, *arguments: Any, **options: Any) -> Any:
        """Return the score at a place. Raises `InputError` for what is no place, `PointOutsideBounds`."""
        try:
            return super().point(lon, lat, *arguments, **options)
        except (OverflowError, RasterioError, CPLE_BaseError):
            raise InputError(
                f"{lon:g},{lat:g} is not a place that the map's CRS knows; give one within its bounds"
            ) from None

    def preview(
        self, *arguments: Any, width: int | None = None, height: int | None = None, **options: Any
    ) -> ImageData:
        """Return all scores, `width` x `height` pixels. Raises `InputError` for a side that is too long."""
        check_box(self.bounds, width, height)
        return super().preview(*arguments, width=width, height=height, **options)

    def part(
        self, bbox: Any, *arguments: Any, width: int | None = None, height: int | None = None, **options: Any
    ) -> ImageData:
        """Return the scores in a box, which tiles and polygons are read by too. Raises `InputError`.

        A box that is larger than what a raster can have, or not in its CRS, is the client's mistake.
        """
        check_box(bbox, width, height)
        try:
            return super().part(bbox, *arguments, width=width, height=height, **options)
        except (OverflowError, RasterioError, CPLE_BaseError):
            raise InputError(
                "the box or polygon cannot be read from the map; give one that is within its bounds"
            ) from None


def _as_geotiff(answer: Answer) -> bytes:
    """Return the scores as an uncompressed GeoTIFF, with their range as statistics."""
    grid = grid_of(answer.score)
    values = np.asarray(answer.score.values, np.float32)
    low, high = (answer.low, answer.high) if np.isfinite(answer.low) else (0.0, 1.0)
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", height=grid.shape[0], width=grid.shape[1], count=1, dtype="float32",
            crs=grid.crs.to_wkt(), transform=grid.affine, nodata=np.nan,
        ) as dataset:  # fmt: skip
            dataset.write(values, 1)
            dataset.set_band_description(1, DIFFERENCE_BAND if answer.is_centred else "score")
            dataset.update_tags(1, STATISTICS_MINIMUM=low, STATISTICS_MAXIMUM=max(high, low + 1e-6))
        return bytes(memory.read())
