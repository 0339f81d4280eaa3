"""Imagery that is a function of longitude and latitude, and runs over two zones, one of them to be killed."""

import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry, box
from small_model import model

from sat2cap.api.embedding import plan_embedding
from sat2cap.geo import cell_lonlat, on_grid
from sat2cap.imagery.protocol import RGBA, ImageryInfo

REGION = "5.95,52,6.05,52.04"
"""Across the edge of zones 31 and 32."""


@dataclass
class LonLatGround:
    """Colours by place; the same place looks the same in every CRS."""

    bounds: tuple[float, float, float, float] | None = None
    pause_s: float = 0.0

    @property
    def info(self) -> ImageryInfo:
        return ImageryInfo("ground", "lonlat-ground", 30.0, "Nobody", "CC0-1.0")

    @property
    def footprint(self) -> Geometry | None:
        return box(*self.bounds, "EPSG:4326") if self.bounds else None

    def read(self, box: GeoBox) -> xr.DataArray:
        time.sleep(self.pause_s)
        lon, lat = cell_lonlat(box)
        waves = [np.sin(lon * 700), np.cos(lat * 900), np.sin((lon + 2 * lat) * 400)]
        pixels = np.stack([*(127 + 120 * wave for wave in waves), np.full(lon.shape, 255.0)], -1)
        return on_grid(pixels.astype(np.uint8), box, ("y", "x", "band"), {"band": list(RGBA)})


def plan(region, out, ground=None, **options):
    return plan_embedding(region, ground or LonLatGround(), model(), out, crs="utm", **options)


def run(out, ground=None, progress=None):
    return plan(REGION, out, ground).run(progress)


def run_slowly(out: Path, reports: Connection) -> None:
    """Run over both zones, and send after each chunk how many cells are done, and of how many."""
    run(out, LonLatGround(pause_s=0.3), lambda stage, done, total: reports.send((done, total)))
