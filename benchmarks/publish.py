"""What a short copy of a published atlas saves, and how well it ranks.

    python benchmarks/publish.py [X.zarr]

Without an atlas, one of 512 x 512 cells with 512 numbers is made up, whose embeddings are smooth in space, as
those of real ground are. It is published in a temporary folder and ranked for made-up texts that lean towards
the embeddings of single cells. For each depth, the bytes read of the store beside those of all embeddings: to
rank by the short copy alone, with the share of the true best 1 % that it finds; and for the best 20 cells
scored exactly, with the share of the true best 20 that are found.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.ndimage import gaussian_filter
from zarr.storage import LocalStore, WrapperStore

from sat2cap.atlas import Atlas, AtlasSpec, CellStatus, create_or_resume, open_atlas
from sat2cap.publishing import publish_atlas

Floats = NDArray[np.float32]

DEPTHS, TEXTS, SHARE, PLACES = (16, 32, 64), 8, 0.01, 20
SIDE, DIM, FIELDS = 512, 512, 60
CANDIDATES = 4
"""Cells scored exactly for each of the best that are asked for."""


class CountingStore(WrapperStore[LocalStore]):  # type: ignore[misc]  # zarr is not followed
    """A store that counts the bytes it hands out."""

    bytes_read = 0

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        """Return an object or a range of it, and count it."""
        value = await super().get(*args, **kwargs)
        type(self).bytes_read += 0 if value is None else len(value)
        return value


def make_atlas(path: Path) -> Atlas:
    """Write an atlas of smooth embeddings with a decaying spectrum around a mean, and a little noise."""
    rng = np.random.default_rng(0)
    fields = [gaussian_filter(rng.normal(size=(SIDE, SIDE)), 2 + number % 12) for number in range(FIELDS)]
    strengths = np.stack(
        [field / field.std() / (1 + number) ** 0.5 for number, field in enumerate(fields)], -1
    )
    basis, mean = rng.normal(size=(FIELDS, DIM)), 2 * rng.normal(size=DIM)
    spec = AtlasSpec(
        grid=GeoBox((SIDE, SIDE), Affine(100, 0, 600_000, 0, -100, 5_800_000), "EPSG:32631"),
        wanted=np.ones((SIDE, SIDE), bool),
        dim=DIM,
        dtype="int8",
        model={"identity": "made up", "source": "", "card": {}},
        imagery={"identity": "made up", "uri": ""},
        patch_m=200.0,
        patch_pixels=224,
    )
    writer = create_or_resume(path, spec)
    for chunk in writer.pending():
        embeddings = strengths[chunk.rows, chunk.cols] @ basis + mean
        embeddings += 0.3 * rng.normal(size=embeddings.shape)
        writer.write(chunk, embeddings.astype(np.float32), np.full(chunk.shape, CellStatus.OK, np.uint8))
    return writer.finish()


def make_texts(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return unit vectors along which cells differ, as prompts that people ask are."""
    texts = values[rng.choice(len(values), TEXTS)] - values.mean(axis=0)
    texts += 0.3 * rng.normal(size=texts.shape) * texts.std()
    return np.asarray(texts / np.linalg.norm(texts, axis=1, keepdims=True), np.float32)


def approximate_cosines(group: zarr.Group, text: Floats, depth: int) -> Floats:
    """Return the cosine of every cell by a copy with `depth` numbers, shape (y, x), NaN for no data."""
    direction = read(group, "rotation")[:depth] @ text
    array = array_of(group, f"embeddings_d{depth}")
    height, width = array.shape[-2:]
    step = (array.shards or array.chunks)[-2]
    products = np.empty((height, width), np.float32)
    for top in range(0, height, step):  # a row of shards at a time
        rows = slice(top, min(top + step, height))
        stored = np.asarray(array[0, :, rows]).reshape(depth, -1)
        products[rows] = (direction @ stored.astype(np.float32)).reshape(-1, width)
    scale, length = (read(group, name, 0) for name in ("scale_rotated", "length"))
    return np.asarray((products * scale + read(group, "mean") @ text) / length, np.float32)


