"""What captions state, against what is true there and then; and how they change with the month."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.catalogue import find_world
from sat2cap.errors import InputError
from sat2cap.evaluation.bootstrap import Bootstrap
from sat2cap.evaluation.metric import Metric
from sat2cap.evaluation.retrieval.gallery import Gallery
from sat2cap.geo import When
from sat2cap.miniworld import (
    CONCEPT_NAMES,
    MiniPhotos,
    Surroundings,
    World,
    concept_probabilities,
    local_times,
    sample_surroundings,
    stated_concepts,
)
from sat2cap.model import Captioner, Checkpoint
from sat2cap.pairs import PairSet
from sat2cap.progress import Progress, silent

Floats = NDArray[np.float64]

POSSIBLE = 0.05
"""A concept is possible there and then if at least this share of photos would show it."""

JANUARY, JULY = When(2021, 1, 15, 12.0), When(2021, 7, 15, 12.0)
WINTER = re.compile(r"\b(snow\w*|winter\w*|skis?|skier\w*|skiing|frosty?|ice(?! cream)|icy|frozen)\b")
"""Words that say it is winter; a skirt does not, nor an ice cream."""

_CAPTIONS_PER_PHOTO = 6


@dataclass(frozen=True)
class WeightedMean:
    """A mean over captions, or a share of what they hold: the sums of two columns, divided."""

    part: Floats
    """`[N]`."""
    whole: Floats
    """`[N]`."""

    @classmethod
    def mean(cls, values: Floats) -> "WeightedMean":
        """Return the mean of one number for each of N captions, `values` ``(N,)``."""
        return cls(values, np.ones(len(values)))

    def value(self, weight: Floats | None = None) -> float:
        """Return the mean with each caption counted as often as `weight` ``(N,)`` says; NaN if it is of none.

        None counts every caption once.
        """
        w = np.ones(len(self.part)) if weight is None else weight
        whole = float(w @ self.whole)
        return float(w @ self.part) / whole if whole else float("nan")


@dataclass(frozen=True)
class CaptionedPairs:
    """What is known of N pairs beside the models: keys, people's captions, and on a made-up planet all."""

    keys: list[str]
    lat: Floats
    taken: tuple[When, ...]
    written: list[Sequence[str]]
    """People's captions of each, or nothing at all."""
    planet: Surroundings | None
    """None where the truth is not known."""

    @classmethod
    def of(
        cls, pairs: PairSet, split: str, gallery: Gallery, written: Mapping[str, Sequence[str]] | None
    ) -> "CaptionedPairs":
        """Return the pairs of a gallery, with the made-up planet's own captions where nobody's are given.

        Raises `InputError` if captions are given and a pair has none.
        """
        index = pairs.index[pairs.index["split"] == split].iloc[gallery.row]
        keys = [str(key) for key in index["key"]]
        sources = {str(source) for source in index["source"]}
        captions_by_key = written or {}
        missing = [key for key in keys if key not in captions_by_key]
        if written is not None and missing:
            raise InputError(
                f"{len(missing):,} of {len(keys):,} pairs have no caption of people, {missing[0]!r} first: "
                "give captions of all, or none"
            )
        texts = [] if missing else [captions_by_key[key] for key in keys]
        planet = None
        world = find_world(sources.pop()) if len(sources) == 1 else None
        if world is not None:
            planet = sample_surroundings(gallery.lon, gallery.lat, world.seed)
            texts = texts or _planet_captions(world, keys)
        return cls(keys, gallery.lat, gallery.taken, texts, planet)

    def chances(self, taken: Sequence[When]) -> NDArray[np.float32]:
        """Return the share of photos at each place and moment that show each concept.

        float32 `[N, concepts]`, 0 to 1. Known on a made-up planet only: the pairs must be of the miniature
        world.
        """
        assert self.planet is not None
        clock = (np.array([getattr(when, name) for when in taken]) for name in ("month", "day", "hour"))
        return concept_probabilities(self.planet, local_times(self.lat, *clock))


def _planet_captions(world: World, keys: Sequence[str]) -> list[Sequence[str]]:
    """Return the captions that a made-up planet has for its photos, by pair."""
    numbers = [int(key.rsplit("-", 1)[1]) for key in keys]
    source = MiniPhotos(world, max(numbers) + 1)
    chosen_keys = set(keys)
    records = {photo.key: photo for photo in source.photos() if photo.key in chosen_keys}
    return list(source.captions([records[key] for key in keys], per_photo=_CAPTIONS_PER_PHOTO))


