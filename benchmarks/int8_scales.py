"""Rank lost by ways of storing embeddings as int8, on made-up embeddings like CLIP's.

    python benchmarks/int8_scales.py

10,000 vectors of 512 numbers in a cone, without and with three dominant dimensions; 40 made-up texts. For
each way the rank correlation of a text's cosines with those of the vectors themselves, in the mean and at
worst, and the share of the best 50 that stay.
"""

import numpy as np
from numpy.typing import NDArray

from sat2cap.evaluation.maps.agreement import spearman

Floats = NDArray[np.float64]
CELLS, DIM, TEXTS, BEST = 10_000, 512, 40, 50


def make_embeddings(kind: str, rng: np.random.Generator) -> Floats:
    """Return vectors of decaying spectrum around a mean; three numbers are large in all but ``cone``."""
    spectrum = 0.25 / np.sqrt(1 + np.arange(DIM) / 8)
    rng.shuffle(spectrum)
    vectors, mean = rng.normal(size=(CELLS, DIM)) * spectrum, rng.normal(size=DIM) * 0.25
    if kind != "cone":
        picked = rng.choice(DIM, 3, replace=False)
        mean[picked] = [9, -7, 5]
        if kind == "dominant, varying":
            vectors[:, picked] += rng.normal(size=(CELLS, 3)) * [1.5, 1, 1]
    return np.asarray(vectors + mean)


def make_texts(vectors: Floats, rng: np.random.Generator) -> Floats:
    """Return unit vectors that lean a little towards the mean of the embeddings."""
    texts, mean = rng.normal(size=(TEXTS, DIM)), vectors.mean(axis=0)
    texts += 0.15 * np.linalg.norm(texts, axis=1, keepdims=True) * mean / np.linalg.norm(mean)
    return np.asarray(texts / np.linalg.norm(texts, axis=1, keepdims=True))


def round_to_int8(vectors: Floats, axis: int) -> Floats:
    """Return vectors as int8 would give them back, with one scale for each cell (1) or dimension (0)."""
    scale = np.abs(vectors).max(axis=axis, keepdims=True) / 127
    return np.asarray(np.round(vectors / scale) * scale)


def cosines(vectors: Floats, texts: Floats) -> Floats:
    """Return cosines of all cells with all texts."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True) @ texts.T)


def main() -> None:
    """Print one line for each kind of embeddings and way of storing them."""
    rng = np.random.default_rng(0)
    for kind in ("cone", "dominant", "dominant, varying"):
        vectors = make_embeddings(kind, rng)
        texts, mean = make_texts(vectors, rng), vectors.mean(axis=0)
        stored = {
            "one scale a cell": round_to_int8(vectors, 1),
            "mean out, one scale a cell": round_to_int8(vectors - mean, 1) + mean,
            "one scale a dimension": round_to_int8(vectors, 0),
            "mean out, one scale a dimension": round_to_int8(vectors - mean, 0) + mean,
            "float16": vectors.astype(np.float16).astype(np.float64),
        }
        true = cosines(vectors, texts)
        best = np.argsort(-true, axis=0)[:BEST]
        for name, values in stored.items():
            read = cosines(values, texts)
            ranks = [spearman(read[:, k], true[:, k]) for k in range(TEXTS)]
            read_best = np.argsort(-read, axis=0)[:BEST]
            same = np.mean([len(np.intersect1d(best[:, k], read_best[:, k])) / BEST for k in range(TEXTS)])
            print(f"{kind:18} {name:32} rank {np.mean(ranks):.5f}, worst {min(ranks):.5f}; best {same:.3f}")


if __name__ == "__main__":
    main()
