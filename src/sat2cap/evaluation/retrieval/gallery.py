"""Galleries: embedded pairs of one split, made once for everything that is measured with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat2cap.errors import InputError, PairsError, PictureError
from sat2cap.files import canonical_json, digest, publish
from sat2cap.geo import M_PER_DEGREE, When
from sat2cap.lookahead import count_cores, map_ahead
from sat2cap.model import Checkpoint, choose_compute
from sat2cap.pairs import Pair, PairSet
from sat2cap.pictures import DECODING_VERSION, decode_picture

_BATCH = 64
_EQUAL_M = 1e-6  # metres; DBSCAN wants a radius above 0

Float32 = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Gallery:
    """Embeddings, places and times of N pairs of one split, by one model."""

    overhead: Float32
    """Overhead embeddings, float32 `[N, D]`, neither normalised nor conditioned on place and time."""
    ground: Float32
    """Embeddings of the photos, float32 `[N, D]`, unit length."""
    lon: NDArray[np.float64]
    """Degrees, `[N]`."""
    lat: NDArray[np.float64]
    """Degrees, `[N]`."""
    taken: tuple[When, ...]
    """When each photo was taken."""
    row: NDArray[np.int64]
    """Position of each pair in its split."""

    @cached_property
    def unit_overhead(self) -> Float32:
        """Overhead embeddings without place and time: float32 `[N, D]`, unit length."""
        return normalise_rows(self.overhead)

    def conditioned_embeddings(self, checkpoint: Checkpoint) -> Float32:
        """Return unit embeddings conditioned on each photo's place and time: float32 `[N, D]`.

        `checkpoint` is the model that embedded the gallery. Raises `ModelError` without a Dynamic Encoder.
        """
        return normalise_rows(self.overhead + self.dynamic_offsets(checkpoint))

    def dynamic_offsets(self, checkpoint: Checkpoint) -> Float32:
        """Return the Dynamic Encoder's output at each pair's place and time: float32 `[N, D]`.

        Raises `ModelError` for a model without one.
        """
        moments = (
            np.array([getattr(when, name) for when in self.taken])
            for name in ("year", "month", "day", "hour")
        )
        return checkpoint.dynamic_offset(self.lat, self.lon, *moments)

    def places(self, apart_m: float = 1.0) -> NDArray[np.int64]:
        """Return the number of each pair's place, int64 `[N]`; pairs within `apart_m` metres share one.

        See `same_places`.
        """
        return same_places(self.lon, self.lat, apart_m)


def normalise_rows(rows: Float32) -> Float32:
    """Return the rows of `[N, D]` divided by their lengths, as float32."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def same_places(
    lon: NDArray[np.float64], lat: NDArray[np.float64], apart_m: float = 1.0
) -> NDArray[np.int64]:
    """Number the places of N points, so that any two points at most `apart_m` metres apart share a number.

    `lon` and `lat` are degrees, shape (N,); so is the result, whose numbers start at 0 in the order of first
    appearance. Places grow along chains: a row of points, each within `apart_m` of the next, is one place.
    With `apart_m` 0 only equal points share one.

    This is DBSCAN (Ester et al., 1996) with groups of one point allowed, by great-circle distance. Raises
    `InputError` without scikit-learn.
    """
    try:
        from sklearn.cluster import DBSCAN
    except ImportError as error:
        raise InputError(
            "grouping pairs by place needs scikit-learn; run: pip install 'sat2cap[evaluate]'"
        ) from error
    radius_rad = np.radians(max(apart_m, _EQUAL_M) / M_PER_DEGREE)
    clustering = DBSCAN(eps=radius_rad, min_samples=1, metric="haversine", algorithm="ball_tree")
    return np.asarray(clustering.fit_predict(np.radians(np.column_stack([lat, lon]))), np.int64)


