"""Made-up imagery for benchmarks/cluster.py, in a module of its own so that workers can import it."""

import time
from dataclasses import dataclass

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from sat2cap.geo import on_grid
from sat2cap.imagery import RGBA, ImageryInfo


@dataclass
class Waves:
    """Colours that vary with the place; every read waits for `pause_s` first, as for a server."""

    pause_s: float = 0.0
    footprint: None = None

    @property
    def info(self) -> ImageryInfo:
        """What it is."""
        return ImageryInfo("waves", "waves", 2.0, "Nobody", "CC0-1.0")

    def read(self, box: GeoBox) -> xr.DataArray:
        """Return RGBA uint8 `[y, x, 4]` on the grid of `box`."""
        time.sleep(self.pause_s)
        x = box.affine.c + (np.arange(box.shape[1], dtype=np.float32) + 0.5) * box.affine.a
        y = box.affine.f + (np.arange(box.shape[0], dtype=np.float32) + 0.5) * box.affine.e
        pixels = np.full((*box.shape, 4), 255, np.uint8)
        pixels[..., 0] = 127 + 120 * np.sin(x / 700)
        pixels[..., 1] = (127 + 120 * np.cos(y / 900))[:, None]
        pixels[..., 2] = 127 + 60 * np.sin(x / 90) + (60 * np.cos(y / 60))[:, None]
        return on_grid(pixels, box, ("y", "x", "band"), {"band": list(RGBA)})
