"""``sat2cap evaluate maps``, ``landcover`` and ``time``: maps against the truth of each place."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.evaluate.shared import BlockKm, Draws, Run, run_evaluation
from sat2cap.cli.options import AtlasModel, AtlasPath, Json, Text
from sat2cap.extras import require_extra

if TYPE_CHECKING:
    from sat2cap.api import OpenAtlas
    from sat2cap.evaluation import Evaluation, RecordPicture, TrackedPrompt


def maps(
    atlas: AtlasPath,
    cases: Annotated[
        Path | None,
        typer.Argument(
            metavar="CASES.toml",
            help="Prompts and the truth of each, see docs/evaluate.md; the miniature world needs none.",
        ),
    ] = None,
    block_km: BlockKm = 5.0,
    draws: Draws = 1000,
    run: Run = None,
    json: Json = None,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Measure maps against the truth.

    The prompts are those whose truth is known: from rasters that you give, or in the miniature world.
    """
    require_extra("evaluate", "sat2cap evaluate maps")
    from sat2cap import api
    from sat2cap.evaluation import Evaluation, cases_identity, evaluate_maps, evaluate_miniworld, load_cases

    opened = api.open(atlas, model, text)
    loaded_cases = None if cases is None else load_cases(cases)

    def compute_metrics() -> "Evaluation":
        checkpoint = opened.checkpoint
        if loaded_cases is None:
            return Evaluation(tuple(evaluate_miniworld(opened.atlas, checkpoint)))
        metrics = evaluate_maps(opened.atlas, checkpoint, loaded_cases, block_km=block_km, draws=draws)
        return Evaluation(tuple(metrics))

    run_evaluation(
        run,
        json,
        "maps",
        {
            "atlas": _atlas_identity(opened),
            "cases": None if loaded_cases is None else cases_identity(loaded_cases),
            "options": [block_km, draws],
        },
        compute_metrics,
        lambda evaluation: [],
        {"atlas": str(atlas), "cases": str(cases or "")},
    )


