"""Maps of planets that nothing was chosen on: Sat2Cap, the linear model and CLIP beside each other.

    python benchmarks/planets.py DEMO OUT [--seeds 0 1 2] [--planets 3 4 5] [--quick] [--small]

Planet 2 is the one on which encodings, scales and the miniature CLIP were chosen, so it is left alone here.
`DEMO` is the folder of a finished `sat2cap demo` (of `sat2cap demo --quick`, with ``--quick``): its pairs
train the models, and its own model serves as that of seed 0. Countries are picked by the truth alone, before
any model reads them. Every run of a seed and a planet leaves ``OUT/records/seed-S-planet-P.json``; a run
whose record is there is not made again, and one that was stopped continues with the pairs, models and atlases
that it left. The last thing printed is a table of all records in `OUT`.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from sat2cap.catalogue import open_imagery, open_photos, resolve_model
from sat2cap.demo import steps
from sat2cap.demo.labels import to_slug
from sat2cap.demo.metrics import EvaluationInputs, compute_metrics
from sat2cap.demo.plan import CountryPlan, DemoPlan, quick_plan
from sat2cap.demo.remembered_imagery import RememberedImagery
from sat2cap.files import write_json
from sat2cap.geo import cell_grid, parse_region
from sat2cap.miniworld import PROMPTS, World, prepare_ground_truth
from sat2cap.miniworld.scenes.captions import CONCEPT_PHRASES
from sat2cap.model import Checkpoint
from sat2cap.pairs import PairSet, SplitPlan, build_pairs, open_pairs
from sat2cap.progress import silent

CANDIDATES = 20
"""Places tried for each hemisphere of a planet."""
COARSE_CELL_M = 1920.0
"""Size of the cells with which candidates are judged: a sixteenth of the cells of the maps."""
KINDS = ("", "linear.", "clip.", "clip_aerial.", "location.")
LABELS = ("Sat2Cap", "linear", "CLIP", "CLIP, aerial view of …", "place and time")


def count_judged(planet: int, region: str) -> int:
    """Return how many of the undated prompts vary enough in a region, by the truth alone."""
    grid = cell_grid(parse_region(region), COARSE_CELL_M)
    truth = prepare_ground_truth(World(planet), grid)
    judged = 0
    for prompt in PROMPTS:
        if prompt.when is None:
            values = np.asarray(truth.truth_map(prompt.concept).values).ravel()
            share = (values >= values.max() / 2).mean()
            judged += bool(values.max() >= 0.2 and 0.01 <= share <= 0.99)
    return judged


def pick_country(planet: int, like: CountryPlan) -> CountryPlan:
    """Return the candidate of a planet, of the size of `like`, whose truth can judge most prompts."""
    west, south, east, north = (float(side) for side in like.region.split(","))
    rng = np.random.default_rng([planet, like.south])
    regions = []
    for lon, lat in zip(rng.uniform(-170, 170, CANDIDATES), rng.uniform(30, 50, CANDIDATES), strict=True):
        low = -lat if like.south else lat
        regions.append(f"{lon:.2f},{low:.2f},{lon + east - west:.2f},{low + north - south:.2f}")
    counts = [count_judged(planet, region) for region in regions]
    best = int(np.argmax(counts))
    print(f"planet {planet}, {like.name}: {regions[best]} can judge {counts[best]} of the undated prompts")
    return replace(like, region=regions[best])


def plan_planet(plan: DemoPlan, planet: int, out: Path) -> DemoPlan:
    """Return the plan of a planet; its countries are picked once and kept."""
    path = out / "countries" / f"planet-{planet}.json"
    if path.is_file():
        regions = json.loads(path.read_text(encoding="utf-8"))
        countries = [
            replace(like, region=region) for like, region in zip(plan.countries, regions, strict=True)
        ]
    else:
        countries = [pick_country(planet, like) for like in plan.countries]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, [country.region for country in countries])
    return replace(plan, test_world=planet, countries=tuple(countries))


def load_models(plan: DemoPlan, demo: Path, out: Path, seed: int) -> tuple[Checkpoint, Checkpoint]:
    """Return the trained and the linear model of a seed, which are trained if they are not there."""
    folder, training = out / f"seed-{seed}", open_pairs(demo / steps.TRAINING)
    run = steps.configure_run(plan, folder)
    run = run.model_copy(update={"optim": run.optim.model_copy(update={"seed": seed})})
    is_of_demo = seed == 0 and steps.check_pairs(demo)["complete"]
    trained = demo / steps.TRAIN / "checkpoint" if is_of_demo else steps.train_model(run, training, silent)
    linear = steps.fit_linear(run, training, folder, silent)
    return (
        steps.name_model(resolve_model(trained), str(trained), "sat2cap-miniworld"),
        steps.name_model(resolve_model(linear), str(linear), "linear-miniworld"),
    )


def build_heldout(plan: DemoPlan, folder: Path) -> PairSet:
    """Return the pairs of a planet among which photos and patches retrieve each other."""
    uri = f"miniworld:{plan.test_world}"
    return build_pairs(
        open_photos(uri, plan.test_photos),
        open_imagery(uri),
        folder,
        patch=plan.patch,
        split=SplitPlan("random", fractions=(0.0, 0.0, 1.0)),
        per_shard=plan.per_shard,
        workers=plan.workers,
    )


def measure_run(plan: DemoPlan, demo: Path, out: Path, seed: int, *, retrieval: bool) -> dict[str, float]:
    """Return the demo's metrics of one seed on one planet."""
    trained, linear = load_models(plan, demo, out, seed)
    clip = steps.name_model(resolve_model("miniclip"), "miniclip", "CLIP")
    by_planet = f"planet-{plan.test_world}"
    imagery = RememberedImagery(open_imagery(f"miniworld:{plan.test_world}"))
    atlases = [
        steps.embed_countries(plan, folder / by_planet, imagery, model, kind, silent)
        for model, kind, folder in (
            (trained, "", out / f"seed-{seed}"),
            (linear, "-linear", out / f"seed-{seed}"),
            (clip, "-clip", out / "clip"),
        )
    ]
    ours, by_linear, by_clip = steps.list_countries(plan, atlases)
    inputs = EvaluationInputs(trained, linear, clip, ours, by_linear, by_clip)
    heldout = build_heldout(plan, out / "heldout" / by_planet) if retrieval else None
    return compute_metrics(plan, inputs, heldout, silent)


