"""Rasters and region files with flipped, cut or swapped bytes are read, or refused by one line of ours."""

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from damage import CHANGES, damage_bytes
from hypothesis import HealthCheck, given, settings

from sat2cap.errors import ImageryError, RegionError, Sat2CapError
from sat2cap.geo.region import parse_region
from sat2cap.imagery.raster import open_raster

QUICK = settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damaged")
    profile = {"height": 32, "width": 32, "count": 3, "dtype": "uint8", "crs": "EPSG:32631"}
    pixels = np.random.default_rng(0).integers(0, 255, (3, 32, 32), np.uint8)
    for name, driver in (("a.tif", "GTiff"), ("a.jp2", "JP2OpenJPEG")):
        place = Affine(10, 0, 5e5, 0, -10, 5.8e6)
        with rasterio.open(folder / name, "w", driver, transform=place, **profile) as file:
            file.write(pixels)
    rasterio.shutil.copy(folder / "a.tif", folder / "a.mbtiles", driver="MBTILES")
    table = geopandas.GeoDataFrame({"name": ["a"]}, geometry=[shapely.box(1, 2, 3, 4)], crs="EPSG:4326")
    table.to_file(folder / "r.geojson")
    table.to_file(folder / "r.gpkg")
    table.to_parquet(folder / "r.parquet")
    table.to_file(folder / "r.kml", driver="KML")
    return folder


@pytest.mark.parametrize("name", ["a.tif", "a.jp2", "a.mbtiles"])
def test_damaged_rasters(folder: Path, tmp_path: Path, name: str) -> None:
    def read(path: Path) -> None:
        imagery = open_raster(str(path))
        assert max(imagery.grid.shape) <= 2**31
        imagery.read(imagery.grid[:32, :32])

    check_damaged(folder / name, tmp_path / name, read, ImageryError)


@pytest.mark.parametrize("name", ["r.geojson", "r.gpkg", "r.parquet", "r.kml"])
def test_damaged_region_files(folder: Path, tmp_path: Path, name: str) -> None:
    def read(path: Path) -> None:
        assert not parse_region(str(path)).geometry.is_empty

    check_damaged(folder / name, tmp_path / name, read, RegionError)


def check_damaged(
    good: Path, path: Path, read: Callable[[Path], None], error_class: type[Sat2CapError]
) -> None:
    """Read damaged copies of a good file: some are refused, in one line, and nothing else is raised."""
    data, outcomes = good.read_bytes(), set()

    @QUICK
    @given(CHANGES)
    def check(changes: list[tuple[str, float, int]]) -> None:
        path.write_bytes(damage_bytes(data, changes))
        try:
            read(path)
            outcomes.add("read")
        except error_class as error:
            outcomes.add("refused" if "\n" not in str(error) else "in several lines")

    check()
    assert {"refused"} <= outcomes <= {"read", "refused"}
