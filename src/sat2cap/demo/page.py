"""The pictures and texts of the demo's page, drawn from the atlases, the truth and the pairs."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas, CellStatus
from sat2cap.demo.best_places import find_best_places
from sat2cap.demo.captions import caption_likely_places
from sat2cap.demo.charts import Line, draw_calendar, draw_year
from sat2cap.demo.commands import list_commands, name_live_command
from sat2cap.demo.labels import format_when, label_prompt
from sat2cap.demo.metrics import JANUARY, JULY, EvaluationInputs
from sat2cap.demo.plan import DemoPlan
from sat2cap.demo.steps import choose_country
from sat2cap.demo.story import LIVE_MAP, Calendar, Comparison, DatePair, Layer, Story, Year
from sat2cap.evaluation import Country, can_judge
from sat2cap.geo import When, parse_when, patch_box
from sat2cap.imagery import Imagery
from sat2cap.miniworld import Prompt
from sat2cap.model import Checkpoint, Precision
from sat2cap.pairs import PairSet
from sat2cap.progress import Progress
from sat2cap.query import mean_scores, score_atlas
from sat2cap.report import (
    Picture,
    colour_limits,
    map_picture,
    overlay_picture,
    picture_from_pixels,
    picture_from_webp,
)

STAGE = "drawing the page"

_LIVE_MAP_ALT = (
    "The live map: while a sentence is typed and the months pass, the cells that would show it light up"
)
_MAX_LAYERS = 6
"""Largest number of maps to choose from over the mosaic."""

STEPS = (
    ("pairs", "render photos and overhead patches of two planets, pair them by place"),
    ("train", "teach the overhead tower what ground photos of a place look like"),
    ("embed", "embed two countries nobody trained on, by Sat2Cap, a linear model and CLIP"),
    ("map", "score every cell for the prompts above, write GeoTIFFs and pictures"),
    ("evaluate", "measure maps, retrieval, time and captions against the truth"),
    ("report", "draw the pictures of this page"),
)


def collect_story(
    plan: DemoPlan,
    inputs: EvaluationInputs,
    imagery: Imagery,
    training: PairSet,
    precision: Precision,
    out: Path,
    progress: Progress,
) -> Story:
    """Return everything that the page shows except its metrics.

    `training` are the pairs whose photos are shown beside the best places, `precision` the one in which these
    photos are embedded.
    """
    first, total = inputs.countries[0], 5
    progress(STAGE, 0, total)
    comparisons = [_draw_comparison(prompt, inputs) for prompt in plan.map_prompts]
    progress(STAGE, 1, total)
    rows, cols = _visible_window(first.atlas)
    mosaic = imagery.read(patch_box(first.atlas.grid, rows, cols, plan.mosaic_pixels)).values
    progress(STAGE, 2, total)
    best_places = find_best_places(plan, inputs, imagery, training, precision, out)
    progress(STAGE, 3, total)
    calendars = _draw_calendars(plan, first, inputs.trained)
    progress(STAGE, 4, total)
    story = Story(
        mosaic=picture_from_pixels(mosaic, f"The country in the {first.name}, seen from above", quality=84),
        mosaic_km=(cols.stop - cols.start) * plan.patch.size_m / 1000,
        layers=_draw_layers(plan, first, inputs.trained),
        comparisons=comparisons,
        seasons=[
            _draw_moments(prompt, first, inputs.trained, (JANUARY, JULY))
            for prompt in (*plan.winter_prompts[:1], *plan.summer_prompts[:1])
        ],
        hours=[
            _draw_moments(prompt, first, inputs.trained, _morning_and_night(prompt))
            for prompt in plan.hour_prompts
        ],
        calendars=calendars,
        years=_draw_years(plan, inputs),
        best_places=best_places,
        captioned_places=caption_likely_places(plan, inputs, imagery),
        map_prompts=[label_prompt(prompt, first.when(prompt)) for prompt in plan.prompts],
        seasonal_prompts=[label_prompt(prompt) for prompt in plan.seasonal_prompts],
        quick=plan.quick,
        steps=STEPS,
        commands=list_commands(plan, out),
        live=name_live_command(out),
        live_map=picture_from_webp(LIVE_MAP.read_bytes(), _LIVE_MAP_ALT),
        facts=_provenance_facts(inputs),
    )
    progress(STAGE, total, total)
    return story


def _draw_layers(plan: DemoPlan, country: Country, checkpoint: Checkpoint) -> list[Layer]:
    """Return maps to lay over the mosaic, of prompts that the country's truth can judge."""
    prompts = [prompt for prompt in plan.map_prompts if can_judge(country, prompt)] or list(plan.map_prompts)
    layers = []
    for prompt in prompts[:_MAX_LAYERS]:
        values = _visible_scores(country, checkpoint, prompt, country.when(prompt))
        layers.append(
            Layer(
                label_prompt(prompt, country.when(prompt)), overlay_picture(values, f"Map of “{prompt.text}”")
            )
        )
    return layers


def _draw_comparison(prompt: Prompt, inputs: EvaluationInputs) -> Comparison:
    """Return the truth, our map and CLIP's, in the first country whose truth can judge the prompt."""
    country = choose_country(prompt, inputs.countries)
    baseline = inputs.baseline[inputs.countries.index(country)]
    when = country.when(prompt)
    return Comparison(
        label_prompt(prompt, when),
        country.name,
        map_picture(_visible_truth(country, prompt, when), f"Truth of “{prompt.text}”"),
        map_picture(
            _visible_scores(country, inputs.trained, prompt, when), f"Sat2Cap's map of “{prompt.text}”"
        ),
        map_picture(_visible_scores(baseline, inputs.clip, prompt, when), f"CLIP's map of “{prompt.text}”"),
    )


