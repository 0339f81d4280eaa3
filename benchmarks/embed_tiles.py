"""A large region from a tile server that fails: killed, resumed, repaired, and compared.

    python benchmarks/embed_tiles.py [SIDE [SECONDS]]

Serves a piece of the miniature world, repeated, as tiles on loopback, of which 2% always answer 500. Embeds
SIDE x SIDE cells of 240 m (142: 20,164) with the miniature CLIP twice: undisturbed, and with a SIGKILL when
half of the chunks are done; compares every byte; lets the tiles recover, runs ``sat2cap atlas repair``, and
checks that all failed cells are filled and all others keep their bytes. No step may take longer than SECONDS.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import geopandas
import numpy as np
import shapely
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import servers

from sat2cap.atlas import CellStatus, open_atlas, verify_atlas
from sat2cap.files import digest, digest_file
from sat2cap.geo import on_grid
from sat2cap.imagery import RGBA
from sat2cap.miniworld import MiniImagery, World

WEST, SOUTH, CELL_M = 614_400, 5_740_800, 240
SCRIPT = "import sys; from sat2cap.cli import main; main(sys.argv[1:])"
COMMAND = [sys.executable, "-W", "ignore", "-c", SCRIPT]


def fail_some_tiles(tile: servers.Tile, nth: int) -> servers.Fault:
    """Return a fault for 2 % of all tiles, always the same ones."""
    return 500 if int(digest(repr(tile))[:8], 16) % 50 == 0 else None


class Repeated(MiniImagery):
    """Imagery that repeats one square of the planet: quick to serve, so not what is measured."""

    @cached_property
    def base_square(self) -> np.ndarray:
        """The repeated square: RGBA, uint8, shape (1024, 1024, 4), pixels of 6 m."""
        affine = Affine(6, 0, WEST, 0, -6, SOUTH)
        return MiniImagery(self.world).read(GeoBox((1024, 1024), affine, "EPSG:32631")).values

    def read(self, box: GeoBox) -> xr.DataArray:
        """Return the pixels of the square that repeat under `box`."""
        a = box.affine
        rows = round(-a.f / -a.e) + np.arange(box.shape[0])
        cols = round(a.c / a.a) + np.arange(box.shape[1])
        rgba = self.base_square[np.ix_(rows % 1024, cols % 1024)]
        return on_grid(rgba, box, ("y", "x", "band"), {"band": list(RGBA)})


def write_region(path: Path, side: int) -> None:
    """Write a square region of `side` by `side` cells, which ends a metre inside their edges."""
    square = shapely.box(WEST + 1, SOUTH + 1, WEST + side * CELL_M - 1, SOUTH + side * CELL_M - 1)
    geopandas.GeoDataFrame(geometry=[shapely.segmentize(square, 500)], crs="EPSG:32631").to_file(path)


def run_sat2cap(*words: object, limit_s: float, kill: Callable[[], bool] = lambda: False) -> float:
    """Run a command of sat2cap and return its seconds; kill it when `kill()` is true or after `limit_s`."""
    start_s = time.monotonic()
    process = subprocess.Popen([*COMMAND, *map(str, words)])
    killed = late = False
    while process.poll() is None and not (killed or late):
        time.sleep(0.01)
        killed, late = kill(), time.monotonic() - start_s > limit_s
    if killed or late:
        process.send_signal(signal.SIGKILL)
    status = process.wait()
    assert not late, f"{words[0]} took longer than {limit_s} s"
    assert status == (-signal.SIGKILL if killed else 0), f"{words[0]} ended with {status}"
    return time.monotonic() - start_s


def count_journalled(path: Path) -> int:
    """Return the number of chunks in the journal of an atlas."""
    journal = path / "_sat2cap/journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the hash of every file under a folder, by relative path."""
    return {str(p.relative_to(folder)): digest_file(p) for p in folder.rglob("*") if p.is_file()}


def read_cells(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings and status of all cells of an atlas."""
    atlas = open_atlas(path)
    return atlas.read(slice(None), slice(None)), atlas.status


def main(folder: Path, side: int, limit_s: float) -> None:
    write_region(folder / "region.gpkg", side)
    undisturbed, killed = folder / "whole.zarr", folder / "killed.zarr"
    imagery = Repeated(World(2))
    assert imagery.base_square.any()  # made now, not at the first request of a tile
    with servers.tile_server(imagery, suffix="jpg") as server:
        server.faults = fail_some_tiles

        def embed_region(out: Path, kill: Callable[[], bool] = lambda: False) -> float:
            words = ("--imagery", server.url, "--model", "miniclip", "--cell", CELL_M, "-o", out)
            return run_sat2cap("embed", folder / "region.gpkg", *words, limit_s=limit_s, kill=kill)

        figures = {"undisturbed (s)": embed_region(undisturbed)}
        requested_tiles, chunks = set(server.asked), count_journalled(undisturbed)
        figures["killed after (s)"] = embed_region(killed, lambda: count_journalled(killed) == chunks // 2)
        figures |= {"chunks": chunks, "chunks done when killed": count_journalled(killed)}
        figures["the rest (s)"] = embed_region(killed)
        assert file_hashes(killed) == file_hashes(undisturbed), "not the same bytes"
        before, status = read_cells(killed)
        failed = status == CellStatus.IMAGERY_FAILED
        figures |= {"cells": status.size, "failed cells": int(failed.sum()), "tiles": len(requested_tiles)}
        figures["broken tiles"] = sum(fail_some_tiles(tile, 0) is not None for tile in requested_tiles)
        server.faults = servers.no_fault
        server.asked.clear()
        figures["repair (s)"] = run_sat2cap("atlas", "repair", killed, limit_s=limit_s)
        figures["tiles asked for by repair"] = len(server.asked)
        after, status = read_cells(killed)
        assert (status == CellStatus.OK).all()
        assert np.array_equal(after[~failed], before[~failed])
        assert verify_atlas(open_atlas(killed)) == []
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    arguments = [*map(int, sys.argv[1:]), *[142, 300][len(sys.argv) - 1 :]]
    with tempfile.TemporaryDirectory() as name:
        main(Path(name), *arguments)
