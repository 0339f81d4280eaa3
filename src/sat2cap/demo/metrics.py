"""The demo's metrics, each a number under its name."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import median

import numpy as np

from sat2cap.demo.clock import StepClock
from sat2cap.demo.labels import to_slug
from sat2cap.demo.plan import DemoPlan
from sat2cap.evaluation import (
    MAP_MEASURES,
    Country,
    Gallery,
    aerial_scores,
    daylight_oracle_agreement,
    embed_gallery,
    gallery_metrics,
    location_scores,
    map_agreement,
    metric_values,
    pick_measure,
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
    *(f"map.{measure}.{kind}mean" for measure in MAP_MEASURES
      for kind in ("", "linear.", "clip.")),
    "map.auroc.location.mean", "map.prompts", "retrieval.gallery",
    *(f"retrieval.{kind}{way}.{name}" for kind in ("", "clip.") for way in DIRECTIONS
      for name in ("r1", "r5", "r10", "median_rank")),
    *(f"retrieval.linear.{way}.r10" for way in DIRECTIONS),
    *(f"time.rank_correlation.{kind}median" for kind in ("", "linear.", "oracle.")), "time.prompts",
    "hemispheres.swapped", "hemispheres.prompts",
    "captions.truth.chance", "captions.clip.truth.chance",
)  # fmt: skip


@dataclass(frozen=True)
class EvaluationInputs:
    """The trained model, the two models to compare it with, and the atlases of each."""

    trained: Checkpoint
    linear: Checkpoint
    """Ridge regression from CLIP's vectors of the same pairs."""
    clip: Checkpoint
    countries: Sequence[Country]
    """The countries, with their atlases by `trained`."""
    linear_countries: Sequence[Country]
    """The same countries, with their atlases by `linear`."""
    baseline: Sequence[Country]
    """The same countries, with their atlases by `clip`."""
    captioner: Captioner | None = None
    """A captioner in the space of both models; None for no captions."""


def compute_metrics(
    plan: DemoPlan, inputs: EvaluationInputs, heldout: PairSet | None, progress: Progress
) -> dict[str, float]:
    """Return all metrics except those of time and memory; one that is not defined is left out.

    Retrieval is left out without `heldout` pairs.
    """
    # generators: each is computed only when the loop below reaches it
    groups = (
        _map_metrics(plan, inputs),
        () if heldout is None else _retrieval_metrics(plan, inputs, heldout),
        _time_metrics(plan, inputs),
        _hemisphere_metrics(plan, inputs),
    )
    metrics: dict[str, float] = {}
    progress(STAGE, 0, len(groups))
    for number, group in enumerate(groups, 1):
        metrics.update(group)
        progress(STAGE, number, len(groups))
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def timing_metrics(clock: StepClock) -> dict[str, float]:
    """Return the seconds of each step and of all, and the peak memory in MB."""
    seconds = {f"demo.seconds.{name}": value for name, value in clock.seconds.items()}
    return seconds | {
        "demo.seconds.total": sum(clock.seconds.values()),
        "demo.peak_memory_mb": clock.peak_mb,
    }