def embed_gallery(
    pairs: PairSet,
    checkpoint: Checkpoint,
    split: str = "test",
    gallery: int = 2000,
    seed: int = 0,
    *,
    ground: Float32 | None = None,
    cache: Path | None = None,
) -> Gallery:
    """Embed `gallery` pairs of `split`, chosen at random by `seed`; all of them if there are fewer.

    Only these pairs are read. The model is moved to the device that `choose_compute` names, and stays there.
    `ground` `[N, D]` are embeddings of the photos of the very same pairs by a model with the same ground
    tower, so that a baseline need not compute them again. With a folder `cache`, a gallery that was embedded
    before is read from there.
    Raises `PairsError` for a split without pairs.
    """
    total = pairs.count(split)
    if total == 0 or gallery < 1:
        raise PairsError(
            f"split {split!r} of {pairs.name} has {total} pairs, gallery {gallery}: both must be 1 or more"
        )
    chosen = np.sort(np.random.default_rng(seed).permutation(total)[:gallery])
    if ground is not None and ground.shape != (len(chosen), checkpoint.dim):
        expected = (len(chosen), checkpoint.dim)
        raise PairsError(f"ground embeddings have shape {ground.shape}, not {expected}; leave them out")
    checkpoint.to(choose_compute().device)
    if cache is None:
        return _embed_rows(pairs, checkpoint, split, chosen, ground)
    identity = [
        pairs.fingerprint,
        split,
        gallery,
        seed,
        checkpoint.place_identity,
        checkpoint.ground_identity,
        DECODING_VERSION,
    ]
    if checkpoint.fast_precision != "float32":
        identity.append(checkpoint.fast_precision)
    path = cache / f"gallery-{digest(canonical_json(identity))[:24]}.npz"
    if not path.exists():
        _save_gallery(path, _embed_rows(pairs, checkpoint, split, chosen, ground))
    return _load_gallery(path)


def read_pairs(pairs: PairSet, split: str, rows: Sequence[int]) -> dict[int, Pair]:
    """Return the pairs at the positions `rows` of a split, by position.

    Raises `PairsError` for a damaged shard.
    """
    return dict(pairs.read_rows(split, rows))


def _embed_rows(
    pairs: PairSet, checkpoint: Checkpoint, split: str, chosen: NDArray[np.int64], ground: Float32 | None
) -> Gallery:
    """Embed the pairs at the positions `chosen` of a split; photos only if `ground` is None.

    Threads decode and resize pictures to what the towers take, ahead of the network.
    """

    def prepare_pair(entry: tuple[int, Pair]) -> tuple[Pair, Pixels, Pixels | None]:
        pair = entry[1]
        patch = checkpoint.overhead_preprocess.pixels([decode_image(pair.overhead)])[0]
        if ground is not None:
            return pair, patch, None
        return pair, patch, checkpoint.ground_preprocess.pixels([decode_image(pair.ground)])[0]

    stream = pairs.read_rows(split, chosen.tolist())
    prepared = map_ahead(prepare_pair, stream, ahead=2 * _BATCH, threads=count_cores())
    overheads, grounds = [], []
    lon, lat, taken = [], [], []
    while batch := list(islice(prepared, _BATCH)):
        patches = np.stack([patch for _, patch, _ in batch])
        overheads.append(checkpoint.embed_overhead(patches, precision="auto", prepared=True, compiled=False))
        if ground is None:
            photos = np.stack([photo for _, _, photo in batch if photo is not None])
            grounds.append(checkpoint.embed_ground(photos, precision="auto", prepared=True, compiled=False))
        lon += [pair.lon for pair, _, _ in batch]
        lat += [pair.lat for pair, _, _ in batch]
        taken += [When.from_datetime(pair.taken) for pair, _, _ in batch]
    unit_ground = normalise_rows(np.concatenate(grounds) if ground is None else ground)
    return Gallery(np.concatenate(overheads), unit_ground, np.array(lon), np.array(lat), tuple(taken), chosen)


def decode_image(data: bytes) -> Image.Image:
    """Return a picture of a pair, upright RGB, from the bytes of its member in a shard.

    Raises `PairsError` if it cannot be decoded.
    """
    try:
        return decode_picture(data)
    except PictureError as error:
        raise PairsError(
            f"a pair has a picture that cannot be decoded ({error}); build the pairs again"
        ) from error


def _save_gallery(path: Path, gallery: Gallery) -> None:
    """Write a gallery to a file, from which `_load_gallery` reads it."""
    taken = np.array([(w.year, w.month, w.day, w.hour) for w in gallery.taken])
    with publish(path) as temporary:
        np.savez(
            temporary,
            overhead=gallery.overhead,
            ground=gallery.ground,
            lon=gallery.lon,
            lat=gallery.lat,
            taken=taken,
            row=gallery.row,
        )


def _load_gallery(path: Path) -> Gallery:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            taken = tuple(When(int(y), int(m), int(d), float(h)) for y, m, d, h in arrays["taken"])
            return Gallery(
                arrays["overhead"], arrays["ground"], arrays["lon"], arrays["lat"], taken, arrays["row"]
            )
    except (OSError, ValueError, KeyError) as error:
        raise PairsError(f"{path} cannot be read ({error}); remove it, so that it is made again") from error
