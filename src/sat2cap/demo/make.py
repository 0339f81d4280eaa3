"""The steps of the demo that leave something behind: pairs, a checkpoint, atlases, maps."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sat2cap.atlas import USER_SPEC_KEY, Atlas, open_atlas
from sat2cap.catalogue import open_imagery, open_photos, resolve_model
from sat2cap.demo.plan import CountryPlan, DemoPlan
from sat2cap.demo.words import slug
from sat2cap.embedding import embed_region
from sat2cap.errors import AtlasError
from sat2cap.evaluation import Country, can_judge
from sat2cap.geo import cell_grid, cell_mask, parse_region, patch_box
from sat2cap.imagery import Imagery
from sat2cap.maps import MapOptions, write_cog, write_png
from sat2cap.miniworld import Prompt
from sat2cap.model import CHECKPOINT_MANIFEST, Checkpoint
from sat2cap.pairs import PairSet, SplitPlan, build_pairs
from sat2cap.progress import Progress
from sat2cap.query import score_atlas, select_prompt
from sat2cap.training import Run, load_run
from sat2cap.training import train as run_training

TRAINING, HELDOUT, TRAIN, ATLAS, MAPS = "pairs", "heldout", "train", "atlas", "maps"
"""Folders of the demo."""

_UNDERLAY_PIXELS = 12


def run_of(plan: DemoPlan, out: Path) -> Run:
    """The shipped run file with its folders in `out`; pairs are named from there, so that `out` can move."""
    run = load_run(plan.run_file)
    steps = {} if plan.steps is None else {"steps": plan.steps, "epochs": None}
    init = {} if plan.init is None else {"init": plan.init}
    return run.model_copy(
        update={
            "data": run.data.model_copy(update={"pairs": TRAINING}),
            "model": run.model.model_copy(update=init),
            "optim": run.optim.model_copy(update=steps),
            "output": run.output.model_copy(update={"folder": str(out / TRAIN)}),
        }
    )


def named(checkpoint: Checkpoint, given: str, name: str) -> Checkpoint:
    """A model whose atlases find it again by what it was called."""
    return replace(checkpoint, card={**checkpoint.card, USER_SPEC_KEY: given, "name": name})


def pairs_state(out: Path) -> dict[str, bool]:
    """How far the pairs are."""
    return {
        "complete": all((out / name / "pairs.json").is_file() for name in (TRAINING, HELDOUT)),
        "begun": (out / TRAINING).exists(),
    }


def pairs(plan: DemoPlan, out: Path, progress: Progress) -> tuple[PairSet, PairSet]:
    """Training pairs of one planet, split by blocks of land; held-out pairs of another, all of them test."""

    def build(world: int, photos: int, folder: str, split: SplitPlan) -> PairSet:
        uri = f"miniworld:{world}"

        def tell(stage: str, done: int, total: int) -> None:
            progress(f"{stage} of {uri}", done, total)

        return build_pairs(
            open_photos(uri, photos),
            open_imagery(uri),
            out / folder,
            patch=plan.patch,
            split=split,
            per_shard=plan.per_shard,
            workers=plan.workers,
            progress=tell,
        )

    training = build(plan.train_world, plan.train_photos, TRAINING, SplitPlan())
    everything_is_test = SplitPlan("random", fractions=(0.0, 0.0, 1.0))
    return training, build(plan.test_world, plan.test_photos, HELDOUT, everything_is_test)


def train_state(out: Path) -> dict[str, bool]:
    """How far the training is."""
    folder = out / TRAIN
    return {"complete": (folder / "checkpoint" / CHECKPOINT_MANIFEST).is_file(), "begun": folder.exists()}


def train(run: Run, training: PairSet, progress: Progress) -> Path:
    """The folder of the trained checkpoint."""
    return run_training(run, pairs=training, resolve=resolve_model, progress=progress)


def embed_state(plan: DemoPlan, out: Path) -> dict[str, bool]:
    """How far the atlases are."""
    paths = [_atlas_path(out, place, kind) for place in plan.countries for kind in ("", "-clip")]
    return {"complete": all(map(_complete, paths)), "begun": any(path.exists() for path in paths)}


def atlases(plan: DemoPlan, out: Path, checkpoint: Checkpoint, kind: str, progress: Progress) -> list[Atlas]:
    """An atlas of every country by one model; `kind` ends its name."""
    imagery = open_imagery(f"miniworld:{plan.test_world}")

    def embed(place: CountryPlan) -> Atlas:
        region = parse_region(place.region)
        grid = cell_grid(region, plan.patch.size_m)

        def tell(stage: str, done: int, total: int) -> None:
            progress(f"{stage} of {place.name}{kind}", done, total)

        path = _atlas_path(out, place, kind)
        wanted, patch_m = cell_mask(grid, region), plan.patch.size_m
        return embed_region(grid, wanted, imagery, checkpoint, path, patch_m=patch_m, progress=tell)

    return [embed(place) for place in plan.countries]


def maps(
    plan: DemoPlan,
    out: Path,
    countries: Sequence[Country],
    checkpoint: Checkpoint,
    imagery: Imagery,
    progress: Progress,
) -> None:
    """A GeoTIFF and a picture of each prompt that the page shows."""
    underlays = {
        country.name: imagery.read(patch_box(country.atlas.grid, slice(None), slice(None), _UNDERLAY_PIXELS))
        for country in countries
    }
    progress("writing maps", 0, len(plan.shown))
    for number, prompt in enumerate(plan.shown, 1):
        country = where(prompt, countries)
        found = select_prompt(
            score_atlas(country.atlas, checkpoint, [prompt.text], when=country.when(prompt))
        )
        path = out / MAPS / f"{slug(prompt.text)}-{country.name}"
        write_cog(found, path.with_suffix(".tif"))
        write_png(found, path.with_suffix(".png"), MapOptions(underlay=underlays[country.name]))
        progress("writing maps", number, len(plan.shown))


def where(prompt: Prompt, countries: Sequence[Country]) -> Country:
    """The first country that can judge a prompt; the first of all if none can."""
    return next((country for country in countries if can_judge(country, prompt)), countries[0])


def _atlas_path(out: Path, place: CountryPlan, kind: str) -> Path:
    return out / ATLAS / f"{place.name}{kind}.zarr"


def _complete(path: Path) -> bool:
    try:
        return open_atlas(path).complete
    except AtlasError:
        return False