def headline_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the few metrics that sum up a demo, for a terminal: some of each evaluation, and all costs.

    Metrics that were not measured are left out.
    """
    costs = [name for name in metrics if name.startswith("demo.")]
    return {name: metrics[name] for name in (*_HEADLINES, *costs) if name in metrics}


def _map_metrics(plan: DemoPlan, inputs: EvaluationInputs) -> Iterator[tuple[str, float]]:
    """Yield the agreement with the truth of our maps, of those of three baselines, and of place and time."""
    ours, clip, prompts = inputs.trained, inputs.clip, plan.prompts
    agreements = {
        "": list(map_agreement(inputs.countries, ours, prompts)),
        "linear.": list(map_agreement(inputs.linear_countries, inputs.linear, prompts)),
        "clip.": list(map_agreement(inputs.baseline, clip, prompts)),
        "clip_aerial.": list(map_agreement(inputs.baseline, clip, prompts, scores=aerial_scores)),
        "location.": list(map_agreement(inputs.countries, ours, prompts, scores=location_scores)),
    }
    yield "map.prompts", float(len(agreements[""]))
    for (kind, agreement), measure in product(agreements.items(), MAP_MEASURES):
        yield from _summarise_prompts(f"map.{measure}.{kind}", pick_measure(agreement, measure))


def _time_metrics(plan: DemoPlan, inputs: EvaluationInputs) -> Iterator[tuple[str, float]]:
    """Yield the correlation of the maps' means with those of the truth over month and hour.

    Beside ours are those of the linear model, and of an oracle that knows only daylight and the month.
    """
    prompts, calendar = plan.seasonal_prompts, plan.calendar
    correlations = {
        "": list(time_agreement(inputs.countries, inputs.trained, prompts, calendar=calendar)),
        "linear.": list(time_agreement(inputs.linear_countries, inputs.linear, prompts, calendar=calendar)),
        "oracle.": list(daylight_oracle_agreement(inputs.countries, prompts, calendar=calendar)),
    }
    yield "time.prompts", float(len(correlations[""]))
    for kind, values in correlations.items():
        yield from _summarise_prompts(f"time.rank_correlation.{kind}", values)


def _summarise_prompts(
    prefix: str, values_by_prompt: Sequence[tuple[Prompt, float]]
) -> Iterator[tuple[str, float]]:
    """Yield the mean, the median and each prompt's value, with names that begin with `prefix`."""
    values = [value for _, value in values_by_prompt]
    if values:
        yield f"{prefix}mean", float(np.mean(values))
        yield f"{prefix}median", float(median(values))
    for prompt, value in values_by_prompt:
        yield f"{prefix}prompt.{to_slug(prompt.text)}", value


def _retrieval_metrics(
    plan: DemoPlan, inputs: EvaluationInputs, heldout: PairSet
) -> Iterator[tuple[str, float]]:
    """Yield the rows of the paper's table 1: with place and time, without them, linear, CLIP, and chance."""
    trained, linear, clip = inputs.trained, inputs.linear, inputs.clip
    ours = embed_gallery(heldout, trained, gallery=plan.gallery)

    def embed_baseline(model: Checkpoint) -> Gallery:
        ground = ours.ground if model.ground_identity == trained.ground_identity else None
        return embed_gallery(heldout, model, gallery=plan.gallery, ground=ground)

    has_metadata = trained.dynamic is not None
    metrics = metric_values(gallery_metrics(ours, trained, use_metadata=has_metadata))
    for kind, gallery, checkpoint, use_metadata in (
        ("no_metadata", ours, trained, False),
        ("linear", embed_baseline(linear), linear, linear.dynamic is not None),
        ("clip", embed_baseline(clip), clip, False),
    ):
        values = metric_values(gallery_metrics(gallery, checkpoint, use_metadata=use_metadata))
        metrics |= {f"{kind}.{name}": value for name, value in values.items() if name != "gallery"}
    count = metrics["gallery"]
    chance = {f"r{k}": min(k / count, 1.0) for k in (1, 5, 10)} | {"median_rank": (count + 1) / 2}
    metrics |= {f"chance.{name}": value for name, value in chance.items()}
    for way in DIRECTIONS:
        clip_recall = metrics[f"clip.{way}.r10"]
        ratio = metrics[f"{way}.r10"] / clip_recall if clip_recall else math.nan
        metrics[f"times_clip.{way}.r10"] = ratio
    for name, value in metrics.items():
        yield f"retrieval.{name}", value


def _hemisphere_metrics(plan: DemoPlan, inputs: EvaluationInputs) -> Iterator[tuple[str, float]]:
    """Yield the mean chances of winter and summer prompts in January and July, and how many swap.

    Each prompt is mapped at its own hour.
    """
    prompts = [*plan.winter_prompts, *plan.summer_prompts]
    swaps = dict.fromkeys(prompts, True)
    for country, prompt in product(inputs.countries, prompts):
        hour = parse_when(prompt.when).hour if prompt.when else JANUARY.hour
        moments = [replace(day, hour=hour) for day in (JANUARY, JULY)]
        ((january, july),) = mean_scores(country.atlas, inputs.trained, [prompt.text], moments)
        name = f"hemispheres.{to_slug(prompt.text)}.{country.name}"
        yield f"{name}.january", float(january)
        yield f"{name}.july", float(july)
        is_winter = prompt in plan.winter_prompts
        peaks_in_january = is_winter != country.south  # winter in the north, summer in the south
        swaps[prompt] &= bool(january > july if peaks_in_january else july > january)
    yield "hemispheres.prompts", float(len(prompts))
    yield "hemispheres.swapped", float(sum(swaps.values()))
