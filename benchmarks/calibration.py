"""Does a threshold on the contrast scale mean the same from prompt to prompt? On the miniature world.

And are its maps, and their means through the year and the day, nearer the truth than those of the cosine?

    python benchmarks/calibration.py DEMO_FOLDER OUT.json PICTURE.png

needs the atlases of a finished `sat2cap demo --out DEMO_FOLDER`; what is measured is in
`calibration_measures`.
"""

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from calibration_measures import (
    NONSENSE,
    PromptTruth,
    evaluate_calibration,
    reliability,
    score_prompts,
)
from matplotlib import pyplot as plt

from sat2cap.atlas import open_atlas
from sat2cap.catalogue import resolve_model
from sat2cap.demo.plan import DemoPlan
from sat2cap.evaluation import (
    CALENDAR,
    MAP_MEASURES,
    Country,
    map_agreement,
    pick_measure,
    time_agreement,
)
from sat2cap.evaluation.miniworld.maps import summary
from sat2cap.files import publish, write_json
from sat2cap.geo import When
from sat2cap.miniworld import PROMPTS, SEASONAL_PROMPTS, World, prepare_ground_truth
from sat2cap.model import Checkpoint
from sat2cap.query import MeanScale, score_atlas

STEP = 5
"""Every how many of the calendar's months and hours a prompt is scored."""

LINES = (
    ("any time", "share", "share among generic prompts", "o--C7"),
    ("high time", "contrast", "calibrated, asked at the best time", "o-C9"),
    ("any time", "contrast", "calibrated, asked at any time", "o-C0"),
)
"""The last line is the one whose cells are counted."""


def draw_reliability(prompts_by_time: dict[str, list[PromptTruth]], path: Path) -> None:
    """Draw a reliability diagram, and the share of cells of each kind of prompt above a threshold."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    left.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for when, name, label, style in LINES:
        real = [prompt for prompt in prompts_by_time[when] if not prompt.nonsense]
        truth = np.concatenate([prompt.truth for prompt in real])
        bins = reliability(np.concatenate([prompt.scores[name] for prompt in real]), truth)
        left.plot([point.chance for point in bins], [point.truth for point in bins], style, label=label)
    for point in bins:
        left.annotate(
            f"{point.cells:,}", (point.chance, point.truth), (4, -10), textcoords="offset points", size=7
        )
    left.set(xlim=(0, 1), ylim=(0, 1), xlabel="contrast", title="Reliability (number of cells)")
    left.set(ylabel="share of photos that show it")
    left.legend(fontsize=8)
    real, nonsense = (
        [prompt for prompt in prompts_by_time["high time"] if prompt.nonsense is kind]
        for kind in (False, True)
    )
    for group, label, colour in ((real, "prompts", "tab:blue"), (nonsense, "nonsense", "tab:red")):
        chances = np.sort(np.concatenate([prompt.scores["contrast"] for prompt in group]))
        right.plot(chances, 1 - np.arange(len(chances)) / len(chances), label=label, color=colour)
    right.set(yscale="log", xlim=(0, 1), ylim=(1e-5, 1), xlabel="contrast", title="Cells above a threshold")
    right.set(ylabel="share of all cells")
    right.legend()
    with publish(path) as temporary:
        figure.savefig(temporary, dpi=100)


def measure_agreement(countries: Sequence[Country], model: Checkpoint) -> Iterator[tuple[str, float]]:
    """Yield the AUROC of maps and the rank correlation of their means in time, for cosine and contrast."""
    scales: tuple[MeanScale, ...] = ("cosine", "contrast")
    for scale in scales:
        maps = map_agreement(countries, model, PROMPTS, scores=partial(score_cells, scale))
        agreement = list(maps)
        for measure in MAP_MEASURES:
            yield from summary(f"map.{measure}.{scale}", pick_measure(agreement, measure)).items()
        times = time_agreement(countries, model, SEASONAL_PROMPTS, scale=scale)
        yield from summary(f"time.rank_correlation.{scale}", list(times)).items()


def score_cells(
    scale: MeanScale, country: Country, model: Checkpoint, texts: Sequence[str], when: When | None
) -> np.ndarray:
    """Return the score of every cell, shape (texts, cells)."""
    return score_atlas(country.atlas, model, texts, when=when, scale=scale).values.reshape(len(texts), -1)


def main(demo: Path, out: Path, picture: Path) -> None:
    """Score all prompts, print and write the figures, and draw the picture."""
    plan, model = DemoPlan(), resolve_model(demo / "train" / "checkpoint")
    world, countries = World(plan.test_world), []
    for place in plan.countries:
        atlas = open_atlas(demo / "atlas" / f"{place.name}.zarr")
        countries.append(Country(place.name, atlas, prepare_ground_truth(world, atlas.grid), place.south))
    prompts_by_time = {
        "high time": list(score_prompts(countries, model, PROMPTS)),
        "any time": list(score_prompts(countries, model, PROMPTS, CALENDAR[::STEP])),
    }
    figures = {
        f"{when}.{name}": value
        for when, truths in prompts_by_time.items()
        for name, value in evaluate_calibration(truths)
    }
    figures |= dict(measure_agreement(countries, model))
    for name, value in figures.items():
        print(f"{name}: {value:.4f}")
    print(f"{len(NONSENSE)} nonsense prompts in {len(countries)} countries")
    write_json(out, figures)
    draw_reliability(prompts_by_time, picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
