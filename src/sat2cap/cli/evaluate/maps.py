"""``sat2cap evaluate`` of maps, against what is true of each place."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.evaluate.shared import BlockKm, Draws, Run, measured
from sat2cap.cli.options import AtlasModel, AtlasPath, Json, Text

if TYPE_CHECKING:
    from sat2cap.evaluation import Evaluation, Picture, TrackedPrompt


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

    For prompts whose truth is known: in rasters of yours, or in the miniature world.
    """
    from sat2cap import api
    from sat2cap.evaluation import Evaluation, cases_identity, evaluate_maps, evaluate_miniworld, load_cases

    opened = api.open(atlas, model, text)
    held = None if cases is None else load_cases(cases)

    def measure() -> "Evaluation":
        one, checkpoint = opened.atlas, opened.checkpoint
        if held is None:
            return Evaluation(tuple(evaluate_miniworld(one, checkpoint)))
        return Evaluation(tuple(evaluate_maps(one, checkpoint, held, block_km=block_km, draws=draws)))

    measured(
        run,
        json,
        "maps",
        {
            "atlas": [opened.atlas.fingerprint, opened.checkpoint.identity],
            "cases": None if held is None else cases_identity(held),
            "options": [block_km, draws],
        },
        measure,
        lambda found: [],
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
        Path | None,
        typer.Option("--clip", metavar="Y.zarr", help="An atlas of the same cells by CLIP, to compare with."),
    ] = None,
    block_km: BlockKm = 5.0,
    draws: Draws = 1000,
    run: Run = None,
    json: Json = None,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Measure maps against a land cover.

    Figures 1 and 5 of the paper, as numbers: each class's map against where the class is, and the map of
    the best prompt against the cover; beside CLIP, place and time alone, and a look-up of words in the
    cover itself.
    """
    from sat2cap import api
    from sat2cap.evaluation import Picture, evaluate_landcover, load_classes, reference_identity
    from sat2cap.report import CLASSES_SHOWN, landcover_picture

    given = load_classes(classes, reference)
    opened = api.open(atlas, model, text)
    theirs = None if clip is None else api.open(clip)
    baseline = None if theirs is None else (theirs.atlas, theirs.checkpoint)

    def draw(found: "Evaluation") -> "Sequence[Picture]":
        shown = _first(CLASSES_SHOWN, len(found.material.classes), "classes")
        caption = (
            "Above, the class that covers most of each cell, bare where none covers half, and that whose "
            f"prompt is nearest; below, {shown}: share, and the maps of the prompts, each in its own range."
        )
        return [Picture("landcover.png", caption, landcover_picture(found.material))]

    measured(
        run,
        json,
        "landcover",
        {
            "atlas": [opened.atlas.fingerprint, opened.checkpoint.identity],
            "clip": None if theirs is None else [theirs.atlas.fingerprint, theirs.checkpoint.identity],
            "classes": reference_identity(given),
            "options": [block_km, draws],
        },
        lambda: evaluate_landcover(
            opened.atlas, opened.checkpoint, given, baseline, block_km=block_km, draws=draws
        ),
        draw,
        {"atlas": str(atlas), "clip": str(clip or ""), "reference": given.reference},
    )


def time(
    atlases: Annotated[
        list[Path],
        typer.Argument(metavar="X.zarr", help="Atlases of one model, best of regions in both hemispheres."),
    ],
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompt", metavar="PROMPT", help="What to follow; 22 that ship if left out."),
    ] = None,
    draws: Draws = 1000,
    run: Run = None,
    json: Json = None,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Measure how maps follow the months and the hours.

    The mean chance of prompts (their mean cosine, if the model is not calibrated) over a year and a day: when
    it peaks, how far it swings, how many months the hemispheres are apart; in the miniature world also its
    rank correlation with the truth.
    """
    from sat2cap import api
    from sat2cap.evaluation import Picture, TrackedRegion, evaluate_time
    from sat2cap.query import default_mean_scale
    from sat2cap.report import PROMPTS_SHOWN, calendar_picture

    opened = [api.open(atlas, model, text) for atlas in atlases]
    regions = [TrackedRegion(path.stem, one.atlas) for path, one in zip(atlases, opened, strict=True)]
    followed = _followed(prompts)

    def draw(found: "Evaluation") -> "Sequence[Picture]":
        shown = _first(PROMPTS_SHOWN, len(found.material), "prompts")
        caption = (
            f"The mean score of {shown} over each region by month, left to right, and hour, upwards, each "
            "panel from its own least to its own most; beside the truth where it is known."
        )
        return [Picture("time.png", caption, calendar_picture(found.material))]

    measured(
        run,
        json,
        "time",
        {
            "atlases": [[one.atlas.fingerprint, one.checkpoint.identity] for one in opened],
            "regions": [region.name for region in regions],
            "prompts": [[prompt.text, prompt.concept] for prompt in followed],
            "scale": default_mean_scale(opened[0].checkpoint),
            "draws": draws,
        },
        lambda: evaluate_time(regions, opened[0].checkpoint, followed, draws=draws),
        draw,
        {"atlas": ", ".join(map(str, atlases))},
    )


def _first(shown: int, there: int, what: str) -> str:
    """``all 4 prompts``, or ``the first 12 of 22 prompts``."""
    return f"the first {shown} of {there} {what}" if there > shown else f"all {there} {what}"


def _followed(prompts: list[str] | None) -> "list[TrackedPrompt]":
    from sat2cap.evaluation import TrackedPrompt
    from sat2cap.miniworld import SEASONAL_PROMPTS

    if prompts:
        return [TrackedPrompt(prompt) for prompt in prompts]
    return [TrackedPrompt(prompt.text, prompt.concept) for prompt in SEASONAL_PROMPTS]
