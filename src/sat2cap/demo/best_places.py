"""The best places for a prompt, from above and as the nearest ground photos show them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sat2cap.demo.labels import label_prompt
from sat2cap.demo.metrics import EvaluationInputs
from sat2cap.demo.plan import DemoPlan
from sat2cap.demo.steps import choose_country
from sat2cap.demo.story import BestPlace, BestPlaces
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
"""Numbers of places shown for a prompt, and of photos shown for each of these."""

_APART_M = 2_000.0
_PATCH_PIXELS = 160
_SPLIT = "train"


@dataclass(frozen=True)
class _PlaceMatch:
    """A place, before its pictures are read."""

    prompt: Prompt
    country: Country
    lon: float
    lat: float
    photos: tuple[int, ...]
    """Positions of the nearest photos in the split, nearest first."""


def find_best_places(
    plan: DemoPlan,
    inputs: EvaluationInputs,
    imagery: Imagery,
    training: PairSet,
    precision: Precision,
    out: Path,
) -> list[BestPlaces]:
    """Return, for each prompt to search for, its best places with the training photos nearest to each."""
    ground = ground_embeddings(
        training, _SPLIT, inputs.trained, fallback=out / "cache", precision=precision, progress=silent
    ).read_all()
    matches = [match for prompt in plan.search_prompts for match in _match_places(prompt, inputs, ground)]
    wanted_rows = {row for match in matches for row in match.photos}
    jpegs = {row: pair.ground for row, pair in training.read_rows(_SPLIT, wanted_rows)}
    results = []
    for prompt in plan.search_prompts:
        when = choose_country(prompt, inputs.countries).when(prompt)
        places = [
            _draw_place(match, imagery, plan.patch.size_m, jpegs)
            for match in matches
            if match.prompt == prompt
        ]
        results.append(BestPlaces(label_prompt(prompt, when), places))
    return results


def _match_places(
    prompt: Prompt, inputs: EvaluationInputs, ground: NDArray[np.float32]
) -> Iterator[_PlaceMatch]:
    """Yield the best places for a prompt, with their nearest photos by the embeddings `ground` ``(N, D)``."""
    country = choose_country(prompt, inputs.countries)
    when = country.when(prompt)
    scores = select_prompt(score_atlas(country.atlas, inputs.trained, [prompt.text], when=when))
    for place in top_places(scores, PLACES, _APART_M).itertuples():
        lon, lat = float(place.lon), float(place.lat)
        (embedding,) = embeddings_at(country.atlas, inputs.trained, [(lon, lat)], when)
        nearest = np.argsort(-(ground @ embedding), kind="stable")
        yield _PlaceMatch(prompt, country, lon, lat, tuple(int(row) for row in nearest[:PHOTOS]))


def _draw_place(match: _PlaceMatch, imagery: Imagery, size_m: float, jpegs: dict[int, bytes]) -> BestPlace:
    """Return a place with its patch of `size_m` metres and its photos, as pictures of the page."""
    patch = imagery.read(patch_around(match.lon, match.lat, size_m, _PATCH_PIXELS)).values
    alt = f"a place for “{match.prompt.text}”"
    return BestPlace(
        match.lon,
        match.lat,
        match.country.name,
        picture_from_pixels(patch, f"Overhead: {alt}"),
        [picture_from_jpeg(jpegs[row], f"Photo near {alt}") for row in match.photos],
    )
