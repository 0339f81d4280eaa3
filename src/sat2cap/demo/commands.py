"""The command lines that do by hand what the demo did."""

from pathlib import Path
from shlex import quote

from sat2cap.catalogue import MINICAPTIONER
from sat2cap.demo import steps
from sat2cap.demo.labels import to_slug
from sat2cap.demo.plan import CountryPlan, DemoPlan
from sat2cap.demo.story import Command


def list_commands(plan: DemoPlan, out: Path) -> list[Command]:
    """Return commands that do what the demo did, for its first country and its first dated prompt."""
    place = plan.countries[0]
    prompt = next((shown for shown in plan.map_prompts if shown.when), plan.map_prompts[0])
    when = f" --when {prompt.when}" if prompt.when else ""
    model, atlas = out / steps.TRAIN / "checkpoint", out / steps.ATLAS / f"{place.name}.zarr"
    target = out / steps.MAPS / to_slug(prompt.text)
    world = f"miniworld:{plan.train_world}"
    return [
        Command(
            "Pair photos with what lies around them, seen from above",
            f"sat2cap pairs build --photos {world} --count {plan.train_photos} --imagery {world} "
            f"--patch {plan.patch.size_m:g} --pixels {plan.patch.pixels} --per-shard {plan.per_shard} "
            f"--workers {plan.workers} -o {quote(str(out / steps.TRAINING))}",
        ),
        Command("Train, or go on with a training that was stopped", "sat2cap train runs/miniworld.toml"),
        Command(
            "Embed a country, once",
            f"sat2cap embed {place.region} --imagery miniworld:{plan.test_world} "
            f"--model {quote(str(model))} --patch {plan.patch.size_m:g} -o {quote(str(atlas))}",
        ),
        Command(
            "Type a sentence, get a map for QGIS",
            f"sat2cap map {quote(str(atlas))} {quote(prompt.text)}{when} -o {quote(f'{target}.tif')}",
        ),
        Command(
            "The same as a picture",
            f"sat2cap map {quote(str(atlas))} {quote(prompt.text)}{when} "
            f"--underlay miniworld:{plan.test_world} -o {quote(f'{target}.png')}",
        ),
        name_live_command(out),
        Command("The best places", f"sat2cap search {quote(str(atlas))} {quote(prompt.text)}{when} --top 5"),
        *_caption_commands(plan, place, atlas),
        Command(
            "Measure how patches and photos find each other",
            f"sat2cap evaluate retrieval {quote(str(out / steps.HELDOUT))} --model {quote(str(model))} "
            f"--gallery {plan.gallery}",
        ),
    ]


def name_live_command(out: Path) -> Command:
    """Return the command that opens the live map over the demo's countries."""
    return Command("Ask while you type", f"sat2cap serve {quote(str(out / steps.ATLAS))}")


def _caption_commands(plan: DemoPlan, place: CountryPlan, atlas: Path) -> list[Command]:
    """Return the command that captions the middle of a country; none without a captioner."""
    if plan.captioner is None:
        return []
    west, south, east, north = (float(side) for side in place.region.split(","))
    captioner = "" if plan.captioner == MINICAPTIONER else f" --captioner {quote(plan.captioner)}"
    return [
        Command(
            "A place in words, in winter and in summer",
            f"sat2cap caption {quote(str(atlas))} --at {(west + east) / 2:.3f},{(south + north) / 2:.3f} "
            f"--when 2021-01 --when 2021-07{captioner}",
        )
    ]