def is_off_grammar(text: str) -> bool:
    """Return whether a prompt shares no phrase with the grammar of the captions that trained the CLIP.

    A phrase counts as shared if the prompt holds it whole, without an article at its front.
    """
    padded = f" {text.lower()} "
    return not any(
        f" {phrase.removeprefix('a ').removeprefix('an ').removeprefix('the ')} " in padded
        for phrases in CONCEPT_PHRASES.values()
        for phrase in phrases
    )


def summarise_record(metrics: dict[str, float]) -> dict[str, float]:
    """Return means over all prompts, and over those off the caption grammar."""
    off = {to_slug(prompt.text) for prompt in PROMPTS if is_off_grammar(prompt.text)}
    figures = {}
    for measure in ("auroc", "average_precision"):
        for kind, label in zip(KINDS, LABELS, strict=True):
            prefix = f"map.{measure}.{kind}"
            prompts = {
                name.removeprefix(f"{prefix}prompt."): value
                for name, value in metrics.items()
                if name.startswith(f"{prefix}prompt.")
            }
            beyond = [value for name, value in prompts.items() if name in off]
            figures[f"{label}: {measure}"] = metrics[f"{prefix}mean"]
            figures[f"{label}: {measure}, prompts off the grammar"] = float(np.mean(beyond))
            figures["prompts"], figures["prompts off the grammar"] = float(len(prompts)), float(len(beyond))
    for kind, label in (("", "Sat2Cap"), ("linear.", "linear"), ("oracle.", "oracle")):
        for part in ("median", "mean"):
            figures[f"{label}: time, {part}"] = metrics[f"time.rank_correlation.{kind}{part}"]
    for name, label in (("", "Sat2Cap"), ("linear.", "linear"), ("clip.", "CLIP")):
        for way in ("overhead2ground", "ground2overhead"):
            key = f"retrieval.{name}{way}.r10"
            if key in metrics:
                figures[f"{label}: {way} R@10"] = metrics[key]
    return figures


def print_records(out: Path) -> None:
    """Print a row for each figure and a column for each record, in Markdown."""
    paths = sorted((out / "records").glob("*.json"))
    columns = [summarise_record(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    print("| |" + "|".join(path.stem for path in paths) + "|")
    print("|---" * (len(paths) + 1) + "|")
    for name in dict.fromkeys(name for column in columns for name in column):
        cells = (f"{column[name]:.3f}" if name in column else "" for column in columns)
        print(f"| {name} |" + "|".join(cells) + "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("demo", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--planets", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--quick", action="store_true", help="the sizes of the quick demo")
    parser.add_argument("--small", action="store_true", help="countries as small as the quick demo's")
    parser.add_argument("--no-retrieval", dest="retrieval", action="store_false")
    options = parser.parse_args()
    plan = quick_plan() if options.quick else DemoPlan()
    if options.small:
        plan = replace(plan, countries=quick_plan().countries)
    for seed in options.seeds:
        for planet in options.planets:
            on_planet = plan_planet(plan, planet, options.out)
            path = options.out / "records" / f"seed-{seed}-planet-{planet}.json"
            if not path.is_file():
                metrics = measure_run(on_planet, options.demo, options.out, seed, retrieval=options.retrieval)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, metrics)
    print_records(options.out)


if __name__ == "__main__":
    main()
