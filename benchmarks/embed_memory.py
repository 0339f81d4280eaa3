"""Whether the memory of `embed` depends on the size of the region (Linux).

    python benchmarks/embed_memory.py [CELLS ...]

Embeds square regions of so many cells (1,000, 10,000 and 100,000) from one COG, each in a process of its own;
cells of 120 m with patches of 480 m and 48 px. The network is a CLIP tower of one thin layer: it is the job
whose memory is measured. Prints the peak of each job beside what its process held before.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from affine import Affine
from embed import CRS, NORTH, WEST, write_cog
from odc.geo.geobox import GeoBox
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from sat2cap.catalogue import resolve_model
from sat2cap.embedding import embed_region
from sat2cap.imagery.raster import open_raster

CELL_M, PIXELS = 120.0, 48


def write_thin_clip(folder: Path) -> Path:
    """Write a vision tower of next to no cost, with the features of ViT-B/32, and return its folder."""
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        image_size=PIXELS,
        patch_size=24,
        projection_dim=512,
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    size = {"size": {"shortest_edge": PIXELS}, "crop_size": {"height": PIXELS, "width": PIXELS}}
    (folder / "preprocessor_config.json").write_text(json.dumps(size | {"resample": 3}))
    return folder


def memory_mb(field: str) -> float:
    """Return the memory of this process in MB: `field` is ``VmRSS`` for now, ``VmHWM`` for the peak."""
    (kilobytes,) = re.findall(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kilobytes) / 1024


def embed_square(folder: Path, side: int) -> None:
    """Embed one square region of `side` cells a side, and print the peak of memory."""
    checkpoint, imagery = resolve_model(folder / "model"), open_raster(str(folder / "a.tif"))
    checkpoint.embed_overhead(np.zeros((64, PIXELS, PIXELS, 3), np.uint8))
    grid = GeoBox((side, side), Affine(CELL_M, 0, WEST, 0, -CELL_M, NORTH), CRS)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before, began = memory_mb("VmRSS"), time.monotonic()
    embed_region(grid, np.ones(grid.shape, bool), imagery, checkpoint, folder / f"{side}.zarr")
    peak, seconds = memory_mb("VmHWM"), time.monotonic() - began
    print(f"{side * side:>8} cells: peak {peak:.0f} MB, before {before:.0f} MB; {seconds:.0f} s", flush=True)


def main(counts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        write_thin_clip(Path(name) / "model")
        side_m = (round(max(counts) ** 0.5) + 4) * CELL_M
        write_cog(Path(name) / "a.tif", side_m, side_m, 5.0)
        for count in counts:
            command = [sys.executable, "-W", "ignore", __file__, "child", name, str(round(count**0.5))]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        embed_square(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main([int(count) for count in sys.argv[1:]] or [1_000, 10_000, 100_000])
