"""Whether the memory of `embed` depends on the size of the region.

    python benchmarks/embed_memory.py [CELLS ...]

Embeds square regions of so many cells (1,000, 10,000 and 100,000) with the miniature CLIP, each in a process
of its own, from one COG; cells of 120 m with patches of 480 m. Prints the peak of each process beside what
it held before the job began.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from affine import Affine
from embed import CRS, NORTH, WEST, write_cog
from odc.geo.geobox import GeoBox

from sat2cap.catalogue import resolve_model
from sat2cap.embed import embed_region
from sat2cap.sources.raster import open_raster

CELL_M = 120.0


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(image: str, side: int, out: str) -> None:
    """One region; prints a line."""
    checkpoint, imagery = resolve_model("miniclip"), open_raster(image)
    size = checkpoint.patch_pixels
    checkpoint.embed_overhead(np.zeros((64, size, size, 3), np.uint8))
    before, began = peak_mb(), time.monotonic()
    grid = GeoBox((side, side), Affine(CELL_M, 0, WEST, 0, -CELL_M, NORTH), CRS)
    embed_region(grid, np.ones(grid.shape, bool), imagery, checkpoint, Path(out))
    seconds = time.monotonic() - began
    print(f"{side * side:>8} cells: peak {peak_mb():.0f} MB, before {before:.0f} MB; {seconds:.0f} s")


def main(counts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        image = str(Path(name) / "a.tif")
        side_m = (round(max(counts) ** 0.5) + 4) * CELL_M
        write_cog(Path(image), side_m, side_m, 5.0)
        for count in counts:
            words = ["child", image, str(round(count**0.5)), f"{name}/{count}.zarr"]
            subprocess.run([sys.executable, "-W", "ignore", __file__, *words], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main([int(count) for count in sys.argv[1:]] or [1_000, 10_000, 100_000])
