"""Captions in the demo: how much of what they state is true, and captions of a few places."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from sat2cap.atlas import CellStatus
from sat2cap.demo.metrics import JANUARY, JULY, EvaluationInputs
from sat2cap.demo.plan import DemoPlan
from sat2cap.demo.story import Caption, CaptionedPlace
from sat2cap.evaluation import (
    Bootstrap,
    CaptionedPairs,
    Country,
    can_judge,
    embed_gallery,
    generate_captions_at,
    measure_caption_truth,
    month_metrics,
)
from sat2cap.formatting import format_month
from sat2cap.geo import When, cell_lonlat, patch_around
from sat2cap.imagery import Imagery
from sat2cap.miniworld import Prompt, World, sample_surroundings
from sat2cap.pairs import PairSet
from sat2cap.query import embeddings_at
from sat2cap.report import picture_from_pixels

CAPTION_MOMENTS = (JANUARY, JULY, replace(JULY, hour=8.0), replace(JULY, hour=23.0))
"""The dates for which a place is captioned."""

_PATCH_PIXELS = 160


def caption_metrics(
    plan: DemoPlan, inputs: EvaluationInputs, heldout: PairSet
) -> Iterator[tuple[str, float]]:
    """Yield metrics of the captions of held-out places, at the time of their photo, and of CLIP's captions.

    They say how much of the captions is true and how these change with the month, as `evaluate_captions`
    defines it. Nothing is yielded without a captioner, and no metric that is not defined.
    """
    if (captioner := inputs.captioner) is None:
        return
    ours = embed_gallery(heldout, inputs.trained, gallery=plan.caption_pairs)
    same_photos = inputs.clip.ground_identity == inputs.trained.ground_identity
    clip = embed_gallery(
        heldout, inputs.clip, gallery=plan.caption_pairs, ground=ours.ground if same_photos else None
    )
    captioned = CaptionedPairs.of(heldout, "test", ours, None)
    embeddings = {"": ours.overhead, "clip.": clip.overhead}
    metrics = {"pairs": float(len(ours.lon))}
    if inputs.trained.dynamic is not None:
        embeddings[""] = ours.overhead + ours.dynamic_offsets(inputs.trained)
        months = {
            when: generate_captions_at(ours, inputs.trained, captioner, when) for when in (JANUARY, JULY)
        }
        changes, _ = month_metrics(months, captioned, Bootstrap(np.arange(len(ours.lon)), draws=0))
        metrics |= {metric.name: metric.value for metric in changes}
    for prefix, rows in embeddings.items():
        shares = measure_caption_truth(captioner.captions(rows), captioned)
        metrics |= {f"{prefix}{name}": share.value() for name, share in shares}
    yield from ((f"captions.{name}", value) for name, value in metrics.items() if math.isfinite(value))


def caption_likely_places(plan: DemoPlan, inputs: EvaluationInputs, imagery: Imagery) -> list[CaptionedPlace]:
    """Return, for each prompt and each country that can judge it, its likeliest place, captioned."""
    if inputs.captioner is None:
        return []
    return [
        _caption_place(plan, inputs, imagery, country, baseline, prompt)
        for prompt in plan.caption_prompts
        for country, baseline in zip(inputs.countries, inputs.baseline, strict=True)
        if can_judge(country, prompt)
    ]


def _caption_place(
    plan: DemoPlan,
    inputs: EvaluationInputs,
    imagery: Imagery,
    country: Country,
    baseline: Country,
    prompt: Prompt,
) -> CaptionedPlace:
    """Return the place of a country that is likeliest to show a prompt's concept, with its captions."""
    lon, lat = _find_likeliest_place(country, prompt)
    ours = np.concatenate(
        [embeddings_at(country.atlas, inputs.trained, [(lon, lat)], when) for when in CAPTION_MOMENTS]
    )
    clip = embeddings_at(baseline.atlas, inputs.clip, [(lon, lat)])
    assert inputs.captioner is not None
    *texts, clip_text = inputs.captioner.captions(np.concatenate([ours, clip]))
    captions = [
        Caption(
            f"{format_month(when.month)}, {int(when.hour):02d}:00",
            text,
            _can_be_true(plan, lon, lat, text, [when]),
        )
        for when, text in zip(CAPTION_MOMENTS, texts, strict=True)
    ]
    captions.append(Caption("", clip_text, _can_be_true(plan, lon, lat, clip_text, CAPTION_MOMENTS)))
    patch = imagery.read(patch_around(lon, lat, plan.patch.size_m, _PATCH_PIXELS)).values
    return CaptionedPlace(
        prompt.concept,
        lon,
        lat,
        country.name,
        picture_from_pixels(
            patch, f"A place in the {country.name} from above, likely to show {prompt.concept}"
        ),
        captions,
    )


def _find_likeliest_place(country: Country, prompt: Prompt) -> tuple[float, float]:
    """Return the embedded cell, in degrees, around which the truth is greatest.

    The mean over a cell and its eight neighbours decides, as many single cells have the same truth.
    """
    grid = country.atlas.grid
    truth = np.pad(country.truth(prompt).reshape(grid.shape), 1)
    mean_around = np.lib.stride_tricks.sliding_window_view(truth, (3, 3)).mean((2, 3))
    cell = int(np.argmax(np.where(country.atlas.status == CellStatus.OK, mean_around, -1.0)))
    lon, lat = (side.ravel() for side in cell_lonlat(grid))
    return float(lon[cell]), float(lat[cell])


def _can_be_true(plan: DemoPlan, lon: float, lat: float, text: str, moments: Sequence[When]) -> bool | None:
    """Return whether all that a caption states can be seen at one moment; None if it states nothing."""
    count = len(moments)
    lons, lats = np.full(count, lon), np.full(count, lat)
    surroundings = sample_surroundings(lons, lats, World(plan.test_world).seed)
    place = CaptionedPairs([""] * count, lats, tuple(moments), [], surroundings)
    possible = dict(measure_caption_truth([text] * count, place))["truth.possible"]
    return bool((possible.part == possible.whole).any()) if possible.whole.any() else None
