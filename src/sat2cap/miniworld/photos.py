"""The planet's photos as a photo source: records with the usual faults, and the picture behind each."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np

from sat2cap.miniworld.concepts import CONCEPTS
from sat2cap.miniworld.photographers import COVER_APPEAL, LonLatBounds, Shot, simulate_shots
from sat2cap.miniworld.planet.noise import Floats
from sat2cap.miniworld.scenes.captions import write_caption
from sat2cap.miniworld.scenes.rendering import render_photo
from sat2cap.miniworld.scenes.scene import Scene, sample_scenes
from sat2cap.miniworld.surroundings import local_times, sample_surroundings
from sat2cap.miniworld.world import World
from sat2cap.photos import Photo

_USER_COUNT = 400

_FAULT_STREAM, _SCENE_STREAM, _PICTURE_STREAM, _CAPTION_STREAM = range(4)
"""Streams of random numbers of a photo, independent of each other and of how much is drawn from each."""


@dataclass(frozen=True)
class MiniPhotos:
    """The first `count` photos that people took on a planet, as they published them.

    >>> source = MiniPhotos(World(7), 100)
    >>> records = list(source.photos())
    >>> jpegs, captions = source.images(records), source.captions(records, per_photo=2)
    """

    world: World
    count: int = 12_000
    bounds: LonLatBounds = field(default_factory=LonLatBounds)
    """Where photos are taken, in degrees."""
    seed: int = 0
    """Another seed gives other photos of the same planet."""
    appeal: tuple[float, ...] = tuple(float(v) for v in COVER_APPEAL)
    """Probability of a photo for each `LandCover` that a photographer passes."""
    eagerness: float = 1.0
    """Above 1, rare concepts are shown more often than they happen.

    Probabilities are raised to the power 1 / eagerness.
    """

    @property
    def uri(self) -> str:
        """The planet's name on the command line, such as ``miniworld:7``."""
        return self.world.uri

    def __len__(self) -> int:
        return self.count

    def photos(self) -> Iterator[Photo]:
        """Yield every record, in a fixed order; about one in twenty-five is wrong, as on any photo site."""
        for index in range(self.count):
            yield self._record(index)

    def read_image(self, photo: Photo) -> bytes:
        """Return the photo as JPEG."""
        return self.images([photo])[0]

    def images(self, photos: Sequence[Photo]) -> list[bytes]:
        """Return several photos as JPEG, in less time than one by one."""
        return [
            _encode_jpeg(scene, self._random(index, _PICTURE_STREAM))
            for index, scene in self._indexed_scenes([_photo_index(photo) for photo in photos])
        ]

    def captions(self, photos: Sequence[Photo], per_photo: int = 1) -> list[list[str]]:
        """Return `per_photo` captions of each photo, as several people would write them.

        They depend on the seed and the photo alone.
        """
        captions = []
        for index, scene in self._indexed_scenes([_photo_index(photo) for photo in photos]):
            r = self._random(index, _CAPTION_STREAM)
            captions.append([write_caption(scene, r) for _ in range(per_photo)])
        return captions

    def scenes(self, photos: Sequence[Photo]) -> list[Scene]:
        """Return what the photos show."""
        return [scene for _, scene in self._indexed_scenes([_photo_index(photo) for photo in photos])]

    @cached_property
    def _shots(self) -> list[Shot]:
        appeal = np.asarray(self.appeal, np.float32)
        return simulate_shots(self.seed, self.world.seed, self.count, self.bounds, appeal)

    def _random(self, index: int, stream: int) -> np.random.Generator:
        """Return a photo's generator of random numbers for one purpose, always from its beginning."""
        return np.random.default_rng([self.world.seed, self.seed, index, stream])

    def _indexed_scenes(self, indices: list[int]) -> list[tuple[int, Scene]]:
        """Return each photo's index and scene, from its true place and time."""
        shots = [self._shots[i] for i in indices]
        lon, lat = np.array([s.lon for s in shots]), np.array([s.lat for s in shots])
        month, day = np.array([s.taken.month for s in shots]), np.array([s.taken.day for s in shots])
        hour = np.array([s.taken.hour + s.taken.minute / 60 for s in shots])
        uniform: Floats = np.stack(
            [self._random(i, _SCENE_STREAM).random(len(CONCEPTS), dtype=np.float32) for i in indices]
        )
        scenes = sample_scenes(
            sample_surroundings(lon, lat, self.world.seed),
            local_times(lat, month, day, hour),
            uniform**self.eagerness,
        )
        return list(zip(indices, scenes, strict=True))

    def _record(self, index: int) -> Photo:
        """Return the record of a photo: the truth, or one of the faults that published records have."""
        shot, luck = self._shots[index], float(self._random(index, _FAULT_STREAM).random())
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
            user=f"user{(7 * round(shot.lon) + 31 * round(shot.lat)) % _USER_COUNT}",
            licence="CC0-1.0",
            source=self.uri,
        )


def _photo_index(photo: Photo) -> int:
    return int(photo.key.rsplit("-", 1)[1])


def _encode_jpeg(scene: Scene, r: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    render_photo(scene, r).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
