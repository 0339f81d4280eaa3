"""Short copies of embeddings: their first principal components, from which a client ranks cells cheaply.

The embeddings o of an atlas lie mostly in few directions. With the mean m and the first d principal
components as the rows of a matrix R, the cosine with a text's unit vector t is

    o . t / |o|   is about   (m . t + (R (o - m)) . (R t)) / |o|

A copy of ``R (o - m)`` as int8 for d = 64 has an eighth of the bytes of embeddings of 512 numbers. A client
reads it whole, ranks the cells, and reads the embeddings themselves only of the cells that came out best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas
from sat2cap.errors import AtlasError

Floats = NDArray[np.float32]

SAMPLED_CELLS = 50_000
"""Cells that the principal components are computed from, at least if the atlas has as many."""


@dataclass(frozen=True, eq=False)
class Depths:
    """The rotation to principal components, and how many of them each short copy keeps."""

    sizes: tuple[int, ...]
    """Numbers that each copy keeps, ascending: ``(32, 64)``. A shorter copy is a prefix of a longer one."""
    mean: Floats
    """Mean embedding m of the sampled cells, float32 `[D]`."""
    rotation: Floats
    """Principal components, the greatest variance first, float32 `[max(sizes), D]`; rows are orthonormal."""

    def declarations(self, dim: int) -> list[dict[str, Any]]:
        """Return the value of ``geoemb:depths``: every copy with its length, the full embeddings last."""
        short = [
            {
                "dimensions": size,
                "array": array_name(size),
                "scale": "scale_rotated",
                "rotation": "rotation",
                "mean": "mean",
            }
            for size in self.sizes
        ]
        return [*short, {"dimensions": dim, "array": "embeddings"}]

    def rotate(self, embeddings: Floats) -> tuple[NDArray[np.int8], Floats, Floats]:
        """Return the rotated copy of embeddings `[..., D]`, its scales, and the embeddings' lengths.

        The copy is int8 `[..., max(sizes)]`, where value = stored * scale; scales and lengths are float32
        `[...]`, NaN for a cell without an embedding.
        """
        rotated = (embeddings - self.mean) @ self.rotation.T
        scale = np.abs(rotated).max(axis=-1) / 127
        with np.errstate(invalid="ignore", divide="ignore"):
            stored = np.rint(np.nan_to_num(rotated / scale[..., None])).astype(np.int8)
        return stored, scale.astype(np.float32), np.linalg.norm(embeddings, axis=-1).astype(np.float32)


def array_name(size: int) -> str:
    """Return the name of the array with the first `size` components."""
    return f"embeddings_d{size}"


def find_depths(atlas: Atlas, sizes: Sequence[int]) -> Depths | None:
    """Return the rotation for copies of these sizes, None for no copy.

    It is computed from cells all over the atlas, of a wide one from all UTM zones. Raises `AtlasError` unless
    every size is at least 1 and smaller than the atlas's embeddings, and if no cell has an embedding.
    """
    if not sizes:
        return None
    for size in sizes:
        if not 1 <= size < atlas.dim:
            raise AtlasError(
                f"a depth of {size} is not from 1 to {atlas.dim - 1}, fewer numbers than an embedding has; "
                "choose 32 or 64"
            )
    sample = _sample_embeddings(atlas)
    mean = sample.mean(axis=0, dtype=np.float64)
    centred = sample - mean
    # eigenvectors of the covariance, whose eigenvalues `eigh` returns in ascending order
    _, vectors = np.linalg.eigh(centred.T @ centred)
    rotation = vectors[:, ::-1].T[: max(sizes)]
    # an eigenvector's sign is arbitrary: make the largest number positive, so that every machine agrees
    largest = np.take_along_axis(rotation, np.abs(rotation).argmax(axis=1)[:, None], axis=1)
    rotation = rotation * np.sign(largest)
    return Depths(tuple(sorted(set(sizes))), mean.astype(np.float32), rotation.astype(np.float32))


def _sample_embeddings(atlas: Atlas) -> NDArray[np.float64]:
    """Return embeddings of cells from chunks spread over the atlas, float64 `[N, D]`."""
    chunks = [(member, chunk) for member in atlas.members for chunk in member.chunks()]
    count = min(len(chunks), max(1, -(-SAMPLED_CELLS // atlas.members[0].spec.chunk ** 2)))
    sampled = np.linspace(0, len(chunks) - 1, count).round().astype(int)
    parts = []
    for member, chunk in (chunks[index] for index in sampled):
        values = member.read(chunk.rows, chunk.cols).reshape(-1, atlas.dim)
        parts.append(values[np.isfinite(values).all(axis=1)])
    sample = np.concatenate(parts).astype(np.float64)
    if not len(sample):
        raise AtlasError(f"{atlas.name!r}: no sampled cell has an embedding, so it cannot be shortened")
    return sample
