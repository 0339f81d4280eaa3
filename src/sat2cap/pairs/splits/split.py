"""Assignment of pairs to training, validation and test.

Places photographed often are photographed from a few metres apart, so a random split puts test places into
training. The spatial split gives whole blocks of land to one split, and leaves out pairs of a lesser split
that come so near a block of a greater one (train < val < test) that their patches could overlap. Which block
goes where depends on the seed alone, never on which photos exist: adding photos moves none.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import shapely

from sat2cap.errors import PairsError
from sat2cap.geo import M_PER_DEGREE, seamless_blocks

Floats = npt.NDArray[np.float64]
SPLITS = ("train", "val", "test")
BUFFER = "buffer"
"""Label, in place of a split, of pairs left out so that patches of different splits do not overlap."""


@dataclass(frozen=True)
class SplitPlan:
    """Settings of a split. Raises `PairsError` for settings that make no sense."""

    method: Literal["spatial", "random", "user"] = "spatial"
    """Unit that goes to one split as a whole: a block of land, a single pair (the paper's split, whose test
    places lie metres from training places), or all photos of a user."""
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Shares of train, val and test: of blocks, of pairs or of users. They add up to 1."""
    block_km: float = 10.0
    """Side of a block of the spatial split, in kilometres."""
    buffer_m: float | None = None
    """Least distance in metres between pairs of different splits; None for the diagonal of a patch, 0 for no
    buffer."""

    def __post_init__(self) -> None:
        if self.method not in ("spatial", "random", "user"):
            raise PairsError(f"split {self.method!r} is unknown; use one of spatial, random, user")
        if len(self.fractions) != 3 or min(self.fractions) < 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise PairsError(
                f"fractions {self.fractions} must be three shares that add up to 1; use (0.8, 0.1, 0.1)"
            )
        if not (math.isfinite(self.block_km) and self.block_km > 0):
            raise PairsError(f"block_km {self.block_km} must be above 0; use 10")
        if self.buffer_m is not None and not 0 <= self.buffer_m <= self.block_km * 250:
            raise PairsError(
                f"buffer_m {self.buffer_m} must lie between 0 and a quarter of a block ({self.block_km} km); "
                "use larger blocks"
            )


