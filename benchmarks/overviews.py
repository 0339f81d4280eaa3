"""What reading from overviews costs in colour, and saves in time: the table of docs/imagery.md.

A rough picture of 4096 x 4096 pixels with averaged overviews is read on grids that are coarser by some
factor, and half a pixel of theirs off. Each read is compared with the exact mean of the picture's pixels, by
area. Three rules: whole pixels only; the overview that is at least twice as fine as the grid, as the package
reads; and the one that is just as fine.

    python benchmarks/overviews.py
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.transform import from_origin

from sat2cap.imagery.raster import RasterImagery, open_raster

SIDE = 4096
FACTORS = (2.0, 3.0, 5.0, 8.0, 14.0)
REPEATS = 5


def write_picture(path: Path) -> None:
    """Write a picture that is rough at every scale, with overviews of means."""
    random = np.random.default_rng(0)
    values = np.full((3, SIDE, SIDE), 128.0, np.float32)
    for size in (4, 16, 64, 256):
        noise = random.normal(0, 22, (3, SIDE // size, SIDE // size))
        values += noise.repeat(size, 1).repeat(size, 2).astype(np.float32)
    values += random.normal(0, 22, values.shape)
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "tiled": True, "compress": "deflate"}
    affine = from_origin(500_000, 5_800_000, 1, 1)
    with rasterio.open(
        path, "w", width=SIDE, height=SIDE, crs="EPSG:32631", transform=affine, **profile
    ) as file:
        file.write(values.clip(0, 255).astype(np.uint8))
        file.build_overviews((2, 4, 8, 16), Resampling.average)


def overlap_weights(first: float, factor: float, count: int) -> np.ndarray:
    """Return the share of each of SIDE pixels in each of `count` pixels of a coarser grid, float64."""
    low = first + np.arange(count)[:, None] * factor
    pixel = np.arange(SIDE)
    return np.asarray(np.clip(np.minimum(low + factor, pixel + 1) - np.maximum(low, pixel), 0, None) / factor)


def measure(imagery: RasterImagery, values: np.ndarray, factor: float) -> tuple[float, float]:
    """Return the mean error of a read, of 255, and its time in milliseconds, the least of some."""
    first = 64 + factor / 2
    count = int((SIDE - 128) / factor) - 2
    affine = imagery.grid.affine @ Affine.translation(first, first) @ Affine.scale(factor)
    box = GeoBox((count, count), affine, imagery.grid.crs)
    weights = overlap_weights(first, factor, count)
    expected = np.stack([weights @ band @ weights.T for band in values])
    times_ms = []
    for _ in range(REPEATS):
        start_s = time.perf_counter()
        pixels = imagery.read(box).values
        times_ms.append((time.perf_counter() - start_s) * 1000)
    return float(np.abs(np.moveaxis(pixels[..., :3], -1, 0) - expected).mean()), min(times_ms)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tif"
        write_picture(path)
        with rasterio.open(path) as file:
            values = file.read().astype(float)
        ours = open_raster(str(path))
        print(
            "| times coarser | whole pixels | an overview twice as fine (as it is read) | one just as fine |"
        )
        print("|---|---|---|---|")
        for factor in FACTORS:
            just_as_fine = max((f for f in (1, *ours.overviews) if f <= factor), default=1)
            rules = (
                replace(ours, overviews=()),
                ours,
                # a file of that overview's pixels alone, so that no finer one is taken
                open_overview(path, just_as_fine, ours),
            )
            cells = [f"{error:.2f}, {ms:.0f} ms" for error, ms in (measure(r, values, factor) for r in rules)]
            print(f"| {factor:g} | {' | '.join(cells)} |")


def open_overview(path: Path, factor: int, ours: RasterImagery) -> RasterImagery:
    """Return imagery that reads an overview as if its pixels were all there are; `measure` places it."""
    if factor == 1:
        return replace(ours, overviews=())
    with rasterio.open(path, overview_level=ours.overviews.index(factor)) as file:
        values, affine = file.read(), file.transform
    alone = path.with_name(f"x{factor}.tif")
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "tiled": True, "compress": "deflate"}
    with rasterio.open(
        alone,
        "w",
        width=values.shape[2],
        height=values.shape[1],
        crs="EPSG:32631",
        transform=affine,
        **profile,
    ) as file:
        file.write(values)
    return replace(open_raster(str(alone)), grid=ours.grid, overviews=())


if __name__ == "__main__":
    main()
