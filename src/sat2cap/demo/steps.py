"""The steps of the demo that write files: pairs, a checkpoint, atlases and maps."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sat2cap.atlas import USER_SPEC_KEY, Atlas, open_atlas
from sat2cap.catalogue import open_imagery, open_photos, resolve_model
from sat2cap.demo.labels import to_slug
from sat2cap.demo.plan import LINEAR_RUN_FILE, CountryPlan, DemoPlan
from sat2cap.embedding import embed_region
from sat2cap.errors import AtlasError
from sat2cap.evaluation import Country, can_judge
from sat2cap.geo import cell_grid, cell_mask, parse_region, patch_box
from sat2cap.imagery import Imagery
from sat2cap.maps import MapOptions, write_cog, write_png
from sat2cap.miniworld import Prompt, World, prepare_ground_truth
from sat2cap.model import CHECKPOINT_MANIFEST, Checkpoint, Precision
from sat2cap.pairs import PairSet, SplitPlan, build_pairs
from sat2cap.progress import Progress
from sat2cap.query import score_atlas, select_prompt
from sat2cap.training import LinearRun, Run, load_linear_run, load_run, train_linear
from sat2cap.training import train as run_training

TRAINING, HELDOUT, TRAIN, LINEAR, ATLAS, MAPS = "pairs", "heldout", "train", "linear", "atlas", "maps"
"""Names of the demo's folders."""

ATLAS_KINDS = ("", "-linear", "-clip")
"""Ends of the names of a country's atlases: by the trained model, the linear one, and CLIP."""

_UNDERLAY_PIXELS = 12


def configure_run(plan: DemoPlan, out: Path) -> Run:
    """Return the plan's training run with its folders in `out`.

    Pairs are named relative to the run's folder, so that `out` can be moved.
    """
    run = load_run(plan.run_file)
    steps = {} if plan.steps is None else {"steps": plan.steps, "epochs": None}
    init = {} if plan.init is None else {"init": plan.init}
    return run.model_copy(
        update={
            "data": run.data.model_copy(update={"pairs": TRAINING}),
            "model": run.model.model_copy(update=init),
            "optim": run.optim.model_copy(update=steps),
            # Decoded to a file, which the linear baseline reads too.
            "output": run.output.model_copy(update={"folder": str(out / TRAIN), "cache_gb": 0}),
        }
    )


def configure_linear_run(run: Run, out: Path) -> LinearRun:
    """Return the linear baseline of a training run: of the same pairs, CLIP, encoding, device and seed."""
    linear = load_linear_run(LINEAR_RUN_FILE)
    return linear.model_copy(
        update={
            "data": linear.data.model_copy(
                update={"pairs": run.data.pairs, "validation_pairs": run.data.validation_pairs}
            ),
            "model": linear.model.model_copy(update={"init": run.model.init, "encoding": run.model.encoding}),
            "optim": linear.optim.model_copy(
                update={name: getattr(run.optim, name) for name in ("precision", "device", "seed")}
            ),
            "output": linear.output.model_copy(update={"folder": str(out / LINEAR)}),
        }
    )


def name_model(checkpoint: Checkpoint, user_spec: str, name: str) -> Checkpoint:
    """Return a model under a `name`, whose atlases find it again by `user_spec`, a folder or a name."""
    return replace(checkpoint, card={**checkpoint.card, USER_SPEC_KEY: user_spec, "name": name})


def check_pairs(out: Path) -> dict[str, bool]:
    """Return whether the pairs are complete, and whether they were begun."""
    return {
        "complete": all((out / name / "pairs.json").is_file() for name in (TRAINING, HELDOUT)),
        "begun": (out / TRAINING).exists(),
    }


def build_pair_sets(plan: DemoPlan, out: Path, progress: Progress) -> tuple[PairSet, PairSet]:
    """Return the training pairs of one planet, split by blocks of land, and held-out pairs of another.

    The held-out pairs are all in the split ``test``.
    """

    def build(world: int, photos: int, folder: str, split: SplitPlan) -> PairSet:
        uri = f"miniworld:{world}"

        def report(stage: str, done: int, total: int) -> None:
            progress(f"{stage} of {uri}", done, total)

        return build_pairs(
            open_photos(uri, photos),
            open_imagery(uri),
            out / folder,
            patch=plan.patch,
            split=split,
            per_shard=plan.per_shard,
            workers=plan.workers,
            progress=report,
        )

    training = build(plan.train_world, plan.train_photos, TRAINING, SplitPlan())
    everything_is_test = SplitPlan("random", fractions=(0.0, 0.0, 1.0))
    return training, build(plan.test_world, plan.test_photos, HELDOUT, everything_is_test)


