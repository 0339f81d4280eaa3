"""The demo from top to bottom."""

from dataclasses import replace
from pathlib import Path

from sat2cap.catalogue import open_imagery, resolve_captioner, resolve_model
from sat2cap.demo import make
from sat2cap.demo.captions import caption_figures
from sat2cap.demo.clock import Clock
from sat2cap.demo.figures import Measured, measure, timing
from sat2cap.demo.page import tell
from sat2cap.demo.plan import DemoPlan
from sat2cap.demo.story import render_story
from sat2cap.evaluation import Country
from sat2cap.files import write_bytes, write_json
from sat2cap.miniworld import World, prepare_ground_truth
from sat2cap.progress import Progress, silent

RESULTS = "results.json"
PAGE = "index.html"


def run_demo(out: Path, *, plan: DemoPlan | None = None, progress: Progress = silent) -> dict[str, float]:
    """Run the demo into the folder `out`; every figure, as in ``out/results.json``.

    Pairs, training and atlases that are there are reused, and gone on with when they are not complete; maps,
    figures and the page are made anew. A figure that is not defined, such as the ratio to nothing, is left
    out. Raises what the steps raise; an `InputError` if `out` holds the results of another plan.
    """
    plan, out = plan or DemoPlan(), Path(out)
    run = make.run_of(plan, out)
    clip = make.named(resolve_model(run.model.init), run.model.init, "CLIP")
    captioner = None if plan.captioner is None else resolve_captioner(plan.captioner, clip)
    clock = Clock(out / "demo.json")

    with clock.step("pairs", **make.pairs_state(out), workers=plan.workers):
        training, heldout = make.pairs(plan, out, progress)
    with clock.step("train", **make.train_state(out)):
        folder = make.train(run, training, progress)
    trained = make.named(resolve_model(folder), str(folder), "sat2cap-miniworld")

    with clock.step("embed", **make.embed_state(plan, out)):
        ours = make.atlases(plan, out, trained, "", progress)
        theirs = make.atlases(plan, out, clip, "-clip", progress)
    with clock.step("map"):
        imagery, world = open_imagery(f"miniworld:{plan.test_world}"), World(plan.test_world)
        countries = [
            Country(place.name, atlas, prepare_ground_truth(world, atlas.grid), place.south)
            for place, atlas in zip(plan.countries, ours, strict=True)
        ]
        make.maps(plan, out, countries, trained, imagery, progress)
    with clock.step("evaluate"):
        baseline = [replace(country, atlas=atlas) for country, atlas in zip(countries, theirs, strict=True)]
        measured = Measured(trained, clip, countries, baseline, captioner)
        figures = measure(plan, measured, heldout, progress)
        figures |= dict(caption_figures(plan, measured, heldout))
    with clock.step("report"):
        story = tell(plan, measured, imagery, training, run.optim.precision, out, progress)
    figures |= timing(clock)
    write_json(out / RESULTS, figures)
    write_bytes(out / PAGE, render_story(story, figures).encode())
    return figures
