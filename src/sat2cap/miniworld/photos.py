"""The planet's photos as a source: records with the usual faults, and the picture behind each."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np

from sat2cap.miniworld.concepts import CONCEPTS
from sat2cap.miniworld.photographers import APPEAL, Bounds, Shot, shots
from sat2cap.miniworld.planet.noise import Floats
from sat2cap.miniworld.scenes.camera import photograph
from sat2cap.miniworld.scenes.captions import caption
from sat2cap.miniworld.scenes.scene import Scene, scenes
from sat2cap.miniworld.surroundings import moments, places
from sat2cap.miniworld.world import World
from sat2cap.photos import Photo

_USERS = 400


@dataclass(frozen=True)
class MiniPhotos:
    """The first `count` photos that people took on a planet, as they published them."""

    world: World
    count: int = 12_000
    bounds: Bounds = field(default_factory=Bounds)
    seed: int = 0
    appeal: tuple[float, ...] = tuple(float(v) for v in APPEAL)
    """How much each land cover draws photographers."""
    eagerness: float = 1.0
    """Above 1, rare things show more often than they happen: chances are raised to 1 / eagerness."""

    @property
    def uri(self) -> str:
        """How people name it."""
        return self.world.uri

    def __len__(self) -> int:
        return self.count

    def photos(self) -> Iterator[Photo]:
        """Every record; about one in twenty-five is wrong, as on any photo site."""
        for index in range(self.count):
            yield self._record(index)

    def image(self, photo: Photo) -> bytes:
        """The photo as JPEG."""
        return self.images([photo])[0]

    def images(self, photos: Sequence[Photo]) -> list[bytes]:
        """Several photos as JPEG."""
        return [
            _jpeg(scene, np.random.default_rng([self.world.seed, self.seed, index, 2]))
            for index, scene in self._scenes([_index(p) for p in photos])
        ]

    def captions(self, photos: Sequence[Photo], each: int = 1) -> list[list[str]]:
        """What `each` of several people would write under each photo."""
        written = []
        for index, scene in self._scenes([_index(p) for p in photos]):
            r = np.random.default_rng([self.world.seed, self.seed, index, 3])
            written.append([caption(scene, r) for _ in range(each)])
        return written

    def scenes(self, photos: Sequence[Photo]) -> list[Scene]:
        """What the photos show."""
        return [scene for _, scene in self._scenes([_index(p) for p in photos])]

    @cached_property
    def _shots(self) -> list[Shot]:
        return shots(self.seed, self.world.seed, self.count, self.bounds, np.asarray(self.appeal, np.float32))

    def _scenes(self, indices: list[int]) -> list[tuple[int, Scene]]:
        taken = [self._shots[i] for i in indices]
        lon, lat = (np.array(values) for values in zip(*((s.lon, s.lat) for s in taken), strict=True))
        p = places(lon, lat, self.world.seed)
        m = moments(lat, *(np.array(v) for v in zip(*(_clock(s.taken) for s in taken), strict=True)))
        draws: Floats = np.stack(
            [
                np.random.default_rng([self.world.seed, self.seed, i, 1]).random(
                    len(CONCEPTS), dtype=np.float32
                )
                for i in indices
            ]
        )
        return list(zip(indices, scenes(p, m, draws**self.eagerness), strict=True))

    def _record(self, index: int) -> Photo:
        """The truth, or one of the ways in which published records go wrong."""
        shot, luck = (
            self._shots[index],
            float(np.random.default_rng([self.world.seed, self.seed, index, 0]).random()),
        )
        lon: float | None = shot.lon
        lat: float | None = shot.lat
        taken: datetime | None = shot.taken
        if luck < 0.012:
            lon = lat = None
        elif luck < 0.018:
            lon = lat = 0.0
        elif luck < 0.028:
            taken = None
        elif luck < 0.036:
            taken = shot.taken.replace(year=1905, day=min(shot.taken.day, 28))
        elif luck < 0.042:
            taken = shot.taken.replace(year=2105, day=min(shot.taken.day, 28))
        return Photo(
            key=f"mini{self.world.number}-{index:07d}",
            lon=lon,
            lat=lat,
            taken=taken,
            user=f"user{(7 * round(shot.lon) + 31 * round(shot.lat)) % _USERS}",
            licence="CC0-1.0",
            source=self.uri,
        )


def _index(photo: Photo) -> int:
    return int(photo.key.rsplit("-", 1)[1])


def _clock(taken: datetime) -> tuple[int, int, float]:
    return taken.month, taken.day, taken.hour + taken.minute / 60


def _jpeg(scene: Scene, r: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    photograph(scene, r).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
