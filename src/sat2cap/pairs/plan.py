"""Plan of a pair set, made before any pixel is read: its photos, their splits and their shards."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import repeat
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from sat2cap.errors import PairsError
from sat2cap.files import canonical_json, digest, digest_pieces
from sat2cap.imagery import Imagery
from sat2cap.pairs.screening.rules import Funnel, Rules
from sat2cap.pairs.screening.screen import screen_records
from sat2cap.pairs.splits.split import BUFFER, SPLITS, SplitPlan, assign_splits
from sat2cap.photos import PhotoSource, PhotoTable, read_record_batches
from sat2cap.progress import Progress, silent

FORMAT = 1
"""Version of the format on disk, see docs/pairs.md."""

OUTSIDE = "outside the imagery"
NEAR = "near another split"
_IDENTITY_COLUMNS = ("key", "lon", "lat", "taken", "user", "licence", "source")
"""Columns of the photos that are part of a plan's identity."""


@dataclass(frozen=True)
class PatchSpec:
    """The overhead patch of a pair: a north-up square centred on the photo."""

    size_m: float = 480.0
    """Side in metres."""
    pixels: int = 800
    """Side in pixels."""
    max_missing: float = 0.5
    """Largest share of a patch's pixels, from 0 to below 1, that may be missing; beyond it the pair is left
    out."""
    quality: int = 92
    """JPEG quality of the stored patch, 1 to 95."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.size_m) and self.size_m > 0):
            raise PairsError(f"patch size_m {self.size_m} must be above 0; use 480")
        if self.pixels < 1:
            raise PairsError(f"patch pixels {self.pixels} must be at least 1; use 800")
        if not 0 <= self.max_missing < 1:
            raise PairsError(f"patch max_missing {self.max_missing} must be in [0, 1); use 0.5")
        if not 1 <= self.quality <= 95:
            raise PairsError(f"patch quality {self.quality} must be a JPEG quality from 1 to 95; use 92")


@dataclass(frozen=True)
class Shard:
    """Planned content of one shard."""

    name: str
    """File name, such as ``train-00000.tar``."""
    split: str
    """Name of the split: ``train``, ``val`` or ``test``."""
    photos: PhotoTable
    """Photos of the planned pairs, in the order in which they are written."""


@dataclass(frozen=True)
class BuildPlan:
    """Plan of a build: its shards, the photos left out so far, and its identity."""

    shards: tuple[Shard, ...]
    funnel: Funnel
    """Records left out before any pair is made; making the pairs may leave out more."""
    provenance: Mapping[str, Any]
    """Sources and settings, as plain JSON values."""
    identity: str
    """Hash that is equal for equal plans; a build is resumed only by a plan with the same one."""

    @property
    def pair_count(self) -> int:
        """Number of planned pairs."""
        return sum(len(shard.photos) for shard in self.shards)


def _within_footprint(
    imagery: Imagery, lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which of N points (degrees) lie inside the imagery's footprint; all of them if it has none."""
    if imagery.footprint is None:
        return np.ones(len(lon), bool)
    outline = imagery.footprint.to_crs("EPSG:4326").geom
    shapely.prepare(outline)
    return np.asarray(shapely.intersects_xy(outline, lon, lat))


def cut_shards(photos: PhotoTable, split: NDArray[np.str_], seed: int, per_shard: int) -> Iterator[Shard]:
    """Yield the shards of each split, at most `per_shard` photos each.

    `split` ``(N,)`` has the name of each of the N photos' split. The order within a split is that of a hash
    of seed and key: shuffled, yet the same for the same photos and seed.
    """
    hashes = np.array([digest(str(seed), key) for key in photos.text_column("key")], "S64")
    for name in SPLITS:
        rows = np.flatnonzero(split == name)
        rows = rows[np.argsort(hashes[rows], kind="stable")]
        for number, start in enumerate(range(0, len(rows), per_shard)):
            yield Shard(f"{name}-{number:05d}.tar", name, photos.take_rows(rows[start : start + per_shard]))


def _compute_identity(shards: tuple[Shard, ...], provenance: Mapping[str, Any]) -> str:
    """Return the hash of the plan as JSON text, of which one shard at a time is in memory."""

    def json_pieces() -> Iterator[str]:
        yield f"[{FORMAT},{canonical_json(dict(provenance))},["
        for number, shard in enumerate(shards):
            key, lon, lat, taken, *other_columns = (
                shard.photos.table[name].to_pylist() for name in _IDENTITY_COLUMNS
            )
            moments = map(str, taken)
            rows = list(zip(repeat(shard.name), key, lon, lat, moments, *other_columns, strict=False))
            yield ("," if number else "") + canonical_json(rows)[1:-1]
        yield "]]"

    return digest_pieces(json_pieces)


def plan_pairs(
    photos: PhotoSource,
    imagery: Imagery,
    *,
    patch: PatchSpec,
    rules: Rules,
    split: SplitPlan,
    seed: int,
    per_shard: int,
    progress: Progress = silent,
) -> BuildPlan:
    """Screen the photos, leave out those outside the imagery, assign splits and cut the splits into shards.

    Raises `PairsError` if `per_shard` is below 1 or no photo can be used.
    """
    if per_shard < 1:
        raise PairsError(f"per_shard {per_shard} must be at least 1; use 1000")
    photo_table, funnel = screen_records(read_record_batches(photos), rules, progress)
    inside = _within_footprint(imagery, *photo_table.coordinates())
    photo_table = photo_table.take_rows(np.flatnonzero(inside))
    names = assign_splits(
        *photo_table.coordinates(),
        split,
        seed=seed,
        patch_m=patch.size_m,
        users=photo_table.text_column("user"),
    )
    funnel = funnel.drop({OUTSIDE: int((~inside).sum()), NEAR: int((names == BUFFER).sum())})
    if funnel.kept_count == 0:
        counts = (
            ", ".join(f"{reason} {count}" for reason, count in funnel.dropped.items())
            or "the source is empty"
        )
        raise PairsError(
            f"{photos.uri}: none of {funnel.records} photos can be used ({counts}); check the source"
        )
    shards = tuple(cut_shards(photo_table, names, seed, per_shard))
    provenance = {
        "photos": photos.uri,
        "imagery": imagery.info.as_dict(),
        "rules": rules.as_dict(),
        "patch": asdict(patch),
        "split": asdict(split) | {"fractions": list(split.fractions)},
        "seed": seed,
        "per_shard": per_shard,
    }
    return BuildPlan(shards, funnel, provenance, _compute_identity(shards, provenance))
