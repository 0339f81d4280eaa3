"""Where the right answer stands in a gallery (table 1 of the paper).

The rank of query i is the number of gallery rows that score at least as high as row i, itself included: 1
is best, and ties count against the query. So a model that gives every row the same embedding earns rank N,
not 1.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat2cap.errors import PairsError
from sat2cap.geo.when import When
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.pairs import Pair, PairSet

_BATCH = 64
_BLOCK_BYTES = 16 << 20
_RECHECKS_PER_ROW = 64

Floats = NDArray[np.floating]


def ranks(query: Floats, gallery: Floats) -> NDArray[np.int64]:
    """Rank, 1 to N, of gallery row i for query row i by inner product; both [N, D] -> int64 [N].

    Exact to float64: products are taken in float32 and those too close to call again in float64. Equal
    gallery rows always tie. Memory stays near 100 MB beside the inputs. Raises `PairsError` for shapes that
    differ, and for values that are not finite.
    """
    query, gallery = _checked(query, gallery)
    rows, owner, weight = np.unique(gallery, axis=0, return_inverse=True, return_counts=True)
    owner = owner.reshape(-1)
    out = np.empty(len(query), dtype=np.int64)
    step = max(1, _BLOCK_BYTES // (4 * max(len(rows), 1)))
    for start in range(0, len(query), step):
        block = slice(start, start + step)
        out[block] = _block_ranks(query[block], rows, owner[block], weight)
    return out


def retrieval_metrics(ranks: NDArray[np.int64]) -> dict[str, float]:
    """R@1, R@5, R@10 as fractions, and the median and mean rank, of ranks [N]."""
    if len(ranks) == 0:
        raise PairsError("there are no ranks to summarise: the split has no pairs; choose another split")
    recall = {f"r{k}": float(np.mean(ranks <= k)) for k in (1, 5, 10)}
    return {**recall, "median_rank": float(np.median(ranks)), "mean_rank": float(np.mean(ranks))}


def evaluate_retrieval(
    pairs: PairSet,
    checkpoint: Checkpoint,
    *,
    split: str = "test",
    gallery: int = 2000,
    use_metadata: bool = True,
    seed: int = 0,
) -> Iterator[tuple[str, float]]:
    """Table 1: yield ``("gallery", N)``, then ``("overhead2ground.r1", …)`` and so on, in both directions.

    The gallery is `gallery` pairs of `split` chosen by `seed`, or all of them where there are fewer. With
    `use_metadata` the overhead embedding of each pair has the Dynamic Encoder's offset for the photo's
    place and time added before it is normalised. Raises `PairsError` for a split without pairs,
    `ModelError` for a model without what is needed.
    """
    yield from gallery_metrics(
        embed_gallery(pairs, checkpoint, split, gallery, seed), checkpoint, use_metadata
    )


@dataclass(frozen=True)
class Gallery:
    """N pairs as a model sees them, to be measured in several ways."""

    overhead: NDArray[np.float32]
    """`[N, D]`, not normalised, without the Dynamic Encoder's offset."""
    ground: NDArray[np.float32]
    """`[N, D]`, of length 1."""
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    taken: tuple[When, ...]


def embed_gallery(
    pairs: PairSet,
    checkpoint: Checkpoint,
    split: str = "test",
    gallery: int = 2000,
    seed: int = 0,
    *,
    ground: NDArray[np.float32] | None = None,
) -> Gallery:
    """Embed the pairs that `evaluate_retrieval` would choose.

    `ground` are the photos of the very same pairs, embedded by a model with the same ground tower: a baseline
    need not embed them again. Raises `PairsError` for a split without pairs.
    """
    total = pairs.count(split)
    if total == 0 or gallery < 1:
        raise PairsError(
            f"split {split!r} of {pairs.path} has {total} pairs, gallery {gallery}: both must be 1 or more"
        )
    chosen = set(np.random.default_rng(seed).permutation(total)[:gallery].tolist())
    if ground is not None and ground.shape != (len(chosen), checkpoint.dim):
        expected = (len(chosen), checkpoint.dim)
        raise PairsError(f"ground embeddings have shape {ground.shape}, not {expected}; leave them out")
    stream = (pair for i, pair in enumerate(pairs.read(split)) if i in chosen)
    overheads, grounds = [], []
    lon, lat, taken = [], [], []
    for batch in _batches(stream):
        overheads.append(_embed_patches(batch, checkpoint))
        if ground is None:
            grounds.append(checkpoint.embed_ground([_decode(pair.ground) for pair in batch]))
        lon += [pair.lon for pair in batch]
        lat += [pair.lat for pair in batch]
        taken += [When.from_datetime(pair.taken) for pair in batch]
    photos = np.concatenate(grounds) if ground is None else ground
    return Gallery(np.concatenate(overheads), photos, np.array(lon), np.array(lat), tuple(taken))