def _mix_bits(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64-bit integers by the finaliser of SplitMix64, which gives the same result on every machine.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _hash_to_uniform(seed: int, *numbers: npt.NDArray[np.int64]) -> Floats:
    """Return a number in [0, 1) for each row of the columns `numbers`, determined by the row and the seed."""
    state = np.broadcast_to(np.uint64(seed % 2**64), numbers[0].shape).astype(np.uint64)
    for column in numbers:
        state = _mix_bits(state * np.uint64(0x9E3779B97F4A7C15) + column.astype(np.uint64))
    scrambled = _mix_bits(state + np.uint64(0x9E3779B97F4A7C15))
    return np.asarray((scrambled >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def _choose_splits(uniform: Floats, fractions: tuple[float, float, float]) -> npt.NDArray[np.str_]:
    """Return the split of each number in [0, 1): [0, 0.8) is train, [0.8, 0.9) val for (0.8, 0.1, 0.1)."""
    bounds = np.cumsum(fractions)[:2]
    # a fraction of 0 gets nothing: with equal bounds side="right" steps over it
    return np.array(SPLITS)[np.searchsorted(bounds, uniform, side="right")]


def spatial_split(
    lon: Floats,
    lat: Floats,
    *,
    seed: int = 0,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    block_km: float = 10.0,
    buffer_m: float = 0.0,
) -> npt.NDArray[np.str_]:
    """Return the split of each of N points by its block of land, and `BUFFER` for points to leave out.

    Left out are points within `buffer_m` of a block of a greater split (train < val < test). `lon` and `lat`
    are degrees, WGS 84, shape (N,). `buffer_m` is at most a quarter of a block, so that the buffer around a
    point cannot skip a block and its eight compass points see every block that it touches::

        NW  N  NE        the splits at these nine places, `buffer_m` apart, are compared
         W  .  E         with the split of the point in the middle
        SW  S  SE
    """
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)

    def split_at(east: Floats, north: Floats) -> npt.NDArray[np.str_]:
        return _choose_splits(_hash_to_uniform(seed, *seamless_blocks(east, north, block_km)), fractions)

    split = split_at(lon, lat)
    if buffer_m == 0:
        return split
    rank = {name: number for number, name in enumerate(SPLITS)}
    ranks = np.vectorize(rank.__getitem__, otypes=[np.int64])(split) if len(split) else np.zeros(0, np.int64)
    reach_lat = buffer_m / M_PER_DEGREE
    # a degree of longitude is shortest where the buffer comes nearest the pole
    cos_lat = np.cos(np.deg2rad(np.minimum(np.abs(lat) + reach_lat, 89.9)))
    near = np.zeros(len(split), bool)
    for east in (-1, 0, 1):
        for north in (-1, 0, 1):
            neighbour = split_at(lon + east * reach_lat / cos_lat, (lat + north * reach_lat).clip(-90, 90))
            for name, number in rank.items():
                near |= (neighbour == name) & (number > ranks)
    return np.where(near, BUFFER, split)


def random_split(
    count: int, *, seed: int = 0, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
) -> npt.NDArray[np.str_]:
    """Return the names of the splits of N = `count` pairs, ``(N,)``, whatever their places.

    It is the split of the paper. `fractions` are the shares of training, validation and test, which sum to 1.
    """
    return _choose_splits(_hash_to_uniform(seed, np.arange(count, dtype=np.int64)), fractions)


def user_split(
    users: Sequence[str], *, seed: int = 0, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
) -> npt.NDArray[np.str_]:
    """Return the names of the splits of N pairs, ``(N,)``, by a hash of each one's user.

    No user is in two splits. `fractions` are the shares of training, validation and test among the users.
    """
    names, user_numbers = np.unique(np.asarray(users, dtype=object), return_inverse=True)
    hashes = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]
    numbers = np.array([int.from_bytes(value, "little", signed=True) for value in hashes], np.int64)
    return _choose_splits(_hash_to_uniform(seed, numbers), fractions)[user_numbers]


def assign_splits(
    lon: Floats, lat: Floats, plan: SplitPlan, *, seed: int, patch_m: float, users: Sequence[str] = ()
) -> npt.NDArray[np.str_]:
    """Return the split of each of N pairs under `plan`, and `BUFFER` for pairs to leave out.

    `lon` and `lat` are degrees, `patch_m` is the side of a patch in metres. `users` are needed for the split
    by user only. Raises `PairsError` if a user is missing, or blocks are too small for the buffer.
    """
    if plan.method == "random":
        return random_split(len(lon), seed=seed, fractions=plan.fractions)
    if plan.method == "user":
        if len(users) != len(lon) or not all(users):
            raise PairsError("the split by user needs the user of every photo; use spatial or random")
        return user_split(users, seed=seed, fractions=plan.fractions)
    # the diagonal: each patch is turned by its own zone's convergence, so a side is not quite enough
    buffer_m = patch_m * math.sqrt(2) if plan.buffer_m is None else plan.buffer_m
    if buffer_m > plan.block_km * 250:
        raise PairsError(
            f"blocks of {plan.block_km} km are too small for a buffer of {buffer_m:.0f} m; "
            f"use block_km of at least {buffer_m / 250:.1f}"
        )
    return spatial_split(
        lon, lat, seed=seed, fractions=plan.fractions, block_km=plan.block_km, buffer_m=buffer_m
    )


def find_overlapping_pairs(
    lon: Floats,
    lat: Floats,
    split: npt.NDArray[np.str_],
    patch_m: float,
    greater: str = "test",
    lesser: str = "train",
) -> npt.NDArray[np.bool_]:
    """Return which pairs of split `greater` may have a patch that overlaps one of `lesser`, as bool (N,).

    Compares the centres of patches, without knowing of blocks, and so checks `spatial_split` independently. A
    tenth of the side is added, since patches of neighbouring UTM zones are turned against each other.
    """
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    greater_rows, lesser_rows = np.flatnonzero(split == greater), np.flatnonzero(split == lesser)
    overlapping = np.zeros(len(lon), bool)
    reach_lat = patch_m * 1.1 / (M_PER_DEGREE * 0.99)
    reach_lon = reach_lat / np.cos(np.deg2rad(np.minimum(np.abs(lat[greater_rows]) + reach_lat, 89.9)))
    tree: Any = shapely.STRtree(shapely.points(lon[lesser_rows], lat[lesser_rows]))
    for turn_deg in (-360.0, 0.0, 360.0):  # neighbours across the antimeridian
        centre_lon, centre_lat = lon[greater_rows] + turn_deg, lat[greater_rows]
        boxes = shapely.box(
            centre_lon - reach_lon, centre_lat - reach_lat, centre_lon + reach_lon, centre_lat + reach_lat
        )
        box_numbers = tree.query(boxes)[0]
        overlapping[greater_rows[np.unique(box_numbers)]] = True
    return overlapping