def check_training(out: Path) -> dict[str, bool]:
    """Return whether both models are trained, and whether one was begun."""
    folders = [out / TRAIN, out / LINEAR]
    complete = all((folder / "checkpoint" / CHECKPOINT_MANIFEST).is_file() for folder in folders)
    return {"complete": complete, "begun": any(folder.exists() for folder in folders)}


def train_model(run: Run, training: PairSet, progress: Progress) -> Path:
    """Train, and return the folder of the checkpoint."""
    return run_training(run, pairs=training, resolve=resolve_model, progress=progress)


def fit_linear(run: Run, training: PairSet, out: Path, progress: Progress) -> Path:
    """Fit the linear baseline, and return the folder of its checkpoint."""
    return train_linear(
        configure_linear_run(run, out), pairs=training, resolve=resolve_model, progress=progress
    )


def check_atlases(plan: DemoPlan, out: Path) -> dict[str, bool]:
    """Return whether the atlases are complete, and whether one was begun."""
    paths = [_atlas_path(out, place, kind) for place in plan.countries for kind in ATLAS_KINDS]
    return {"complete": all(map(_is_complete_atlas, paths)), "begun": any(path.exists() for path in paths)}


def embed_countries(
    plan: DemoPlan, out: Path, imagery: Imagery, checkpoint: Checkpoint, kind: str, progress: Progress
) -> list[Atlas]:
    """Return an atlas of every country by one model; its file name ends in `kind`."""

    def embed(place: CountryPlan) -> Atlas:
        region = parse_region(place.region)
        grid = cell_grid(region, plan.patch.size_m)

        def report(stage: str, done: int, total: int) -> None:
            progress(f"{stage} of {place.name}{kind}", done, total)

        path = _atlas_path(out, place, kind)
        return embed_region(
            grid,
            cell_mask(grid, region),
            imagery,
            checkpoint,
            path,
            patch_m=plan.patch.size_m,
            precision=_atlas_precision(path, checkpoint),
            progress=report,
        )

    return [embed(place) for place in plan.countries]


def list_countries(plan: DemoPlan, atlases: Sequence[Sequence[Atlas]]) -> list[list[Country]]:
    """Return the countries of each kind of atlas; all kinds share the truth, which is worked out once."""
    world, (first, *others) = World(plan.test_world), atlases
    countries = [
        Country(place.name, atlas, prepare_ground_truth(world, atlas.grid), place.south)
        for place, atlas in zip(plan.countries, first, strict=True)
    ]
    return [
        countries,
        *(
            [replace(country, atlas=atlas) for country, atlas in zip(countries, kind, strict=True)]
            for kind in others
        ),
    ]


def write_maps(
    plan: DemoPlan,
    out: Path,
    countries: Sequence[Country],
    checkpoint: Checkpoint,
    imagery: Imagery,
    progress: Progress,
) -> None:
    """Write a GeoTIFF and a picture for each prompt that the page shows."""
    underlays = {
        country.name: imagery.read(patch_box(country.atlas.grid, slice(None), slice(None), _UNDERLAY_PIXELS))
        for country in countries
    }
    progress("writing maps", 0, len(plan.map_prompts))
    for number, prompt in enumerate(plan.map_prompts, 1):
        country = choose_country(prompt, countries)
        scores = select_prompt(
            score_atlas(country.atlas, checkpoint, [prompt.text], when=country.when(prompt))
        )
        path = out / MAPS / f"{to_slug(prompt.text)}-{country.name}"
        write_cog(scores, path.with_suffix(".tif"))
        write_png(scores, path.with_suffix(".png"), MapOptions(underlay=underlays[country.name]))
        progress("writing maps", number, len(plan.map_prompts))


def choose_country(prompt: Prompt, countries: Sequence[Country]) -> Country:
    """Return the first country whose truth can judge a prompt, or the first of all if none can."""
    return next((country for country in countries if can_judge(country, prompt)), countries[0])


def _atlas_path(out: Path, place: CountryPlan, kind: str) -> Path:
    """Return the path of a country's atlas by one model."""
    return out / ATLAS / f"{place.name}{kind}.zarr"


def _atlas_precision(path: Path, checkpoint: Checkpoint) -> Precision:
    """Return the precision of an atlas that was begun, so that it continues; else the fastest one here."""
    try:
        precision: Precision = open_atlas(path).model["precision"]
    except AtlasError:
        return checkpoint.fast_precision
    return precision


def _is_complete_atlas(path: Path) -> bool:
    """Return whether there is a finished atlas; False where there is none."""
    try:
        return open_atlas(path).complete
    except AtlasError:
        return False