def gallery_metrics(
    gallery: Gallery, checkpoint: Checkpoint, use_metadata: bool
) -> Iterator[tuple[str, float]]:
    """What `evaluate_retrieval` yields, of a gallery that `checkpoint` embedded. Raises `ModelError`."""
    overhead = gallery.overhead + _offsets(gallery, checkpoint) if use_metadata else gallery.overhead
    overhead, ground = _normalised(overhead), _normalised(gallery.ground)
    yield "gallery", float(len(ground))
    for direction, query, answers in (
        ("overhead2ground", overhead, ground),
        ("ground2overhead", ground, overhead),
    ):
        for name, value in retrieval_metrics(ranks(query, answers)).items():
            yield f"{direction}.{name}", value


def _batches(stream: Iterator[Pair]) -> Iterator[list[Pair]]:
    while batch := list(islice(stream, _BATCH)):
        yield batch


def _embed_patches(batch: Sequence[Pair], checkpoint: Checkpoint) -> NDArray[np.float32]:
    return checkpoint.embed_overhead(np.stack([np.asarray(_decode(pair.overhead)) for pair in batch]))


def _offsets(gallery: Gallery, checkpoint: Checkpoint) -> NDArray[np.float32]:
    """The Dynamic Encoder at each pair's place and time, [N, D]."""
    moments = (
        np.array([getattr(when, name) for when in gallery.taken]) for name in ("year", "month", "day", "hour")
    )
    return checkpoint.dynamic_offset(gallery.lat, gallery.lon, *moments)


def _decode(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def _normalised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def _checked(query: Floats, gallery: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if query.ndim != 2 or query.shape != gallery.shape:
        shapes = f"{query.shape} and {gallery.shape}"
        raise PairsError(
            f"query and gallery have shapes {shapes}; both must be [N, D], row i of one for row i"
        )
    if not (np.isfinite(query).all() and np.isfinite(gallery).all()):
        raise PairsError("an embedding is not finite, so it has no rank; leave such pairs out")
    # Adding zero makes -0.0 and 0.0 the same bytes.
    return np.asarray(query, np.float32) + np.float32(0), np.asarray(gallery, np.float32) + np.float32(0)


def _block_ranks(
    query: NDArray[np.float32],
    rows: NDArray[np.float32],
    owner: NDArray[np.intp],
    weight: NDArray[np.intp],
) -> NDArray[np.int64]:
    """Ranks of a block of queries [B, D] over distinct rows [M, D]; `owner` [B] is each one's own row."""
    each = np.arange(len(query))
    scores = query @ rows.T
    own = scores[each, owner]
    # How far rounding can move a float32 product of length D, for the longest row.
    length = float(np.linalg.norm(rows, axis=1).max())
    slack = 2 * query.shape[1] * np.finfo(np.float32).eps * np.linalg.norm(query, axis=1) * length
    above = scores > (own + slack)[:, None]
    unsure = (scores >= (own - slack)[:, None]) ^ above
    unsure[each, owner] = False
    row, col = np.divmod(np.flatnonzero(unsure), len(rows))
    higher = _at_least_own(query, rows, owner, row, col)
    count = _weighted_count(above, weight) + weight[owner]
    np.add.at(count, row[higher], weight[col[higher]])
    return count


def _weighted_count(chosen: NDArray[np.bool_], weight: NDArray[np.intp]) -> NDArray[np.int64]:
    """Sum of the weights [M] of the chosen columns in each row of [B, M]; most weights are 1."""
    heavy = np.flatnonzero(weight > 1)
    return np.asarray(
        np.count_nonzero(chosen, axis=1) + chosen[:, heavy] @ (weight[heavy] - 1), dtype=np.int64
    )


def _at_least_own(
    query: NDArray[np.float32],
    rows: NDArray[np.float32],
    owner: NDArray[np.intp],
    row: NDArray[np.intp],
    col: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Whether query `row[k]` scores gallery row `col[k]` at least as high as its own, in float64."""
    if len(row) > _RECHECKS_PER_ROW * len(query):
        exact = query.astype(np.float64) @ rows.T.astype(np.float64)
        return np.asarray(exact[row, col] >= exact[row, owner[row]])
    difference = rows[col].astype(np.float64) - rows[owner[row]]
    return np.asarray(np.einsum("nd,nd->n", query[row].astype(np.float64), difference) >= 0)
