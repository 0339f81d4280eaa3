"""What the page shows, drawn from the atlases, the truth and the pairs."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas, CellStatus
from sat2cap.demo.captions import in_words
from sat2cap.demo.charts import Line, month_hour, year_lines
from sat2cap.demo.commands import commands
from sat2cap.demo.figures import JANUARY, JULY, Measured
from sat2cap.demo.finds import finds
from sat2cap.demo.make import where
from sat2cap.demo.plan import DemoPlan
from sat2cap.demo.story import Calendar, Comparison, Layer, Moments, Story, Year
from sat2cap.demo.words import asked, spoken
from sat2cap.evaluation import Country, can_judge
from sat2cap.geo import When, parse_when, patch_box
from sat2cap.imagery import Imagery
from sat2cap.miniworld import Prompt
from sat2cap.model import Checkpoint, Precision
from sat2cap.pairs import PairSet
from sat2cap.progress import Progress
from sat2cap.query import mean_scores, score_atlas
from sat2cap.report import Picture, colour_limits, map_picture, overlay_picture, picture_from_pixels

STAGE = "drawing the page"

_LAYERS = 6  # maps to choose from over the mosaic

STEPS = (
    ("pairs", "render photos and overhead patches of two planets, pair them by place"),
    ("train", "teach the overhead tower what ground photos of a place look like"),
    ("embed", "embed two countries nobody trained on, by Sat2Cap and by plain CLIP"),
    ("map", "score every cell for the prompts below, write GeoTIFFs and pictures"),
    ("evaluate", "measure maps, retrieval, time and captions against the truth"),
    ("report", "draw the pictures of this page"),
)


def tell(
    plan: DemoPlan,
    given: Measured,
    imagery: Imagery,
    training: PairSet,
    precision: Precision,
    out: Path,
    progress: Progress,
) -> Story:
    """Collect the page."""
    first, total = given.countries[0], 5
    progress(STAGE, 0, total)
    comparisons = [_comparison(prompt, given) for prompt in plan.shown]
    progress(STAGE, 1, total)
    rows, cols = _view(first.atlas)
    mosaic = imagery.read(patch_box(first.atlas.grid, rows, cols, plan.mosaic_pixels)).values
    progress(STAGE, 2, total)
    sought = finds(plan, given, imagery, training, precision, out)
    progress(STAGE, 3, total)
    calendars = _calendars(plan, first, given.trained)
    progress(STAGE, 4, total)
    story = Story(
        mosaic=picture_from_pixels(mosaic, f"The country in the {first.name}, seen from above", quality=84),
        mosaic_km=(cols.stop - cols.start) * plan.patch.size_m / 1000,
        layers=_layers(plan, first, given.trained),
        comparisons=comparisons,
        seasons=[
            _moments(prompt, first, given.trained, (JANUARY, JULY))
            for prompt in (*plan.winter[:1], *plan.summer[:1])
        ],
        hours=[_moments(prompt, first, given.trained, _hours(prompt)) for prompt in plan.by_hour],
        calendars=calendars,
        years=_years(plan, given),
        finds=sought,
        captions=in_words(plan, given, imagery),
        prompts=[asked(prompt, first.when(prompt)) for prompt in plan.prompts],
        timed=[asked(prompt) for prompt in plan.timed],
        steps=STEPS,
        commands=commands(plan, out),
        facts=_facts(given),
    )
    progress(STAGE, total, total)
    return story


def _layers(plan: DemoPlan, country: Country, checkpoint: Checkpoint) -> list[Layer]:
    """Maps to lie over the mosaic: of what the country has."""
    here = [prompt for prompt in plan.shown if can_judge(country, prompt)] or list(plan.shown)
    layers = []
    for prompt in here[:_LAYERS]:
        values = _map(country, checkpoint, prompt, country.when(prompt))
        layers.append(
            Layer(asked(prompt, country.when(prompt)), overlay_picture(values, f"Map of “{prompt.text}”"))
        )
    return layers


def _comparison(prompt: Prompt, given: Measured) -> Comparison:
    """Truth, our map and CLIP's of a country that has what the prompt means."""
    country = where(prompt, given.countries)
    baseline = given.baseline[given.countries.index(country)]
    when = country.when(prompt)
    return Comparison(
        asked(prompt, when),
        country.name,
        map_picture(_truth(country, prompt, when), f"Truth of “{prompt.text}”"),
        map_picture(_map(country, given.trained, prompt, when), f"Sat2Cap's map of “{prompt.text}”"),
        map_picture(_map(baseline, given.clip, prompt, when), f"CLIP's map of “{prompt.text}”"),
    )


