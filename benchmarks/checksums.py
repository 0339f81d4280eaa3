"""What comparing an atlas with its checksums costs a first scan, as a share of the scan without.

    python benchmarks/checksums.py FOLDER [--cells 1000000] [--times 9]

Makes an int8 atlas of random numbers with 512 to a cell in FOLDER, its prepared folder and a published copy
(1.2 GB for a million cells, removed at the end). A scan with checksums and one without take turns; each opens
the atlas anew, as a new process would, and scores one vector. Files are in the page cache, where the check
weighs most.
"""

import argparse
import os
import shutil
import statistics
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from sat2cap.atlas import AtlasSpec, CellStatus, create_or_resume, journal, open_atlas
from sat2cap.atlas.published import ChunkCoding
from sat2cap.publishing import publish_atlas
from sat2cap.query import PREPARED_FOLDER, Scan, prepare_atlas
from sat2cap.query.engine.cosine import Cosines
from sat2cap.stores import open_store

DIM, SIDE, POOL = 512, 32, 16
decode = ChunkCoding.decode


def make_atlas(path: Path, cells: int) -> None:
    """Write an atlas of a square of about `cells` cells."""
    chunks = max(1, round((cells / SIDE**2) ** 0.5))
    shape = SIDE * chunks, SIDE * chunks
    grid = GeoBox(shape, Affine(100, 0, 400_000, 0, -100, 5_800_000), "EPSG:32631")
    model, imagery = {"identity": "m", "source": "made up", "card": {}}, {"identity": "i"}
    writer = create_or_resume(
        path, AtlasSpec(grid, np.ones(shape, bool), DIM, "int8", model, imagery, 100.0, 8, SIDE)
    )
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(POOL, SIDE, SIDE, DIM)).astype(np.float32)
    for number, chunk in enumerate(writer.pending()):
        writer.write(chunk, pool[number % POOL], np.full(chunk.shape, CellStatus.OK, np.uint8))
    writer.finish()


def first_scan_s(path: Path, text: np.ndarray) -> float:
    """Return the processor's seconds from opening an atlas to the end of its first scan."""
    start_s = time.process_time()
    cosines = Cosines(text, None)
    for _ in Scan(open_atlas(path), "cyclic").map_blocks(lambda cells: cosines(cells, None)):
        pass
    return time.process_time() - start_s


def compare(path: Path, times: int, *, is_prepared: bool) -> tuple[float, float, float]:
    """Return the least seconds without and with checksums, and the median of the ratios, each of one turn."""
    text = np.full((1, DIM), DIM**-0.5, np.float32)
    store = open_store(path)
    entries = journal.read_journal(store, open_atlas(path).arrays.values())
    plain = {index: replace(entry, checksums={}) for index, entry in entries.items()}
    written_s = time.time()
    first_scan_s(path, text)  # compiles the loops
    without: list[float] = []
    having: list[float] = []
    for _ in range(times):
        for seconds, journalled in ((without, plain), (having, entries)):
            if is_prepared:  # its blocks are compared where something wrote after the manifest
                moment_s = written_s - 1000 if journalled is plain else written_s + 1000
                os.utime(path / PREPARED_FOLDER / "embeddings.npy", (moment_s, moment_s))
            else:
                journal.rewrite_journal(store, journalled)
            seconds.append(first_scan_s(path, text))
    ratios = [after / before for before, after in zip(without, having, strict=True)]
    return min(without), min(having), statistics.median(ratios)


def compare_published(path: Path, folder: Path, times: int) -> tuple[float, float, float]:
    """Return what `compare` does, of the published copy of an atlas."""
    copy = Path(publish_atlas(open_atlas(path), folder).store)
    text = np.full((1, DIM), DIM**-0.5, np.float32)
    first_scan_s(copy, text)
    without: list[float] = []
    having: list[float] = []
    for _ in range(times):
        with patch.object(ChunkCoding, "decode", decode_unchecked):
            without.append(first_scan_s(copy, text))
        having.append(first_scan_s(copy, text))
    ratios = [after / before for before, after in zip(without, having, strict=True)]
    return min(without), min(having), statistics.median(ratios)


def decode_unchecked(
    coding: ChunkCoding, data: bytes, size: int, *, compare: bool = True
) -> bytes | memoryview:
    """Do what `ChunkCoding.decode` does without comparing."""
    return decode(coding, data, size, compare=False)


def main() -> None:
    """Print the cost for the chunks, for the prepared folder and for a published copy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=9)
    args = parser.parse_args()
    path = args.folder / "checksums.zarr"
    make_atlas(path, args.cells)
    try:
        for name in ("chunks", "prepared"):
            if name == "prepared":
                prepare_atlas(open_atlas(path), "cyclic")
            without, having, ratio = compare(path, args.times, is_prepared=name == "prepared")
            print(f"{name}: {without:.3f} s without, {having:.3f} s with; median ratio {ratio:.3f}")
        shutil.rmtree(path / PREPARED_FOLDER)
        without, having, ratio = compare_published(path, args.folder / "public", args.times)
        print(f"published: {without:.3f} s without, {having:.3f} s with; median ratio {ratio:.3f}")
    finally:
        shutil.rmtree(path)
        shutil.rmtree(args.folder / "public", ignore_errors=True)


if __name__ == "__main__":
    main()
