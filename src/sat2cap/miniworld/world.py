"""The planet from above: imagery behind the same protocol as that of the real world."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from sat2cap.geo import M_PER_DEGREE_AT_EQUATOR, on_grid, transformer
from sat2cap.imagery import RGBA, ImageryInfo
from sat2cap.miniworld.planet.cover import FINEST_GRAIN_M, render_overhead
from sat2cap.miniworld.planet.land import sample_terrain, to_web_mercator
from sat2cap.miniworld.planet.noise import CIRCUMFERENCE_M, Positions

if TYPE_CHECKING:
    import xarray as xr

GENERATOR_VERSION = "2"
"""Raised whenever the planet, or what its photos show, changes for the same seed."""

_MAX_BLOCK_PIXELS, _BLOCK_M = 48, 2_400.0  # largest side of a square that is rendered at once
_MESH_PIXELS = 16  # between pixels whose centres are projected exactly
_BATCH_PIXELS = 1 << 17  # pixels that are rendered together: to bound memory, and to stay in the cache


@dataclass(frozen=True)
class World:
    """A made-up planet; the same `number` always gives the same one."""

    number: int

    @property
    def seed(self) -> int:
        """Seed of the planet's noise, far from those of the planets with neighbouring numbers."""
        return self.number * 1_000_003

    @property
    def uri(self) -> str:
        """The planet's name on the command line, such as ``miniworld:7``."""
        return f"miniworld:{self.number}"