def _hours(prompt: Prompt) -> tuple[When, When]:
    """08:00 and 23:00 of the prompt's own day."""
    day = parse_when(prompt.when) if prompt.when else JULY
    return replace(day, hour=8.0), replace(day, hour=23.0)


def _moments(prompt: Prompt, country: Country, checkpoint: Checkpoint, moments: tuple[When, When]) -> Moments:
    """One prompt at two moments, in the same colours."""

    def drawn(layers: list[NDArray[np.float32]], kind: str) -> tuple[Picture, Picture]:
        limits = colour_limits(*layers)
        names = (f"{kind} of “{prompt.text}” on {spoken(when)}" for when in moments)
        first, second = (map_picture(v, name, limits) for v, name in zip(layers, names, strict=True))
        return first, second

    return Moments(
        asked(prompt),
        (spoken(moments[0]), spoken(moments[1])),
        drawn([_map(country, checkpoint, prompt, when) for when in moments], "Map"),
        drawn([_truth(country, prompt, when) for when in moments], "Truth"),
    )


def _calendars(plan: DemoPlan, country: Country, checkpoint: Checkpoint) -> list[Calendar]:
    """Month by hour of one country, map and truth."""
    hours = sorted({when.hour for when in plan.calendar})
    shape = (len(plan.calendar) // len(hours), len(hours))
    texts = [prompt.text for prompt in plan.by_calendar]
    found = mean_scores(country.atlas, checkpoint, texts, plan.calendar)
    calendars = []
    for prompt, ours in zip(plan.by_calendar, found, strict=True):
        truth = country.mean_truth(prompt, plan.calendar)
        calendars.append(
            Calendar(
                asked(prompt),
                month_hour(ours.reshape(shape), hours, f"Mean score of “{prompt.text}” by month and hour"),
                month_hour(truth.reshape(shape), hours, f"Mean truth of “{prompt.text}” by month and hour"),
            )
        )
    return calendars


def _years(plan: DemoPlan, given: Measured) -> list[Year]:
    """Two of winter's and two of summer's prompts at noon through the year, in both hemispheres."""
    noons = [When(2021, month, 15, 12.0) for month in range(1, 13)]
    prompts = [*plan.winter[:2], *plan.summer[:2]]
    texts = [prompt.text for prompt in prompts]
    names = ["south" if country.south else "north" for country in given.countries]
    scores = [mean_scores(country.atlas, given.trained, texts, noons) for country in given.countries]
    years = []
    for row, prompt in enumerate(prompts):
        truths = [_standard(country.mean_truth(prompt, noons)) for country in given.countries]
        ours = [_standard(country_scores[row]) for country_scores in scores]
        drawn = (
            year_lines(
                [Line(name, values) for name, values in zip(names, lines, strict=True)],
                f"{kind} of “{prompt.text}” through the year, north and south",
            )
            for kind, lines in (("Mean score", ours), ("Mean truth", truths))
        )
        years.append(Year(asked(prompt), "winter" if prompt in plan.winter else "summer", *drawn))
    return years


def _standard(values: NDArray[np.floating]) -> list[float]:
    """Each country from its own least to its own most, as only the months are compared."""
    low, top = float(values.min()), float(values.max())
    return [(float(value) - low) / (top - low) if top > low else 0.0 for value in values]


def _map(country: Country, checkpoint: Checkpoint, prompt: Prompt, when: When | None) -> NDArray[np.float32]:
    """The cells that are shown, `[y, x]`."""
    return np.asarray(
        score_atlas(country.atlas, checkpoint, [prompt.text], when=when).values[0][_view(country.atlas)]
    )


def _truth(country: Country, prompt: Prompt, when: When | None) -> NDArray[np.float32]:
    """Probability of the cells that are shown, `[y, x]`, NaN where the map has nothing either."""
    values = np.asarray(country.ground_truth.truth_map(prompt.concept, when).values)
    embedded = country.atlas.status == CellStatus.OK
    return np.where(embedded, values, np.float32("nan"))[_view(country.atlas)]


def _view(atlas: Atlas) -> tuple[slice, slice]:
    """The rows and columns that are mostly embedded: a region in degrees lies askew in its grid."""
    embedded = atlas.status == CellStatus.OK
    rows, cols = (np.flatnonzero(embedded.mean(axis) > 0.5) for axis in (1, 0))
    if not (len(rows) and len(cols)):
        return slice(0, embedded.shape[0]), slice(0, embedded.shape[1])
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def _facts(given: Measured) -> dict[str, str]:
    """Whose work the page shows."""
    atlas = given.countries[0].atlas
    return {
        "sat2cap": version("sat2cap"),
        "imagery and photos": atlas.attribution,
        "licence": atlas.licence,
        "model": given.trained.identity[:12],
        "CLIP": given.clip.identity[:12],
        "atlas": atlas.identity[:12],
    }
