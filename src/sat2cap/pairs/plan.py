"""Everything about a pair set that is settled before any pixel is read: which pairs, and in which shard."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import repeat
from typing import Any

import numpy as np
import shapely

from sat2cap.errors import PairsError
from sat2cap.files import canonical_json, digest, digest_pieces
from sat2cap.imagery import Imagery
from sat2cap.pairs.screening.rules import Funnel, Rules
from sat2cap.pairs.screening.screen import screen_records
from sat2cap.pairs.splits.split import BUFFER, SPLITS, SplitPlan, assign
from sat2cap.photos import PhotoSource, PhotoTable, read_record_batches
from sat2cap.progress import Progress, silent

FORMAT = 1
"""Version of what is on disk; see docs/pairs.md."""

OUTSIDE = "outside the imagery"
NEAR = "near another split"
_NAMED = ("key", "lon", "lat", "taken", "user", "licence", "source")  # what makes a plan another one


@dataclass(frozen=True)
class PatchSpec:
    """The overhead patch of a pair: a north-up square centred on the photo."""

    size_m: float = 480.0
    """Side in metres."""
    pixels: int = 800
    """Side in pixels."""
    max_missing: float = 0.5
    """A patch with more than this share of its pixels missing leaves its pair out."""
    quality: int = 92
    """JPEG quality of the stored patch."""

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
    """The pairs of one shard before they are made."""

    name: str
    """File name, such as ``train-00000.tar``."""
    split: str
    photos: PhotoTable


@dataclass(frozen=True)
class BuildPlan:
    """What will be built."""

    shards: tuple[Shard, ...]
    funnel: Funnel
    """Up to here; making the pairs may leave out more."""
    provenance: Mapping[str, Any]
    """Sources and settings, as plain JSON values."""
    identity: str
    """Equal for equal plans: a build is resumed only by its own plan."""

    @property
    def pairs(self) -> int:
        """How many pairs are planned."""
        return sum(len(shard.photos) for shard in self.shards)


def _inside(imagery: Imagery, lon: np.ndarray[Any, Any], lat: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if imagery.footprint is None:
        return np.ones(len(lon), bool)
    outline = imagery.footprint.to_crs("EPSG:4326").geom
    shapely.prepare(outline)
    return np.asarray(shapely.intersects_xy(outline, lon, lat))


def shards_of(photos: PhotoTable, split: np.ndarray[Any, Any], seed: int, per_shard: int) -> Iterator[Shard]:
    """Cut each split into shards in an order that is shuffled, yet fixed by the keys and the seed."""
    shuffle = np.array([digest(str(seed), key) for key in photos.text_column("key")], "S64")
    for name in SPLITS:
        mine = np.flatnonzero(split == name)
        mine = mine[np.argsort(shuffle[mine], kind="stable")]
        for number, start in enumerate(range(0, len(mine), per_shard)):
            yield Shard(f"{name}-{number:05d}.tar", name, photos.take_rows(mine[start : start + per_shard]))


def _identity(shards: tuple[Shard, ...], provenance: Mapping[str, Any]) -> str:
    """The hash of the plan as one JSON text, of which only a shard's part is in memory at a time."""

    def pieces() -> Iterator[str]:
        yield f"[{FORMAT},{canonical_json(dict(provenance))},["
        for number, shard in enumerate(shards):
            key, lon, lat, taken, *rest = (shard.photos.table[name].to_pylist() for name in _NAMED)
            moments = map(str, taken)
            rows = list(zip(repeat(shard.name), key, lon, lat, moments, *rest, strict=False))
            yield ("," if number else "") + canonical_json(rows)[1:-1]
        yield "]]"

    return digest_pieces(pieces)


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
    """Screen, keep what lies inside the imagery, split, sort, cut into shards. `PairsError` if none."""
    if per_shard < 1:
        raise PairsError(f"per_shard {per_shard} must be at least 1; use 1000")
    kept, funnel = screen_records(read_record_batches(photos), rules, progress)
    inside = _inside(imagery, *kept.coordinates())
    kept = kept.take_rows(np.flatnonzero(inside))
    names = assign(
        *kept.coordinates(), split, seed=seed, patch_m=patch.size_m, users=kept.text_column("user")
    )
    funnel = funnel.drop({OUTSIDE: int((~inside).sum()), NEAR: int((names == BUFFER).sum())})
    if funnel.kept == 0:
        why = (
            ", ".join(f"{reason} {count}" for reason, count in funnel.dropped.items())
            or "the source is empty"
        )
        raise PairsError(
            f"{photos.uri}: none of {funnel.records} photos can be used ({why}); check the source"
        )
    shards = tuple(shards_of(kept, names, seed, per_shard))
    provenance = {
        "photos": photos.uri,
        "imagery": imagery.info.as_dict(),
        "rules": rules.as_dict(),
        "patch": asdict(patch),
        "split": asdict(split) | {"fractions": list(split.fractions)},
        "seed": seed,
        "per_shard": per_shard,
    }
    return BuildPlan(shards, funnel, provenance, _identity(shards, provenance))
