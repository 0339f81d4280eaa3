"""Speed of `embed`, compared with the network alone.

    python benchmarks/embed.py [MODEL [CELLS [PRECISION,… [TURNS]]]] [--crs EPSG:CODE] [--finer F]

MODEL is a name or folder, or ``b32`` for a full-size ViT-B/32 with random weights. A COG is made (JPEG, with
overviews) and embedded from disk, in turns with the forward pass of the network alone on as many patches in
memory that are normalised already. Like real orthophotos the COG is in a CRS of its own, two degrees askew to
the cells, and its pixels fit no whole number of times into the network's; with ``--crs EPSG:32631 --finer 2``
the overview has the very pixels that are asked for.

Prints, on the wall and of processor time, the ratio of the fastest turn of each, which other work on the
machine disturbed least, and the median of the ratios within each turn.
"""

import argparse
import json
import shutil
import statistics
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

from sat2cap.atlas import AtlasSpec, pending_chunks
from sat2cap.catalogue import resolve_model
from sat2cap.embedding import count_remaining_work, embed_atlas, measure_throughput, plan_atlas
from sat2cap.geo import PATCH_M
from sat2cap.imagery import Imagery
from sat2cap.imagery.raster import open_raster
from sat2cap.miniworld import MiniImagery, World
from sat2cap.model import Checkpoint
from sat2cap.model.compute import Precision
from sat2cap.model.conversion import convert_tower, embed_pixels

BATCH = 64
WEST, NORTH, CRS = 614_400, 5_808_000, "EPSG:32631"


def write_random_b32(folder: Path) -> Path:
    """Write a CLIP ViT-B/32 with random weights in the Hugging Face layout, and return its folder."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    CLIPVisionModelWithProjection(CLIPVisionConfig(projection_dim=512)).save_pretrained(folder)
    size = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}, "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(size))
    return folder


def write_cog(path: Path, width_m: float, height_m: float, pixel_m: float) -> None:
    """Write a COG of a made-up country of `width_m` by `height_m` metres."""
    shape = round(height_m / pixel_m), round(width_m / pixel_m)
    write_cog_over(path, GeoBox(shape, Affine(pixel_m, 0, WEST, 0, -pixel_m, NORTH), CRS), pixel_m)


def write_cog_over(path: Path, grid: GeoBox, pixel_m: float) -> None:
    """Write a COG of a made-up country under `grid`: one square of it, mirrored again and again."""
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
                    piece = rgb[:, : min(2048, rows - top), : min(2048, cols - left)]
                    file.write(piece, window=Window(left, top, piece.shape[2], piece.shape[1]))
        copy(plain.name, path, driver="COG", compress="JPEG", quality=85)


class Clock:
    """A stopwatch of wall time and of the processor time of this process."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def elapsed_s(self) -> tuple[float, float]:
        """Return seconds since the start: of wall time, and of processor time on all cores."""
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


def time_network_alone(checkpoint: Checkpoint, patches: int, precision: Precision) -> tuple[float, float]:
    """Return seconds per patch of the overhead network alone: wall and processor time."""
    size, rounds = checkpoint.patch_pixels, max(patches // BATCH, 1)
    batch, tower = torch.randn(BATCH, 3, size, size), checkpoint.overhead
    with torch.inference_mode():
        if precision != "float32":
            tower = convert_tower(tower, precision, batch)
        batch = batch.to(next(tower.parameters()).dtype)
        clock = Clock()
        for _ in range(rounds):
            embed_pixels(tower, batch).numpy()
    wall, cpu = clock.elapsed_s()
    return wall / rounds / BATCH, cpu / rounds / BATCH


def time_embedding(
    spec: AtlasSpec, imagery: Imagery, checkpoint: Checkpoint, out: Path
) -> tuple[float, float]:
    """Return seconds per cell from imagery on disk to an atlas on disk: wall and processor time."""
    clock = Clock()
    embed_atlas(spec, imagery, checkpoint, out)
    wall, cpu = clock.elapsed_s()
    shutil.rmtree(out)
    return wall / spec.wanted.sum(), cpu / spec.wanted.sum()


def compare_turns(
    grid: GeoBox, imagery: Imagery, checkpoint: Checkpoint, precision: Precision, turns: int, out: Path
) -> None:
    """Time network and job in turns, each first in every second turn, and print their ratios."""
    spec = plan_atlas(grid, np.ones(grid.shape, bool), imagery, checkpoint, precision=precision)
    speed = measure_throughput(spec, pending_chunks(out, spec), imagery, checkpoint)
    cells, work = int(spec.wanted.sum()), count_remaining_work(spec, pending_chunks(out, spec))
    estimate = f"estimated {speed.seconds(work):.3g} s; reading {speed.read_cells_per_s:.4g} cells/s"
    print(f"{precision}: {estimate}, network {speed.embed_cells_per_s:.4g} cells/s")
    sides = [
        lambda: time_network_alone(checkpoint, cells, precision),
        lambda: time_embedding(spec, imagery, checkpoint, out),
    ]
    seconds_of_turns = []
    for turn in range(turns):
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        measured = {side: sides[side]() for side in order}
        seconds_of_turns.append((measured[0], measured[1]))
        walls, cpus = zip(*seconds_of_turns[-1], strict=True)
        print(
            f"{precision}, turn {turn}: network alone {1 / walls[0]:.4g}/s, embed {1 / walls[1]:.4g}/s; "
            f"processor {cpus[0] * 1e3:.4g} and {cpus[1] * 1e3:.4g} ms a cell",
            flush=True,
        )
    for kind, name in enumerate(("wall", "processor")):
        alone, whole = ([turn[side][kind] for turn in seconds_of_turns] for side in (0, 1))
        middle = statistics.median(a / w for a, w in zip(alone, whole, strict=True))
        print(
            f"{precision}, {name}: network alone {1 / min(alone):.4g}/s, embed {1 / min(whole):.4g}/s, ",
            end="",
        )
        print(f"ratio {min(alone) / min(whole):.3f}; median of {turns} turns {middle:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", nargs="?", default="miniclip")
    parser.add_argument("cells", nargs="?", type=int, default=4096)
    parser.add_argument("precisions", nargs="?", default="float32,bfloat16")
    parser.add_argument("turns", nargs="?", type=int, default=9)
    parser.add_argument("--crs", default="EPSG:28992")
    parser.add_argument("--finer", type=float, default=2.13, help="pixels of the COG to one of the network")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = resolve_model(
            write_random_b32(folder / "b32") if options.model == "b32" else options.model
        )
        side = round(options.cells**0.5)
        grid = GeoBox((side, side), Affine(PATCH_M, 0, WEST, 0, -PATCH_M, NORTH), CRS)
        pixel_m = PATCH_M / checkpoint.patch_pixels / options.finer
        ground = grid.extent.to_crs(options.crs, resolution=PATCH_M).boundingbox
        write_cog_over(folder / "a.tif", GeoBox.from_bbox(ground, options.crs, resolution=pixel_m), pixel_m)
        size, threads = (folder / "a.tif").stat().st_size / 1e6, torch.get_num_threads()
        print(
            f"{side * side} cells, COG of {pixel_m:.3g} m in {options.crs}, {size:.0f} MB; {threads} threads"
        )
        imagery = open_raster(str(folder / "a.tif"))
        for precision in options.precisions.split(","):
            compare_turns(grid, imagery, checkpoint, precision, options.turns, folder / "x.zarr")


if __name__ == "__main__":
    main()
