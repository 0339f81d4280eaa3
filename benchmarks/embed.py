"""How fast `embed` is beside the bare network.

    python benchmarks/embed.py [MODEL [CELLS [PRECISION [TURNS]]]]

MODEL is a name or folder, or ``b32`` for a full-size ViT-B/32 with random weights. A COG is made (JPEG, with
overviews, twice as fine as the network sees) and embedded from disk, in turns with the forward pass of the
network alone on as many patches in memory. Prints the ratio of the fastest turn of each, which other work on
the machine disturbed least, and of the least processor time.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.shutil import copy
from rasterio.windows import Window

from sat2cap.atlas.plan import AtlasSpec
from sat2cap.atlas.store import still_pending
from sat2cap.catalogue import resolve_model
from sat2cap.embed import embed_atlas, plan_atlas
from sat2cap.embed.estimate import measure
from sat2cap.geo.grid import PATCH_M
from sat2cap.miniworld.world import MiniImagery, World
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.compute import quicker, run
from sat2cap.sources.imagery import Imagery
from sat2cap.sources.raster import open_raster

BATCH = 64
WEST, NORTH, CRS = 614_400, 5_808_000, "EPSG:32631"


def random_b32(folder: Path) -> Path:
    """CLIP ViT-B/32 in the Hugging Face layout: the sizes of the real one, weights at random."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    CLIPVisionModelWithProjection(CLIPVisionConfig(projection_dim=512)).save_pretrained(folder)
    size = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}, "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(size))
    return folder


def write_cog(path: Path, width_m: float, height_m: float, pixel_m: float) -> None:
    """A made-up country of so many metres from the corner."""
    shape = round(height_m / pixel_m), round(width_m / pixel_m)
    write_cog_over(path, GeoBox(shape, Affine(pixel_m, 0, WEST, 0, -pixel_m, NORTH), CRS), pixel_m)


def write_cog_over(path: Path, grid: GeoBox, pixel_m: float) -> None:
    """A made-up country under `grid`: one square of it, mirrored again and again."""
    a, scale = grid.affine, abs(grid.affine.a) / pixel_m
    affine = Affine(pixel_m, 0, a.c, 0, -pixel_m, a.f)
    box = GeoBox((1024, 1024), affine, grid.crs)
    rgb = np.moveaxis(MiniImagery(World(2)).read(box).values[..., :3], -1, 0)
    rgb = np.concatenate([rgb, rgb[:, ::-1]], 1)
    rgb = np.concatenate([rgb, rgb[..., ::-1]], 2)
    rows, cols = (round(side * scale) for side in grid.shape)
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": rows, "width": cols, "tiled": True}
    with tempfile.NamedTemporaryFile(suffix=".tif", dir=path.parent) as plain:
        with rasterio.open(plain.name, "w", transform=affine, crs=str(grid.crs), **profile) as file:
            for top in range(0, rows, 2048):
                for left in range(0, cols, 2048):
                    part = rgb[:, : min(2048, rows - top), : min(2048, cols - left)]
                    file.write(part, window=Window(left, top, part.shape[2], part.shape[1]))
        copy(plain.name, path, driver="COG", compress="JPEG", quality=85)


class Clock:
    """Seconds on the wall, and of all processors for this process."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


def bare(checkpoint: Checkpoint, patches: int, precision: str) -> tuple[float, float]:
    """Seconds, wall and processor, for one patch through the overhead network alone."""
    size, rounds = checkpoint.patch_pixels, max(patches // BATCH, 1)
    batch, tower = torch.randn(BATCH, 3, size, size), checkpoint.overhead
    with torch.inference_mode():
        if precision != "float32":
            tower = quicker(tower, precision, batch)
        clock = Clock()
        for _ in range(rounds):
            run(tower, batch).numpy()
    wall, cpu = clock.seconds()
    return wall / rounds / BATCH, cpu / rounds / BATCH


def embedded(spec: AtlasSpec, imagery: Imagery, checkpoint: Checkpoint, out: Path) -> tuple[float, float]:
    """The same for a cell of an atlas, from the file on disk to the atlas on disk."""
    clock = Clock()
    embed_atlas(spec, imagery, checkpoint, out)
    wall, cpu = clock.seconds()
    shutil.rmtree(out)
    return wall / spec.wanted.sum(), cpu / spec.wanted.sum()


def main(model: str, cells: int, precision: str, turns: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = resolve_model(random_b32(folder / "b32") if model == "b32" else model)
        side = round(cells**0.5)
        grid = GeoBox((side, side), Affine(PATCH_M, 0, WEST, 0, -PATCH_M, NORTH), CRS)
        pixel_m = PATCH_M / checkpoint.patch_pixels / 2
        write_cog(folder / "a.tif", side * PATCH_M, side * PATCH_M, pixel_m)
        size, threads = (folder / "a.tif").stat().st_size / 1e6, torch.get_num_threads()
        print(
            f"{side * side} cells, COG of {pixel_m:.3g} m and {size:.0f} MB, {precision}, {threads} threads"
        )
        imagery = open_raster(str(folder / "a.tif"))
        spec = plan_atlas(grid, np.ones(grid.shape, bool), imagery, checkpoint, precision=precision)
        rates = measure(spec, still_pending(folder / "x.zarr", spec), imagery, checkpoint)
        print(f"said beforehand: {rates.seconds(side * side):.3g} s; network {rates.embed:.4g} cells/s")
        alone, mine = [], []
        for turn in range(turns):
            alone.append(bare(checkpoint, side * side, precision))
            mine.append(embedded(spec, imagery, checkpoint, folder / "x.zarr"))
            rates = f"network alone {1 / alone[-1][0]:.4g}/s, embed {1 / mine[-1][0]:.4g}/s"
            print(f"turn {turn}: {rates}", flush=True)
    walls, cpus = ([min(turn[kind] for turn in side) for side in (alone, mine)] for kind in (0, 1))
    print(f"fastest of {turns} turns: network alone {1 / walls[0]:.4g}/s, embed {1 / walls[1]:.4g}/s")
    print(f"ratio {walls[0] / walls[1]:.3f}; of processor time {cpus[0] / cpus[1]:.3f}")


if __name__ == "__main__":
    given = [*sys.argv[1:], *["miniclip", "4096", "float32", "9"][len(sys.argv) - 1 :]]
    main(given[0], int(given[1]), given[2], int(given[3]))