@dataclass(frozen=True)
class MiniImagery:
    """The planet from above, cloudless, on a summer's day."""

    world: World

    @property
    def info(self) -> ImageryInfo:
        """Provenance; there is no native resolution, so the side of the finest detail stands for it."""
        return ImageryInfo(
            uri=self.world.uri,
            identity=f"{self.world.uri}@{GENERATOR_VERSION}",
            gsd_m=FINEST_GRAIN_M,
            attribution=f"sat2cap miniature world {self.world.number} (made up)",
            licence="CC0-1.0",
        )

    @property
    def footprint(self) -> Geometry | None:
        """None: the whole planet is covered."""
        return None

    def read(self, box: GeoBox) -> "xr.DataArray":
        """Return the pixels of exactly `box`, uint8 RGBA ``(y, x, band)``; alpha is 255 everywhere.

        The pixels depend on the seed and their place alone, so that overlapping boxes agree.
        """
        x, y = _pixel_centres(box)
        pixel_m = abs(box.affine.a) if box.crs.projected else abs(box.affine.a) * M_PER_DEGREE_AT_EQUATOR
        step_m = float(np.hypot(x[0, 1:2] - x[0, :1], y[0, 1:2] - y[0, :1]).max(initial=1.0))
        block_side = int(np.clip(_BLOCK_M // step_m, 1, _MAX_BLOCK_PIXELS))
        height, width = box.shape
        rgba = np.full((height, width, 4), 255, np.uint8)
        batch_rows = max(1, _BATCH_PIXELS // max(width, 1) // block_side) * block_side
        for top in range(0, height, batch_rows):
            rows = slice(top, min(top + batch_rows, height))
            rgba[rows, :, :3] = self._render(x[rows], y[rows], block_side, pixel_m)
        return on_grid(rgba, box, dims=("y", "x", "band"), coords={"band": list(RGBA)})

    def read_patches(self, lon: Positions, lat: Positions, size_m: float, pixels: int) -> NDArray[np.uint8]:
        """Return north-up patches with sides of `size_m` metres and `pixels` pixels around points in degrees.

        RGBA, uint8 ``[N, pixels, pixels, 4]`` for `lon` and `lat` of shape ``[N]``.
        """
        x, y = to_web_mercator(lon, lat)
        # A metre on the ground is 1 / cos(latitude) metres in Web Mercator.
        step = size_m / pixels / np.cos(np.radians(lat))[:, None, None]
        offset = np.arange(pixels) - (pixels - 1) / 2
        pixel_x = x[:, None, None] + offset[None, None, :] * step
        pixel_y = y[:, None, None] - offset[None, :, None] * step
        rgba = np.full((len(x), pixels, pixels, 4), 255, np.uint8)
        batch_size = max(1, _BATCH_PIXELS // pixels**2)
        for first in range(0, len(x), batch_size):
            batch = slice(first, first + batch_size)
            terrain = sample_terrain(pixel_x[batch], pixel_y[batch], self.world.seed)
            rgba[batch, ..., :3] = render_overhead(terrain, self.world.seed, size_m / pixels)
        return rgba

    def _render(self, x: Positions, y: Positions, block_side: int, pixel_m: float) -> NDArray[np.uint8]:
        """Return the colours ``[h, w, 3]`` at positions ``[h, w]``.

        The positions are cut into square blocks of `block_side`, since `sample_terrain` wants blocks that
        span a few kilometres each. With blocks of 2 x 2, positions ``[3, 4]`` are padded to ``[4, 4]`` and
        become ``[4 blocks, 2, 2]``:

        ::

            a a b b
            a a b b    ->   [a a]  [b b]  [c c]  [d d]
            c c d d         [a a]  [b b]  [c c]  [d d]
            (c c d d)
        """
        height, width = x.shape
        padding = ((0, -height % block_side), (0, -width % block_side))
        x, y = (np.pad(v, padding, mode="edge") for v in (x, y))
        rows, columns = x.shape[0] // block_side, x.shape[1] // block_side
        x, y = (
            v.reshape(rows, block_side, columns, block_side)
            .swapaxes(1, 2)
            .reshape(-1, block_side, block_side)
            for v in (x, y)
        )
        rgb = render_overhead(sample_terrain(x, y, self.world.seed), self.world.seed, pixel_m)
        rgb = rgb.reshape(rows, columns, block_side, block_side, 3).swapaxes(1, 2)
        return rgb.reshape(rows * block_side, columns * block_side, 3)[:height, :width]


def _pixel_centres(box: GeoBox) -> tuple[Positions, Positions]:
    """Return Web Mercator metres of the centre of every pixel ``[h, w]``; x continues past the antimeridian.

    Positions are exact on a mesh of every 16th pixel corner and bilinear between, where every map projection
    is as good as straight.
    """
    height, width = box.shape
    mesh_rows, mesh_columns = (
        np.unique(np.append(np.arange(0, n, _MESH_PIXELS), n)).astype(np.float64) for n in (height, width)
    )
    u, v = np.meshgrid(mesh_columns, mesh_rows)
    a = box.affine
    x, y = transformer(box.crs, CRS("EPSG:3857")).transform(a.a * u + a.b * v + a.c, a.d * u + a.e * v + a.f)
    x = x[0, 0] + (x - x[0, 0] + CIRCUMFERENCE_M / 2) % CIRCUMFERENCE_M - CIRCUMFERENCE_M / 2
    x, y = (_interpolate_mesh(values, mesh_rows, mesh_columns, box.shape) for values in (x, y))
    return x, y


def _interpolate_mesh(
    mesh: Positions, mesh_rows: Positions, mesh_columns: Positions, shape: tuple[int, int]
) -> Positions:
    """Return bilinear values at pixel centres ``[h, w]`` from values at mesh points of the pixel corners."""
    lines = []
    for nodes, size in ((mesh_rows, shape[0]), (mesh_columns, shape[1])):
        centre = np.arange(size) + 0.5
        k = np.clip(np.searchsorted(nodes, centre) - 1, 0, len(nodes) - 2)
        lines.append((k, (centre - nodes[k]) / (nodes[k + 1] - nodes[k])))
    (i, s), (j, t) = lines
    low = mesh[i] * (1 - s)[:, None] + mesh[i + 1] * s[:, None]
    return np.asarray(low[:, j] * (1 - t) + low[:, j + 1] * t)
