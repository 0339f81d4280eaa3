"""A large region from a tile server that fails: killed, resumed, repaired, and compared.

    python benchmarks/embed_tiles.py [SIDE [SECONDS]]

Serves the miniature world as tiles on loopback, of which 2% always answer 500. Embeds SIDE x SIDE cells
(142: 20,164) with the miniature CLIP twice: undisturbed, and with a SIGKILL after half of the first run's
time; compares every byte; lets the tiles recover, runs ``sat2cap atlas repair``, and compares again. Stops
waiting for any one step after SECONDS.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import geopandas
import numpy as np
import shapely

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import servers

from sat2cap.atlas.layout import CellStatus
from sat2cap.atlas.store import open_atlas, verify
from sat2cap.files import digest, digest_file
from sat2cap.miniworld.world import MiniImagery, World

WEST, SOUTH, CELL_M = 614_400, 5_740_800, 480
SCRIPT = "import sys; from sat2cap.cli import main; main(sys.argv[1:])"
COMMAND = [sys.executable, "-W", "ignore", "-c", SCRIPT]


def broken(tile: servers.Tile, nth: int) -> servers.Fault:
    """2% of all tiles, always the same ones."""
    return 500 if int(digest(repr(tile))[:8], 16) % 50 == 0 else None


def write_region(path: Path, side: int) -> None:
    """A square of so many cells, a metre inside their edges."""
    square = shapely.box(WEST + 1, SOUTH + 1, WEST + side * CELL_M - 1, SOUTH + side * CELL_M - 1)
    geopandas.GeoDataFrame(geometry=[shapely.segmentize(square, 500)], crs="EPSG:32631").to_file(path)


def run(*words: object, limit_s: float, kill_after_s: float | None = None) -> float:
    """Seconds that a command took; killed after a while if asked."""
    began = time.monotonic()
    process = subprocess.Popen([*COMMAND, *map(str, words)])
    try:
        status = process.wait(limit_s if kill_after_s is None else kill_after_s)
        assert status == 0, f"{words[0]} ended with {status}"
        assert kill_after_s is None, "it was done before it could be killed"
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert kill_after_s is not None, f"{words[0]} took longer than {limit_s} s"
    return time.monotonic() - began


def files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): digest_file(p) for p in folder.rglob("*") if p.is_file()}


def cells(path: Path) -> tuple[np.ndarray, np.ndarray]:
    atlas = open_atlas(path)
    return atlas.read(slice(None), slice(None)), atlas.status


def main(folder: Path, side: int, limit_s: float) -> None:
    write_region(folder / "region.gpkg", side)
    whole, killed, clean = (folder / f"{name}.zarr" for name in ("whole", "killed", "clean"))
    with servers.tile_server(MiniImagery(World(2)), suffix="jpg") as server:
        server.faults = broken

        def embed(out: Path, **options: float) -> float:
            words = ("--imagery", server.url, "--model", "miniclip", "-o", out)
            return run("embed", folder / "region.gpkg", *words, limit_s=limit_s, **options)

        figures = {"first run, tiles being made (s)": embed(whole)}
        asked = set(server.asked)
        shutil.rmtree(whole)
        figures["undisturbed (s)"] = seconds = embed(whole)
        figures["killed after (s)"] = embed(killed, kill_after_s=seconds / 2)
        figures["chunks done when killed"] = (killed / "_sat2cap/journal.jsonl").read_text().count("\n")
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
        assert verify(open_atlas(killed)) == []
        embed(clean)
        never = cells(clean)[0]
        differ = (after[failed] != never[failed]).any(-1)
        figures["filled cells not byte for byte as never failed"] = int(differ.sum())
        figures["largest difference (of a cell's largest number)"] = float(
            (np.abs(after - never).max(-1) / np.abs(never).max(-1)).max()
        )
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    given = [*map(int, sys.argv[1:]), *[142, 300][len(sys.argv) - 1 :]]
    with tempfile.TemporaryDirectory() as name:
        main(Path(name), *given)
