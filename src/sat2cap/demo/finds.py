"""The best places for a prompt, from above and as the nearest ground photos show them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sat2cap.demo.figures import Measured
from sat2cap.demo.make import where
from sat2cap.demo.plan import DemoPlan
from sat2cap.demo.story import Find, Spot
from sat2cap.demo.words import asked
from sat2cap.evaluation import Country
from sat2cap.geo import patch_around
from sat2cap.imagery import Imagery
from sat2cap.maps import top_places
from sat2cap.miniworld import Prompt
from sat2cap.model import Precision
from sat2cap.pairs import PairSet
from sat2cap.progress import silent
from sat2cap.query import embeddings_at, score_atlas, select_prompt
from sat2cap.report import picture_from_jpeg, picture_from_pixels
from sat2cap.training import ground_embeddings

PLACES, PHOTOS = 3, 4
"""Shown for a prompt, and for each of its places."""

_APART_M = 2_000.0
_PATCH_PIXELS = 160
_SPLIT = "train"


@dataclass(frozen=True)
class _Best:
    """A place before its photos are read."""

    prompt: Prompt
    country: Country
    lon: float
    lat: float
    photos: tuple[int, ...]
    """Positions in the split, nearest first."""


def finds(
    plan: DemoPlan, given: Measured, imagery: Imagery, training: PairSet, precision: Precision, out: Path
) -> list[Find]:
    """For each prompt that is sought its best places, each with the training photos nearest to it."""
    ground = ground_embeddings(
        training, _SPLIT, given.trained, fallback=out / "cache", precision=precision, progress=silent
    )
    best = [place for prompt in plan.sought for place in _best(prompt, given, ground)]
    wanted = {row for place in best for row in place.photos}
    jpegs = {row: pair.ground for row, pair in enumerate(training.read(_SPLIT)) if row in wanted}
    found = []
    for prompt in plan.sought:
        mine = [place for place in best if place.prompt == prompt]
        when = where(prompt, given.countries).when(prompt)
        spots = [_spot(place, imagery, plan.patch.size_m, jpegs) for place in mine]
        found.append(Find(asked(prompt, when), spots))
    return found


def _best(prompt: Prompt, given: Measured, ground: NDArray[np.float32]) -> Iterator[_Best]:
    country = where(prompt, given.countries)
    when = country.when(prompt)
    found = select_prompt(score_atlas(country.atlas, given.trained, [prompt.text], when=when))
    for place in top_places(found, PLACES, _APART_M).itertuples():
        lon, lat = float(place.lon), float(place.lat)
        (embedding,) = embeddings_at(country.atlas, given.trained, [(lon, lat)], when)
        nearest = np.argsort(-(ground @ embedding), kind="stable")
        yield _Best(prompt, country, lon, lat, tuple(int(row) for row in nearest[:PHOTOS]))


def _spot(place: _Best, imagery: Imagery, size_m: float, jpegs: dict[int, bytes]) -> Spot:
    patch = imagery.read(patch_around(place.lon, place.lat, size_m, _PATCH_PIXELS)).values
    alt = f"a place for “{place.prompt.text}”"
    return Spot(
        place.lon,
        place.lat,
        place.country.name,
        picture_from_pixels(patch, f"Overhead: {alt}"),
        [picture_from_jpeg(jpegs[row], f"Photo near {alt}") for row in place.photos],
    )
