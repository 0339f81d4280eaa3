"""The demo from top to bottom."""

from pathlib import Path

from sat2cap.catalogue import open_imagery, resolve_captioner, resolve_model
from sat2cap.demo import steps
from sat2cap.demo.captions import caption_metrics
from sat2cap.demo.clock import StepClock
from sat2cap.demo.duration import describe_duration, estimate_demo_seconds
from sat2cap.demo.metrics import EvaluationInputs, compute_metrics, timing_metrics
from sat2cap.demo.page import collect_story
from sat2cap.demo.plan import DemoPlan
from sat2cap.demo.remembered_imagery import RememberedImagery
from sat2cap.demo.story import render_story
from sat2cap.files import write_bytes, write_json
from sat2cap.progress import Progress, announce, silent

RESULTS = "results.json"
PAGE = "index.html"


def run_demo(out: Path, *, plan: DemoPlan | None = None, progress: Progress = silent) -> dict[str, float]:
    """Run the demo into the folder `out`, and return all its metrics, those of ``out/results.json``.

    Pairs, training and atlases that are there are reused, and continued where they are not complete; maps,
    metrics and the page are made anew. A metric that is not defined, such as a ratio to zero, is left out.
    Raises what the steps raise, and `InputError` if `out` holds the results of another plan.
    """
    plan, out = plan or DemoPlan(), Path(out)
    run = steps.configure_run(plan, out)
    clip = steps.name_model(resolve_model(run.model.init), run.model.init, "CLIP")
    captioner = None if plan.captioner is None else resolve_captioner(plan.captioner, clip)
    clock = StepClock(out / "demo.json")
    if not steps.check_pairs(out)["begun"]:
        seconds = estimate_demo_seconds(plan, run, clip)
        announce(progress, describe_duration(seconds, quick=plan.quick))

    with clock.time_step("pairs", **steps.check_pairs(out)):
        training, heldout = steps.build_pair_sets(plan, out, progress)
    with clock.time_step("train", **steps.check_training(out)):
        folder = steps.train_model(run, training, progress)
        linear_folder = steps.fit_linear(run, training, out, progress)
    trained = steps.name_model(resolve_model(folder), str(folder), "sat2cap-miniworld")
    linear = steps.name_model(resolve_model(linear_folder), str(linear_folder), "linear-miniworld")

    with clock.time_step("embed", **steps.check_atlases(plan, out)):
        imagery = open_imagery(f"miniworld:{plan.test_world}")
        shared = RememberedImagery(imagery)
        atlases = [
            steps.embed_countries(plan, out, shared, model, kind, progress)
            for model, kind in zip((trained, linear, clip), steps.ATLAS_KINDS, strict=True)
        ]
    with clock.time_step("map"):
        countries, linear_countries, baseline = steps.list_countries(plan, atlases)
        steps.write_maps(plan, out, countries, trained, imagery, progress)
    with clock.time_step("evaluate"):
        inputs = EvaluationInputs(trained, linear, clip, countries, linear_countries, baseline, captioner)
        metrics = compute_metrics(plan, inputs, heldout, progress)
        metrics |= dict(caption_metrics(plan, inputs, heldout))
    with clock.time_step("report"):
        precision = trained.card["training"]["run"]["optim"]["precision"]
        story = collect_story(plan, inputs, imagery, training, precision, out, progress)
    metrics |= timing_metrics(clock)
    write_json(out / RESULTS, metrics)
    write_bytes(out / PAGE, render_story(story, metrics).encode())
    return metrics