def landcover(
    atlas: AtlasPath,
    classes: Annotated[
        str,
        typer.Argument(
            metavar="CLASSES",
            help="worldcover, esri, corine or miniworld, or a file of classes; see docs/evaluate.md.",
        ),
    ],
    reference: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The land cover: a raster, polygons, or miniworld:SEED."),
    ] = None,
    clip: Annotated[
        str | None,
        typer.Option("--clip", metavar="Y.zarr", help="An atlas of the same cells by CLIP, to compare with."),
    ] = None,
    linear: Annotated[
        str | None,
        typer.Option(
            "--linear",
            metavar="Z.zarr",
            help="An atlas of the same cells by a linear model, to compare with.",
        ),
    ] = None,
    block_km: BlockKm = 5.0,
    draws: Draws = 1000,
    run: Run = None,
    json: Json = None,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Measure maps against a land cover.

    These are figures 1 and 5 of the paper as numbers: the map of each class is compared with where the class
    is, and the map of the best prompt with the land cover. CLIP (also asked for aerial views), a linear
    model, place and time alone, and a look-up of words in the land cover itself are measured beside it.
    """
    require_extra("evaluate", "sat2cap evaluate landcover")
    from sat2cap import api
    from sat2cap.evaluation import CLIP, LINEAR, evaluate_landcover, load_classes, reference_identity

    land_classes = load_classes(classes, reference)
    opened = api.open(atlas, model, text)
    baselines = {name: api.open(path) for name, path in ((LINEAR, linear), (CLIP, clip)) if path is not None}
    run_evaluation(
        run,
        json,
        "landcover",
        {
            "atlas": _atlas_identity(opened),
            **{name: _atlas_identity(baseline) for name, baseline in baselines.items()},
            "classes": reference_identity(land_classes),
            "options": [block_km, draws],
        },
        lambda: evaluate_landcover(
            opened.atlas,
            opened.checkpoint,
            land_classes,
            {name: (baseline.atlas, baseline.checkpoint) for name, baseline in baselines.items()},
            block_km=block_km,
            draws=draws,
        ),
        _draw_landcover_pictures,
        {
            "atlas": str(atlas),
            "clip": clip or "",
            "linear": linear or "",
            "reference": land_classes.reference,
        },
    )


def _draw_landcover_pictures(evaluation: "Evaluation") -> "Sequence[RecordPicture]":
    """Return the one picture of the evaluation: the classes, and the maps of their prompts."""
    from sat2cap.evaluation import RecordPicture
    from sat2cap.report import CLASSES_SHOWN, landcover_picture

    panels = _count_phrase(CLASSES_SHOWN, len(evaluation.material.classes), "classes")
    caption = (
        "Above, the class that covers most of each cell, bare where none covers half, and that whose "
        f"prompt is nearest; below, {panels}: share, and the maps of the prompts, each in its own range."
    )
    return [RecordPicture("landcover.png", caption, landcover_picture(evaluation.material))]


def time(
    atlases: Annotated[
        list[str],
        typer.Argument(
            metavar="X.zarr", help="Atlases of one model, ideally of regions in both hemispheres."
        ),
    ],
    prompts: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt", metavar="PROMPT", help="A prompt to follow, may be repeated; by default 22 that ship."
        ),
    ] = None,
    draws: Draws = 1000,
    run: Run = None,
    json: Json = None,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Measure how maps follow the months and the hours.

    The mean chance of each prompt (the mean cosine, if the model is not calibrated) is followed over a year
    and a day: when it peaks, how far it swings, and how many months apart the hemispheres peak. In the
    miniature world its rank correlation with the truth is measured, too.
    """
    require_extra("evaluate", "sat2cap evaluate time")
    from sat2cap import api
    from sat2cap.evaluation import RecordPicture, TrackedRegion, evaluate_time
    from sat2cap.query import default_mean_scale
    from sat2cap.report import PROMPTS_SHOWN, calendar_picture

    opened = [api.open(atlas, model, text) for atlas in atlases]
    regions = [
        TrackedRegion(Path(path).stem, region.atlas) for path, region in zip(atlases, opened, strict=True)
    ]
    tracked = _tracked_prompts(prompts)

    def draw_pictures(evaluation: "Evaluation") -> "Sequence[RecordPicture]":
        panels = _count_phrase(PROMPTS_SHOWN, len(evaluation.material), "prompts")
        caption = (
            f"The mean score of {panels} over each region by month, left to right, and hour, upwards, each "
            "panel from its own least to its own most; beside the truth where it is known."
        )
        return [RecordPicture("time.png", caption, calendar_picture(evaluation.material))]

    run_evaluation(
        run,
        json,
        "time",
        {
            "atlases": [_atlas_identity(region) for region in opened],
            "regions": [region.name for region in regions],
            "prompts": [[prompt.text, prompt.concept] for prompt in tracked],
            "scale": default_mean_scale(opened[0].checkpoint),
            "draws": draws,
        },
        lambda: evaluate_time(regions, opened[0].checkpoint, tracked, draws=draws),
        draw_pictures,
        {"atlas": ", ".join(map(str, atlases))},
    )


def _atlas_identity(opened: "OpenAtlas") -> list[str]:
    """Return the hashes of an atlas and of its model, on which every metric of its maps depends."""
    return [opened.atlas.fingerprint, opened.checkpoint.identity]


def _count_phrase(shown_count: int, total: int, noun: str) -> str:
    """Return how many of a list are shown: ``all 4 prompts``, or ``the first 12 of 22 prompts``."""
    return f"the first {shown_count} of {total} {noun}" if total > shown_count else f"all {total} {noun}"


def _tracked_prompts(prompts: list[str] | None) -> "list[TrackedPrompt]":
    """Return the prompts to follow over the year: those given, else the shipped ones with their truth."""
    from sat2cap.evaluation import TrackedPrompt
    from sat2cap.miniworld import SEASONAL_PROMPTS

    if prompts:
        return [TrackedPrompt(prompt) for prompt in prompts]
    return [TrackedPrompt(prompt.text, prompt.concept) for prompt in SEASONAL_PROMPTS]