def best_cells(group: zarr.Group, text: Floats, count: int, depth: int) -> NDArray[np.intp]:
    """Return rows and columns of the best cells, shape (2, count), best first.

    The first `CANDIDATES` times `count` by the short copy are scored by their embeddings; only the chunks
    that hold these are read. The cosine does not depend on a cell's scale, so that the scales are not read.
    """
    approximate = approximate_cosines(group, text, depth)
    order = np.argsort(-np.nan_to_num(approximate, nan=-np.inf), axis=None)[: CANDIDATES * count]
    places = np.stack(np.unravel_index(np.sort(order), approximate.shape))
    array = array_of(group, "embeddings")
    side = array.chunks[-1]
    cosines = np.empty(places.shape[1], np.float32)
    for row, col in np.unique(places // side, axis=1).T:
        in_chunk = np.flatnonzero((places // side == [[row], [col]]).all(axis=0))
        top, left = row * side, col * side
        values = np.asarray(array[0, :, top : top + side, left : left + side]).astype(np.float32)
        cells = values[:, places[0, in_chunk] - top, places[1, in_chunk] - left]
        cosines[in_chunk] = (text @ cells) / np.linalg.norm(cells, axis=0)
    return places[:, np.argsort(-cosines, kind="stable")[:count]]


def array_of(group: zarr.Group, name: str) -> zarr.Array:
    """Return an array of the group."""
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array


def read(group: zarr.Group, name: str, *window: Any) -> NDArray[Any]:
    """Return the values of an array of the group, all of them or a window."""
    return np.asarray(array_of(group, name)[window or ...])


def main() -> None:
    """Run the benchmark and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        atlas = open_atlas(sys.argv[1]) if len(sys.argv) > 1 else make_atlas(Path(folder) / "made.zarr")
        values = atlas.read(slice(None), slice(None)).reshape(-1, atlas.dim)
        cells = np.flatnonzero(np.isfinite(values).all(axis=1))
        texts = make_texts(values[cells], np.random.default_rng(1))
        cosines = values[cells] @ texts.T / np.linalg.norm(values[cells], axis=1)[:, None]
        count = max(1, round(SHARE * cells.size))
        depths = [depth for depth in DEPTHS if depth < atlas.dim]
        began = time.perf_counter()
        published = publish_atlas(atlas, Path(folder) / "public", depths=depths)
        print(f"published in {time.perf_counter() - began:.1f} s: {published.size_bytes:,} bytes")
        shards = [file for file in (Path(published.store) / "embeddings").rglob("*") if file.is_file()]
        full = sum(file.stat().st_size for file in shards)
        for depth in depths:
            ranking, rescored, shares, places = 0, 0, [], []
            for text, exact in zip(texts, cosines.T, strict=True):
                order = cells[np.argsort(-exact)]
                CountingStore.bytes_read = 0
                group = zarr.open_group(CountingStore(LocalStore(published.store)), mode="r")
                approximate = approximate_cosines(group, text, depth).ravel()
                ranking += CountingStore.bytes_read
                nearest = cells[np.argsort(-approximate[cells])[:count]]
                shares.append(len(set(order[:count]) & set(nearest)) / count)
                CountingStore.bytes_read = 0
                rows, cols = best_cells(group, text, PLACES, depth)
                rescored += CountingStore.bytes_read
                chosen = np.ravel_multi_index((rows, cols), atlas.plain_grid.shape)
                places.append(len(set(order[:PLACES]) & set(chosen)) / PLACES)
            print(
                f"depth {depth}: alone {ranking / TEXTS / full:.1%} of the bytes, best {SHARE:.0%} "
                f"found {np.mean(shares):.1%} (worst {min(shares):.1%}); best {PLACES} scored exactly "
                f"{rescored / TEXTS / full:.1%}, found {np.mean(places):.1%} (worst {min(places):.1%})"
            )


if __name__ == "__main__":
    main()