def _morning_and_night(prompt: Prompt) -> tuple[When, When]:
    """Return 08:00 and 23:00 of the prompt's own day, which is in July for a prompt without one."""
    day = parse_when(prompt.when) if prompt.when else JULY
    return replace(day, hour=8.0), replace(day, hour=23.0)


def _draw_moments(
    prompt: Prompt, country: Country, checkpoint: Checkpoint, moments: tuple[When, When]
) -> DatePair:
    """Return the maps of one prompt at two moments in the same colours, and the truths likewise."""

    def draw_pair(layers: list[NDArray[np.float32]], kind: str) -> tuple[Picture, Picture]:
        limits = colour_limits(*layers)
        names = (f"{kind} of “{prompt.text}” on {format_when(when)}" for when in moments)
        first, second = (map_picture(v, name, limits) for v, name in zip(layers, names, strict=True))
        return first, second

    return DatePair(
        label_prompt(prompt),
        (format_when(moments[0]), format_when(moments[1])),
        draw_pair([_visible_scores(country, checkpoint, prompt, when) for when in moments], "Map"),
        draw_pair([_visible_truth(country, prompt, when) for when in moments], "Truth"),
    )


def _draw_calendars(plan: DemoPlan, country: Country, checkpoint: Checkpoint) -> list[Calendar]:
    """Return charts over months and hours in one country, of the maps and of the truth."""
    hours = sorted({when.hour for when in plan.calendar})
    shape = (len(plan.calendar) // len(hours), len(hours))
    texts = [prompt.text for prompt in plan.calendar_prompts]
    mean_maps = mean_scores(country.atlas, checkpoint, texts, plan.calendar)
    calendars = []
    for prompt, ours in zip(plan.calendar_prompts, mean_maps, strict=True):
        truth = country.mean_truth(prompt, plan.calendar)
        calendars.append(
            Calendar(
                label_prompt(prompt),
                draw_calendar(ours.reshape(shape), hours, f"Mean score of “{prompt.text}” by month and hour"),
                draw_calendar(
                    truth.reshape(shape), hours, f"Mean truth of “{prompt.text}” by month and hour"
                ),
            )
        )
    return calendars


def _draw_years(plan: DemoPlan, inputs: EvaluationInputs) -> list[Year]:
    """Return charts of two winter and two summer prompts at noon through the year, in both hemispheres."""
    noons = [When(2021, month, 15, 12.0) for month in range(1, 13)]
    prompts = [*plan.winter_prompts[:2], *plan.summer_prompts[:2]]
    texts = [prompt.text for prompt in prompts]
    names = ["south" if country.south else "north" for country in inputs.countries]
    scores = [mean_scores(country.atlas, inputs.trained, texts, noons) for country in inputs.countries]
    years = []
    for row, prompt in enumerate(prompts):
        truths = [_rescale_to_unit(country.mean_truth(prompt, noons)) for country in inputs.countries]
        ours = [_rescale_to_unit(country_scores[row]) for country_scores in scores]
        charts = (
            draw_year(
                [Line(name, values) for name, values in zip(names, lines, strict=True)],
                f"{kind} of “{prompt.text}” through the year, north and south",
            )
            for kind, lines in (("Mean score", ours), ("Mean truth", truths))
        )
        years.append(
            Year(label_prompt(prompt), "winter" if prompt in plan.winter_prompts else "summer", *charts)
        )
    return years


def _rescale_to_unit(values: NDArray[np.floating]) -> list[float]:
    """Return values rescaled so that the least is 0 and the greatest 1, as only the months are compared."""
    low, top = float(values.min()), float(values.max())
    return [(float(value) - low) / (top - low) if top > low else 0.0 for value in values]


def _visible_scores(
    country: Country, checkpoint: Checkpoint, prompt: Prompt, when: When | None
) -> NDArray[np.float32]:
    """Return the scores of the visible cells, float32 ``(y, x)``."""
    return np.asarray(
        score_atlas(country.atlas, checkpoint, [prompt.text], when=when).values[0][
            _visible_window(country.atlas)
        ]
    )


def _visible_truth(country: Country, prompt: Prompt, when: When | None) -> NDArray[np.float32]:
    """Return the true probability of the visible cells, float32 ``(y, x)``; NaN where the map has no data."""
    values = np.asarray(country.ground_truth.truth_map(prompt.concept, when).values)
    embedded = country.atlas.status == CellStatus.OK
    return np.where(embedded, values, np.float32("nan"))[_visible_window(country.atlas)]


def _visible_window(atlas: Atlas) -> tuple[slice, slice]:
    """Return the rows and columns that are mostly embedded, as a region in degrees lies askew in its grid."""
    embedded = atlas.status == CellStatus.OK
    rows, cols = (np.flatnonzero(embedded.mean(axis) > 0.5) for axis in (1, 0))
    if not (len(rows) and len(cols)):
        return slice(0, embedded.shape[0]), slice(0, embedded.shape[1])
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def _provenance_facts(inputs: EvaluationInputs) -> dict[str, str]:
    """Return versions, attributions and identities of what the page shows, for its foot."""
    atlas = inputs.countries[0].atlas
    return {
        "sat2cap": version("sat2cap"),
        "imagery and photos": atlas.attribution,
        "licence": atlas.licence,
        "model": inputs.trained.identity[:12],
        "CLIP": inputs.clip.identity[:12],
        "atlas": atlas.identity[:12],
    }
