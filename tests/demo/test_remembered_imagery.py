"""Imagery that remembers what was read gives the same pixels, and reads each box once."""

import numpy as np
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox

from sat2cap.catalogue import open_imagery
from sat2cap.demo.remembered_imagery import RememberedImagery

BOX = GeoBox.from_bbox((0, 0, 960, 960), "EPSG:32631", resolution=20)


class CountingImagery:
    """Imagery of the made-up planet that counts its reads."""

    def __init__(self) -> None:
        self._imagery = open_imagery("miniworld:2")
        self.info, self.footprint, self.reads = self._imagery.info, self._imagery.footprint, 0

    def read(self, box: GeoBox) -> xr.DataArray:
        self.reads += 1
        return self._imagery.read(box)


def test_each_box_is_read_once_and_stays_as_it_was() -> None:
    counting = CountingImagery()
    remembered = RememberedImagery(counting)
    first, second, part = remembered.read(BOX), remembered.read(BOX), remembered.read(BOX[:10, :10])
    assert counting.reads == 2
    expected = open_imagery("miniworld:2").read(BOX)
    assert np.array_equal(first.values, expected.values)
    assert np.array_equal(second.values, expected.values)
    assert part.shape == (10, 10, 4)
    assert remembered.info == counting.info
    with pytest.raises(ValueError, match="read-only"):
        second.values[0, 0] = 0
