"""A planet from a seed, seen from above: imagery behind the same protocol as the real world's."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from sat2cap.geo import M_PER_DEGREE_AT_EQUATOR, on_grid, transformer
from sat2cap.imagery import RGBA, ImageryInfo
from sat2cap.miniworld.planet.cover import overhead_rgb
from sat2cap.miniworld.planet.land import ground, mercator
from sat2cap.miniworld.planet.noise import CIRCUMFERENCE_M, Positions

VERSION = "2"
"""Raised when the planet, or what its photos show, is different for the same seed."""

_TILE, _TILE_M, _MESH = 48, 2_400.0, 16
_BATCH_PIXELS = 1 << 18


@dataclass(frozen=True)
class World:
    """A made-up planet; the same `number` always gives the same one."""

    number: int

    @property
    def seed(self) -> int:
        """What its noise is made from, far from that of its neighbours."""
        return self.number * 1_000_003

    @property
    def uri(self) -> str:
        """How people name it."""
        return f"miniworld:{self.number}"


@dataclass(frozen=True)
class MiniImagery:
    """The planet from above, cloudless, in one summer's light."""

    world: World

    @property
    def info(self) -> ImageryInfo:
        """Provenance; there is no native resolution, so the ground's finest grain stands for it."""
        return ImageryInfo(
            uri=self.world.uri,
            identity=f"{self.world.uri}@{VERSION}",
            gsd_m=6.0,
            attribution=f"sat2cap miniature world {self.world.number} (made up)",
            licence="CC0-1.0",
        )

    @property
    def footprint(self) -> Geometry | None:
        """Everywhere."""
        return None

    def read(self, box: GeoBox) -> xr.DataArray:
        """Pixels on exactly `box`, uint8 RGBA; alpha is 255 everywhere."""
        x, y = _pixel_centres(box)
        pixel_m = abs(box.affine.a) if box.crs.projected else abs(box.affine.a) * M_PER_DEGREE_AT_EQUATOR
        span = float(np.hypot(x[0, 1:2] - x[0, :1], y[0, 1:2] - y[0, :1]).max(initial=1.0))
        side = int(np.clip(_TILE_M // span, 1, _TILE))
        height, width = box.shape
        rgba = np.full((height, width, 4), 255, np.uint8)
        rows = max(1, _BATCH_PIXELS // max(width, 1) // side) * side
        for top in range(0, height, rows):
            part = slice(top, min(top + rows, height))
            rgba[part, :, :3] = self._render(x[part], y[part], side, pixel_m)
        return on_grid(rgba, box, dims=("y", "x", "band"), coords={"band": list(RGBA)})

    def read_patches(self, lon: Positions, lat: Positions, size_m: float, pixels: int) -> NDArray[np.uint8]:
        """North-up patches of `size_m` centred on degrees ``[N]``, RGBA ``[N, pixels, pixels, 4]``."""
        x, y = mercator(lon, lat)
        step = size_m / pixels / np.cos(np.radians(lat))[:, None, None]
        offset = np.arange(pixels) - (pixels - 1) / 2
        across, down = (
            x[:, None, None] + offset[None, None, :] * step,
            y[:, None, None] - offset[None, :, None] * step,
        )
        rgba = np.full((len(x), pixels, pixels, 4), 255, np.uint8)
        batch = max(1, _BATCH_PIXELS // pixels**2)
        for first in range(0, len(x), batch):
            part = slice(first, first + batch)
            g = ground(across[part], down[part], self.world.seed)
            rgba[part, ..., :3] = overhead_rgb(g, self.world.seed, size_m / pixels)
        return rgba

    def _render(self, x: Positions, y: Positions, side: int, pixel_m: float) -> NDArray[np.uint8]:
        """Colours ``[h, w, 3]`` at positions ``[h, w]``, worked out in square blocks that each stay small."""
        height, width = x.shape
        pad = ((0, -height % side), (0, -width % side))
        x, y = (np.pad(v, pad, mode="edge") for v in (x, y))
        rows, columns = x.shape[0] // side, x.shape[1] // side
        x, y = (v.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side) for v in (x, y))
        rgb = overhead_rgb(ground(x, y, self.world.seed), self.world.seed, pixel_m)
        rgb = rgb.reshape(rows, columns, side, side, 3).swapaxes(1, 2).reshape(rows * side, columns * side, 3)
        return rgb[:height, :width]


def _pixel_centres(box: GeoBox) -> tuple[Positions, Positions]:
    """Web Mercator metres of every pixel's centre ``[h, w]``; x goes on past the antimeridian.

    Exact on a mesh of pixels and bilinear between, where any map projection is as good as straight.
    """
    height, width = box.shape
    row, column = (
        np.unique(np.append(np.arange(0, n, _MESH), n)).astype(np.float64) for n in (height, width)
    )
    u, v = np.meshgrid(column, row)
    a = box.affine
    x, y = transformer(box.crs, CRS("EPSG:3857")).transform(a.a * u + a.b * v + a.c, a.d * u + a.e * v + a.f)
    x = x[0, 0] + (x - x[0, 0] + CIRCUMFERENCE_M / 2) % CIRCUMFERENCE_M - CIRCUMFERENCE_M / 2
    return _spread(x, row, column, box.shape), _spread(y, row, column, box.shape)


def _spread(mesh: Positions, row: Positions, column: Positions, shape: tuple[int, int]) -> Positions:
    """Bilinear values at pixel centres from values on the mesh of pixel corners."""
    lines = []
    for at, size in ((row, shape[0]), (column, shape[1])):
        centre = np.arange(size) + 0.5
        k = np.clip(np.searchsorted(at, centre) - 1, 0, len(at) - 2)
        lines.append((k, (centre - at[k]) / (at[k + 1] - at[k])))
    (i, s), (j, t) = lines
    low = mesh[i] * (1 - s)[:, None] + mesh[i + 1] * s[:, None]
    return np.asarray(low[:, j] * (1 - t) + low[:, j + 1] * t)
