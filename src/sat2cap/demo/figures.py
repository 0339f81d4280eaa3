"""Every figure of the demo, flat from name to number."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import median

import numpy as np

from sat2cap.demo.clock import Clock
from sat2cap.demo.plan import DemoPlan
from sat2cap.demo.words import slug
from sat2cap.evaluation import (
    Country,
    embed_gallery,
    gallery_metrics,
    location_scores,
    map_agreement,
    metric_values,
    time_agreement,
)
from sat2cap.geo import When, parse_when
from sat2cap.miniworld import Prompt
from sat2cap.model import Captioner, Checkpoint
from sat2cap.pairs import PairSet
from sat2cap.progress import Progress
from sat2cap.query import mean_scores

STAGE = "evaluating"
DIRECTIONS = ("overhead2ground", "ground2overhead")
JANUARY, JULY = When(2021, 1, 15, 12.0), When(2021, 7, 15, 12.0)

_HEADLINES = (
    "map.auroc.mean", "map.auroc.clip.mean", "map.auroc.location.mean", "map.prompts", "retrieval.gallery",
    *(f"retrieval.{kind}{way}.{name}" for kind in ("", "clip.") for way in DIRECTIONS
      for name in ("r1", "r5", "r10", "median_rank")),
    "time.rank_correlation.median", "time.prompts", "hemispheres.swapped", "hemispheres.prompts",
    "captions.truth.chance", "captions.clip.truth.chance",
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What is measured, and what it is compared with."""

    trained: Checkpoint
    clip: Checkpoint
    countries: Sequence[Country]
    """With the atlases of `trained`."""
    baseline: Sequence[Country]
    """The same with the atlases of `clip`."""
    captioner: Captioner | None = None
    """Of the space of both; None for no captions."""


def measure(plan: DemoPlan, given: Measured, heldout: PairSet, progress: Progress) -> dict[str, float]:
    """All figures but those of time and memory; one that is not defined is left out."""
    # generators: each works only when its turn comes
    parts = (
        _maps(plan, given),
        _retrieval(plan, given, heldout),
        _times(plan, given),
        _hemispheres(plan, given),
    )
    figures: dict[str, float] = {}
    progress(STAGE, 0, len(parts))
    for number, part in enumerate(parts, 1):
        figures.update(part)
        progress(STAGE, number, len(parts))
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def timing(clock: Clock) -> dict[str, float]:
    """Seconds of each step and of all, and the greatest memory."""
    seconds = {f"demo.seconds.{name}": value for name, value in clock.seconds.items()}
    return seconds | {
        "demo.seconds.total": sum(clock.seconds.values()),
        "demo.peak_memory_mb": clock.peak_mb,
    }


def headline_metrics(figures: Mapping[str, float]) -> dict[str, float]:
    """The few figures that tell how it went, for a terminal."""
    costs = [name for name in figures if name.startswith("demo.")]
    return {name: figures[name] for name in (*_HEADLINES, *costs) if name in figures}


def _maps(plan: DemoPlan, given: Measured) -> Iterator[tuple[str, float]]:
    """Maps against the truth: ours, CLIP's on the same imagery, and what place and time alone say."""
    ours, clip = given.trained, given.clip
    found = {
        "": list(map_agreement(given.countries, ours, plan.prompts)),
        "clip.": list(map_agreement(given.baseline, clip, plan.prompts)),
        "location.": list(map_agreement(given.countries, ours, plan.prompts, scores=location_scores)),
    }
    yield "map.prompts", float(len(found[""]))
    for kind, each in found.items():
        yield from _over_prompts(f"map.auroc.{kind}", each)


def _times(plan: DemoPlan, given: Measured) -> Iterator[tuple[str, float]]:
    """The maps' means against the truth's over month and hour."""
    found = list(time_agreement(given.countries, given.trained, plan.timed, calendar=plan.calendar))
    yield "time.prompts", float(len(found))
    yield from _over_prompts("time.rank_correlation.", found)


def _over_prompts(name: str, found: Sequence[tuple[Prompt, float]]) -> Iterator[tuple[str, float]]:
    each = [value for _, value in found]
    if each:
        yield f"{name}mean", float(np.mean(each))
        yield f"{name}median", float(median(each))
    for prompt, value in found:
        yield f"{name}prompt.{slug(prompt.text)}", value


def _retrieval(plan: DemoPlan, given: Measured, heldout: PairSet) -> Iterator[tuple[str, float]]:
    """Table 1 of the paper for the trained model told place and time, not told, and for CLIP; and chance."""
    ours = embed_gallery(heldout, given.trained, gallery=plan.gallery)
    same_photos = given.clip.ground_identity == given.trained.ground_identity
    clip = embed_gallery(
        heldout, given.clip, gallery=plan.gallery, ground=ours.ground if same_photos else None
    )
    told = given.trained.dynamic is not None
    found = metric_values(gallery_metrics(ours, given.trained, use_metadata=told))
    for kind, seen, checkpoint in (("no_metadata", ours, given.trained), ("clip", clip, given.clip)):
        figures = metric_values(gallery_metrics(seen, checkpoint, use_metadata=False))
        found |= {f"{kind}.{name}": value for name, value in figures.items() if name != "gallery"}
    gallery = found["gallery"]
    chance = {f"r{k}": min(k / gallery, 1.0) for k in (1, 5, 10)} | {"median_rank": (gallery + 1) / 2}
    found |= {f"chance.{name}": value for name, value in chance.items()}
    for way in DIRECTIONS:
        theirs = found[f"clip.{way}.r10"]
        found[f"times_clip.{way}.r10"] = found[f"{way}.r10"] / theirs if theirs else math.nan
    for name, value in found.items():
        yield f"retrieval.{name}", value


def _hemispheres(plan: DemoPlan, given: Measured) -> Iterator[tuple[str, float]]:
    """Mean chances of winter's and summer's prompts in January and July, and how many swap as they must.

    Each is asked at its own hour.
    """
    prompts = [*plan.winter, *plan.summer]
    right = dict.fromkeys(prompts, True)
    for country, prompt in product(given.countries, prompts):
        hour = parse_when(prompt.when).hour if prompt.when else JANUARY.hour
        moments = [replace(day, hour=hour) for day in (JANUARY, JULY)]
        ((january, july),) = mean_scores(country.atlas, given.trained, [prompt.text], moments)
        name = f"hemispheres.{slug(prompt.text)}.{country.name}"
        yield f"{name}.january", float(january)
        yield f"{name}.july", float(july)
        cold = prompt in plan.winter
        in_january = cold != country.south  # winter's things in the north, summer's in the south
        right[prompt] &= bool(january > july if in_january else july > january)
    yield "hemispheres.prompts", float(len(prompts))
    yield "hemispheres.swapped", float(sum(right.values()))
