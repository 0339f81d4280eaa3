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


def broken(tile: servers.Tile, nth: int) -> servers.Fault:
    """2% of all tiles, always the same ones."""
    return 500 if int(digest(repr(tile))[:8], 16) % 50 == 0 else None


class Repeated(MiniImagery):
    """One square of the planet, again and again: quick to serve, so not what is measured."""

    @cached_property
    def square(self) -> np.ndarray:
        """RGBA of 1024 x 1024 pixels of 6 m."""
        affine = Affine(6, 0, WEST, 0, -6, SOUTH)
        return MiniImagery(self.world).read(GeoBox((1024, 1024), affine, "EPSG:32631")).values

    def read(self, box: GeoBox) -> xr.DataArray:
        """Whichever pixels of the square the box's place selects."""
        a = box.affine
        rows = round(-a.f / -a.e) + np.arange(box.shape[0])
        cols = round(a.c / a.a) + np.arange(box.shape[1])
        rgba = self.square[np.ix_(rows % 1024, cols % 1024)]
        return on_grid(rgba, box, ("y", "x", "band"), {"band": list(RGBA)})


def write_region(path: Path, side: int) -> None:
    """A square of so many cells, a metre inside their edges."""
    square = shapely.box(WEST + 1, SOUTH + 1, WEST + side * CELL_M - 1, SOUTH + side * CELL_M - 1)
    geopandas.GeoDataFrame(geometry=[shapely.segmentize(square, 500)], crs="EPSG:32631").to_file(path)


def run(*words: object, limit_s: float, kill: Callable[[], bool] = lambda: False) -> float:
    """Seconds that a command took; killed when `kill` says so, or when it takes too long."""
    began = time.monotonic()
    process = subprocess.Popen([*COMMAND, *map(str, words)])
    killed = late = False
    while process.poll() is None and not (killed or late):
        time.sleep(0.01)
        killed, late = kill(), time.monotonic() - began > limit_s
    if killed or late:
        process.send_signal(signal.SIGKILL)
    status = process.wait()
    assert not late, f"{words[0]} took longer than {limit_s} s"
    assert status == (-signal.SIGKILL if killed else 0), f"{words[0]} ended with {status}"
    return time.monotonic() - began


def journalled(path: Path) -> int:
    journal = path / "_sat2cap/journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): digest_file(p) for p in folder.rglob("*") if p.is_file()}


def cells(path: Path) -> tuple[np.ndarray, np.ndarray]:
    atlas = open_atlas(path)
    return atlas.read(slice(None), slice(None)), atlas.status


def main(folder: Path, side: int, limit_s: float) -> None:
    write_region(folder / "region.gpkg", side)
    whole, killed = folder / "whole.zarr", folder / "killed.zarr"
    imagery = Repeated(World(2))
    assert imagery.square.any()  # made now, not when the first tile is asked for
    with servers.tile_server(imagery, suffix="jpg") as server:
        server.faults = broken

        def embed(out: Path, kill: Callable[[], bool] = lambda: False) -> float:
            words = ("--imagery", server.url, "--model", "miniclip", "--cell", CELL_M, "-o", out)
            return run("embed", folder / "region.gpkg", *words, limit_s=limit_s, kill=kill)

        figures = {"undisturbed (s)": embed(whole)}
        asked, chunks = set(server.asked), journalled(whole)
        figures["killed after (s)"] = embed(killed, lambda: journalled(killed) == chunks // 2)
        figures |= {"chunks": chunks, "chunks done when killed": journalled(killed)}
        figures["the rest (s)"] = embed(killed)
        assert files(killed) == files(whole), "not the same bytes"
        before, status = cells(killed)
        failed = status == CellStatus.IMAGERY_FAILED
        figures |= {"cells": status.size, "failed cells": int(failed.sum()), "tiles": len(asked)}
        figures["broken tiles"] = sum(broken(tile, 0) is not None for tile in asked)
        server.faults = servers.no_fault
        server.asked.clear()
        figures["repair (s)"] = run("atlas", "repair", killed, limit_s=limit_s)
        figures["tiles asked for by repair"] = len(server.asked)
        after, status = cells(killed)
        assert (status == CellStatus.OK).all()
        assert np.array_equal(after[~failed], before[~failed])
        assert verify_atlas(open_atlas(killed)) == []
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    given = [*map(int, sys.argv[1:]), *[142, 300][len(sys.argv) - 1 :]]
    with tempfile.TemporaryDirectory() as name:
        main(Path(name), *given)
