"""Everything about a pair set that is settled before any pixel is read: which pairs, and in which shard."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import shapely

from sat2cap.errors import PairsError
from sat2cap.files import canonical_json, digest
from sat2cap.pairs.screen import Funnel, Rules, screen
from sat2cap.pairs.split import BUFFER, SPLITS, SplitPlan, assign
from sat2cap.sources.imagery import Imagery
from sat2cap.sources.photos import Photo, PhotoSource

FORMAT = 1
"""Version of what is on disk; see docs/pairs.md."""

OUTSIDE = "outside the imagery"
NEAR = "near another split"


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
    photos: tuple[Photo, ...]


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


def _places(photos: list[Photo]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    lon = np.array([photo.lon for photo in photos], np.float64)
    return lon, np.array([photo.lat for photo in photos], np.float64)


def _shards(photos: list[Photo], split: np.ndarray[Any, Any], seed: int, per_shard: int) -> Iterator[Shard]:
    """Cut each split into shards in an order that is shuffled, yet fixed by the keys and the seed."""
    shuffle = {photo.key: digest(str(seed), photo.key) for photo in photos}
    for name in SPLITS:
        mine = [photo for photo, its in zip(photos, split, strict=True) if its == name]
        mine.sort(key=lambda photo: shuffle[photo.key])
        for number, start in enumerate(range(0, len(mine), per_shard)):
            yield Shard(f"{name}-{number:05d}.tar", name, tuple(mine[start : start + per_shard]))


def _identity(shards: tuple[Shard, ...], provenance: Mapping[str, Any]) -> str:
    rows = [
        (shard.name, p.key, p.lon, p.lat, str(p.taken), p.user, p.licence, p.source)
        for shard in shards
        for p in shard.photos
    ]
    return digest(canonical_json([FORMAT, dict(provenance), rows]))


def plan_pairs(
    photos: PhotoSource,
    imagery: Imagery,
    *,
    patch: PatchSpec,
    rules: Rules,
    split: SplitPlan,
    seed: int,
    per_shard: int,
) -> BuildPlan:
    """Screen, keep what lies inside the imagery, split, sort, cut into shards. `PairsError` if none."""
    if per_shard < 1:
        raise PairsError(f"per_shard {per_shard} must be at least 1; use 1000")
    kept, funnel = screen(photos.photos(), rules)
    inside = _inside(imagery, *_places(kept))
    kept = [photo for photo, its in zip(kept, inside, strict=True) if its]
    names = assign(*_places(kept), split, seed=seed, patch_m=patch.size_m)
    funnel = funnel.drop({OUTSIDE: int((~inside).sum()), NEAR: Counter(names.tolist())[BUFFER]})
    if funnel.kept == 0:
        why = (
            ", ".join(f"{reason} {count}" for reason, count in funnel.dropped.items())
            or "the source is empty"
        )
        raise PairsError(
            f"{photos.uri}: none of {funnel.records} photos can be used ({why}); check the source"
        )
    shards = tuple(_shards(kept, names, seed, per_shard))
    provenance = {
        "photos": photos.uri,
        "imagery": imagery.info.as_dict(),
        "rules": {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(rules).items()
        },
        "patch": asdict(patch),
        "split": asdict(split) | {"fractions": list(split.fractions)},
        "seed": seed,
        "per_shard": per_shard,
    }
    return BuildPlan(shards, funnel, provenance, _identity(shards, provenance))
