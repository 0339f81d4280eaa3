"""The linear model beside Sat2Cap and CLIP: the rows of "The linear baseline" in docs/RESULTS.md.

    python benchmarks/linear.py DEMO [OUT.json]

`DEMO` is the folder of a finished `sat2cap demo`, which is only read: its models, the atlases that they made
and its held-out pairs. Printed are the tables of maps, retrieval and time, as Markdown.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sat2cap.atlas import open_atlas
from sat2cap.catalogue import resolve_model
from sat2cap.demo import steps
from sat2cap.demo.plan import DemoPlan
from sat2cap.evaluation import (
    Country,
    aerial_scores,
    can_judge,
    daylight_oracle_agreement,
    embed_gallery,
    gallery_metrics,
    map_agreement,
    metric_values,
    time_agreement,
)
from sat2cap.evaluation.maps.agreement import spearman
from sat2cap.evaluation.miniworld.maps import Floats, Scores, map_scores
from sat2cap.files import write_json
from sat2cap.geo import When
from sat2cap.miniworld import Prompt
from sat2cap.model import Checkpoint
from sat2cap.pairs import PairSet, open_pairs

TEMPLATES = ("aerial view of {}", "a satellite image of {}", "an aerial photo of {}", "{} seen from above")
MODELS = ("Sat2Cap", "linear", "CLIP")
Figures = dict[str, dict[str, float]]
"""Figures by row of a table and column."""


@dataclass(frozen=True)
class Demo:
    """What a finished demo left: models and atlases by the names in `MODELS`."""

    plan: DemoPlan
    models: dict[str, Checkpoint]
    countries: dict[str, list[Country]]
    heldout: PairSet


def open_demo(folder: Path) -> Demo:
    """Return the models, atlases and held-out pairs of a demo."""
    plan = DemoPlan()
    specs = (folder / steps.TRAIN / "checkpoint", folder / steps.LINEAR / "checkpoint", "miniclip")
    models = dict(zip(MODELS, (resolve_model(spec) for spec in specs), strict=True))
    atlases = [
        [open_atlas(folder / steps.ATLAS / f"{place.name}{kind}.zarr") for place in plan.countries]
        for kind in steps.ATLAS_KINDS
    ]
    countries = dict(zip(MODELS, steps.list_countries(plan, atlases), strict=True))
    return Demo(plan, models, countries, open_pairs(folder / steps.HELDOUT))


def template_scores(
    country: Country, checkpoint: Checkpoint, texts: Sequence[str], when: When | None
) -> Floats:
    """Return the mean of the maps of every template filled with each text, float32 ``[texts, cells]``."""
    maps = [
        map_scores(country, checkpoint, [template.format(text) for text in texts], when)
        for template in TEMPLATES
    ]
    return np.asarray(np.mean(maps, axis=0), np.float32)


def measure_rank_correlation(
    countries: Sequence[Country], model: Checkpoint, prompts: Sequence[Prompt], scores: Scores
) -> float:
    """Return the mean over prompts of the rank correlation of map and truth, a mean over the countries."""
    by_prompt: dict[Prompt, list[float]] = {}
    for country in countries:
        for prompt in prompts:
            if can_judge(country, prompt):
                (layer,) = scores(country, model, [prompt.text], country.when(prompt))
                by_prompt.setdefault(prompt, []).append(spearman(layer, country.truth(prompt)))
    return float(np.mean([np.mean(values) for values in by_prompt.values()]))


def measure_maps(demo: Demo) -> Figures:
    """Return the agreement of maps with the truth, over the prompts that a country can judge."""
    rows: dict[str, tuple[str, Scores]] = {name: (name, map_scores) for name in MODELS}
    rows |= {
        "CLIP, aerial view of …": ("CLIP", aerial_scores),
        "CLIP, four templates": ("CLIP", template_scores),
    }
    figures = {}
    for row, (name, scores) in rows.items():
        countries, model, prompts = demo.countries[name], demo.models[name], demo.plan.prompts
        agreements = [values for _, values in map_agreement(countries, model, prompts, scores=scores)]
        figures[row] = {
            f"{label} {measure}": float(summarise([values[measure] for values in agreements]))
            for measure in ("auroc", "average_precision")
            for label, summarise in (("mean", np.mean), ("median", np.median))
        }
        figures[row]["rank correlation"] = measure_rank_correlation(countries, model, prompts, scores)
        figures[row]["prompts"] = len(agreements)
    return figures


def measure_retrieval(demo: Demo) -> Figures:
    """Return how photos and patches retrieve each other among the held-out pairs."""
    figures = {}
    for name in MODELS:
        model = demo.models[name]
        gallery = embed_gallery(demo.heldout, model, gallery=demo.plan.gallery)
        has_metadata = model.dynamic is not None
        for row, use_metadata in {name: has_metadata, f"{name}, no metadata": False}.items():
            if row == name or has_metadata:
                values = metric_values(gallery_metrics(gallery, model, use_metadata=use_metadata))
                figures[row] = {
                    f"{way} {column}": values[f"{way}.{column}"]
                    for way in ("overhead2ground", "ground2overhead")
                    for column in ("r1", "r5", "r10", "median_rank")
                }
    return figures


def measure_time(demo: Demo) -> Figures:
    """Return the rank correlation of the maps' means with the truth's over months and hours."""
    prompts, calendar = demo.plan.seasonal_prompts, demo.plan.calendar
    follow: dict[str, Callable[[], object]] = {
        name: partial(time_agreement, demo.countries[name], demo.models[name], prompts, calendar=calendar)
        for name in ("Sat2Cap", "linear")
    }
    follow["oracle of daylight and month"] = partial(
        daylight_oracle_agreement, demo.countries["Sat2Cap"], prompts, calendar=calendar
    )
    figures = {}
    for row, agreement in follow.items():
        values = [value for _, value in agreement()]  # type: ignore[attr-defined]
        figures[row] = {
            "median": float(np.median(values)),
            "mean": float(np.mean(values)),
            "prompts": len(values),
        }
    return figures


def print_table(title: str, figures: Figures) -> None:
    """Print figures as a table in Markdown."""
    columns = list(next(iter(figures.values())))
    print(f"| {title} | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for row, values in figures.items():
        print(f"| {row} | {' | '.join(f'{values[column]:.4g}' for column in columns)} |")
    print()


def main(folder: Path, out: Path | None) -> None:
    """Measure, print and write all tables."""
    demo = open_demo(folder)
    tables = {}
    for title, measure in (("maps", measure_maps), ("retrieval", measure_retrieval), ("time", measure_time)):
        tables[title] = measure(demo)
        print_table(title, tables[title])
    if out is not None:
        write_json(out, tables)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