def measure_caption_truth(texts: Sequence[str], place: CaptionedPairs) -> Iterator[tuple[str, WeightedMean]]:
    """Yield how much of what captions state on a made-up planet is possible, and how likely it is.

    ``truth.possible`` is the share of stated concepts that at least one photo in twenty there and then shows;
    ``truth.chance`` the mean share of photos there and then that show what is stated; ``truth.stated`` the
    number of concepts in a caption. Yields nothing if the planet is not known.
    """
    if place.planet is not None:
        stated, chance = _stated_matrix(texts), place.chances(place.taken)
        yield (
            "truth.possible",
            WeightedMean((stated & (chance >= POSSIBLE)).sum(1) * 1.0, stated.sum(1) * 1.0),
        )
        yield "truth.chance", _stated_chance(stated, chance)
        yield "truth.stated", WeightedMean.mean(stated.sum(1) * 1.0)


def _stated_matrix(texts: Sequence[str]) -> NDArray[np.bool_]:
    """Return which concepts each caption states, bool, shape (N, C) in the order of `CONCEPT_NAMES`."""
    return np.array(
        [[name in stated for name in CONCEPT_NAMES] for stated in map(stated_concepts, texts)], bool
    )


def _stated_chance(stated: NDArray[np.bool_], chance: NDArray[np.float32]) -> WeightedMean:
    return WeightedMean((stated * chance).sum(1, dtype=np.float64), stated.sum(1) * 1.0)


def generate_captions_at(
    gallery: Gallery,
    checkpoint: Checkpoint,
    captioner: Captioner,
    when: When,
    beams: int = 1,
    progress: Progress = silent,
) -> list[str]:
    """Generate one caption for each place of a gallery, conditioned on one moment.

    Raises `ModelError` for a model without a Dynamic Encoder.
    """
    clock = (when.year, when.month, when.day, when.hour)
    offsets = checkpoint.dynamic_offset(gallery.lat, gallery.lon, *clock)
    return captioner.captions(gallery.overhead + offsets, beams, progress=progress)


def month_metrics(
    texts: Mapping[When, Sequence[str]], place: CaptionedPairs, bootstrap: Bootstrap
) -> tuple[list[Metric], dict[str, Any]]:
    """Compare the captions of places for January with those for July; return metrics, and a few captions.

    ``months.changed`` is the share of places whose caption differs; ``winter.north.01`` and so on the share
    of captions with a word of winter; ``winter.north.lead`` that of January minus that of July, and
    ``winter.south.lead`` that of July minus that of January. On a made-up planet there are also
    ``months.restated``, the share of places whose caption states other concepts, and ``months.truth_lead``,
    how much likelier what is stated is in its own month than in the other.
    """
    january, july = texts[JANUARY], texts[JULY]
    differ = np.array([one != other for one, other in zip(january, july, strict=True)])
    measures = {"months.changed": WeightedMean.mean(differ * 1.0)} | _winter_measures(texts, place.lat)
    if place.planet is not None:
        differ = np.array(
            [stated_concepts(one) != stated_concepts(other) for one, other in zip(january, july, strict=True)]
        )
        measures |= {
            "months.restated": WeightedMean.mean(differ * 1.0),
            "months.truth_lead": _truth_lead(texts, place),
        }
    metrics = list(bootstrap.metrics(lambda w: {name: one.value(w) for name, one in measures.items()}))
    picked = np.flatnonzero(differ)[:: max(1, int(differ.sum()) // 8)][:8]
    rows = [[f"{place.lat[n]:.1f}", january[n], july[n]] for n in picked]
    return metrics, {"heads": ["latitude", "January", "July"], "rows": rows}


def _winter_measures(texts: Mapping[When, Sequence[str]], lat: Floats) -> dict[str, WeightedMean]:
    """Return the share of captions with a word of winter by hemisphere and month, and the lead of winter."""
    measures = {}
    winter_words = {
        when: np.array([float(bool(WINTER.search(t.lower()))) for t in some]) for when, some in texts.items()
    }
    for half, inside, cold, warm in (("north", lat > 0, JANUARY, JULY), ("south", lat < 0, JULY, JANUARY)):
        in_half = inside.astype(np.float64)
        for when, wintry in winter_words.items():
            measures[f"winter.{half}.{when.month:02d}"] = WeightedMean(wintry * in_half, in_half)
        measures[f"winter.{half}.lead"] = WeightedMean(
            (winter_words[cold] - winter_words[warm]) * in_half, in_half
        )
    return measures


def _truth_lead(texts: Mapping[When, Sequence[str]], place: CaptionedPairs) -> WeightedMean:
    """Return the chance of what is stated in the month that was asked for, minus that in the other month."""
    part, whole = np.zeros(len(place.keys)), np.zeros(len(place.keys))
    chance = {when: place.chances([when] * len(place.keys)) for when in texts}
    for when, other in ((JANUARY, JULY), (JULY, JANUARY)):
        stated = _stated_matrix(texts[when])
        part += (stated * (chance[when] - chance[other])).sum(1, dtype=np.float64)
        whole += stated.sum(1)
    return WeightedMean(part, whole)
