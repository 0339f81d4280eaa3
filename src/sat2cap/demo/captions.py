"""Captions in the demo: how much of what they state is true, and a few places in words."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from sat2cap.atlas import CellStatus
from sat2cap.demo.figures import JANUARY, JULY, Measured
from sat2cap.demo.plan import DemoPlan
from sat2cap.demo.story import InWords, Remark
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

ASKED = (JANUARY, JULY, replace(JULY, hour=8.0), replace(JULY, hour=23.0))
"""When places are put in words."""

_PATCH_PIXELS = 160


def caption_figures(plan: DemoPlan, given: Measured, heldout: PairSet) -> Iterator[tuple[str, float]]:
    """Of captions of held-out places told the time of their photo, and of CLIP's: how much of them is true.

    Also how they change with the month: see `evaluate.captioned`. Nothing without a captioner; what is not
    defined is left out.
    """
    if (captioner := given.captioner) is None:
        return
    ours = embed_gallery(heldout, given.trained, gallery=plan.captioned_pairs)
    same_photos = given.clip.ground_identity == given.trained.ground_identity
    clip = embed_gallery(
        heldout, given.clip, gallery=plan.captioned_pairs, ground=ours.ground if same_photos else None
    )
    place = CaptionedPairs.of(heldout, "test", ours, None)
    rows = {"": ours.overhead, "clip.": clip.overhead}
    found = {"pairs": float(len(ours.lon))}
    if given.trained.dynamic is not None:
        rows[""] = ours.overhead + ours.dynamic_offsets(given.trained)
        months = {
            when: generate_captions_at(ours, given.trained, captioner, when) for when in (JANUARY, JULY)
        }
        changed, _ = month_metrics(months, place, Bootstrap(np.arange(len(ours.lon)), draws=0))
        found |= {figure.name: figure.value for figure in changed}
    for row, embeddings in rows.items():
        measures = measure_caption_truth(captioner.captions(embeddings), place)
        found |= {f"{row}{name}": one.value() for name, one in measures}
    yield from ((f"captions.{name}", value) for name, value in found.items() if math.isfinite(value))


def in_words(plan: DemoPlan, given: Measured, imagery: Imagery) -> list[InWords]:
    """In each country, for each thing that the plan names, the place that is likeliest to show it."""
    if given.captioner is None:
        return []
    return [
        _in_words(plan, given, imagery, country, baseline, prompt)
        for prompt in plan.captioned
        for country, baseline in zip(given.countries, given.baseline, strict=True)
        if can_judge(country, prompt)
    ]


def _in_words(
    plan: DemoPlan, given: Measured, imagery: Imagery, country: Country, baseline: Country, prompt: Prompt
) -> InWords:
    lon, lat = _likeliest(country, prompt)
    ours = np.concatenate([embeddings_at(country.atlas, given.trained, [(lon, lat)], when) for when in ASKED])
    clip = embeddings_at(baseline.atlas, given.clip, [(lon, lat)])
    assert given.captioner is not None
    *texts, by_clip = given.captioner.captions(np.concatenate([ours, clip]))
    remarks = [
        Remark(
            f"{format_month(when.month)}, {int(when.hour):02d}:00", text, _true(plan, lon, lat, text, [when])
        )
        for when, text in zip(ASKED, texts, strict=True)
    ]
    remarks.append(Remark("", by_clip, _true(plan, lon, lat, by_clip, ASKED)))
    patch = imagery.read(patch_around(lon, lat, plan.patch.size_m, _PATCH_PIXELS)).values
    return InWords(
        prompt.concept,
        lon,
        lat,
        country.name,
        picture_from_pixels(
            patch, f"A place in the {country.name} from above, likely to show {prompt.concept}"
        ),
        remarks,
    )


def _likeliest(country: Country, prompt: Prompt) -> tuple[float, float]:
    """Degrees of the embedded cell with the greatest truth, its neighbours' too: many are as likely."""
    grid = country.atlas.grid
    truth = np.pad(country.truth(prompt).reshape(grid.shape), 1)
    around = np.lib.stride_tricks.sliding_window_view(truth, (3, 3)).mean((2, 3))
    cell = int(np.argmax(np.where(country.atlas.status == CellStatus.OK, around, -1.0)))
    lon, lat = (side.ravel() for side in cell_lonlat(grid))
    return float(lon[cell]), float(lat[cell])


def _true(plan: DemoPlan, lon: float, lat: float, text: str, moments: Sequence[When]) -> bool | None:
    """Whether all that a caption states can be there at one of some moments; None if it states nothing."""
    count = len(moments)
    lons, lats = np.full(count, lon), np.full(count, lat)
    planet = sample_surroundings(lons, lats, World(plan.test_world).seed)
    place = CaptionedPairs([""] * count, lats, tuple(moments), [], planet)
    possible = dict(measure_caption_truth([text] * count, place))["truth.possible"]
    return bool((possible.part == possible.whole).any()) if possible.whole.any() else None
