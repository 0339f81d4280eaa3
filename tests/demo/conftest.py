"""One tiny demo for all tests of this folder, run as a user's is, with a random CLIP."""

import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "model"))  # tiny_model and tiny_captioner live there

from sat2cap.demo import run_demo
from sat2cap.demo.plan import CountryPlan, DemoPlan, select_prompts
from sat2cap.miniworld.prompts import PROMPTS, SEASONAL_PROMPTS
from sat2cap.model.formats.captioner import save_captioner
from sat2cap.pairs import PatchSpec

RUN = """
method = "sat2cap"
[data]
pairs = "elsewhere"
validation_pairs = 20
[model]
init = "nobody"
[loss]
queue = 16
[optim]
lr = 1e-3
batch = 16
steps = 1000
device = "cpu"
precision = "float32"
[output]
folder = "elsewhere"
"""


class Ran(NamedTuple):
    """A demo that was run."""

    out: Path
    plan: DemoPlan
    figures: dict[str, float]
    reports: list[tuple[str, int, int]]
    """What it reported of its progress."""


def tiny_plan(folder: Path) -> DemoPlan:
    """Minutes of the full plan in seconds; `folder` gets the CLIP and the run file that it begins with."""
    from tiny_captioner import tiny_captioner
    from tiny_model import tiny_clip

    clip, run_file, captioner = folder / "clip", folder / "run.toml", folder / "captioner"
    if not clip.exists():
        tiny_clip(clip, image=16, hidden=64, dim=32)
        run_file.write_text(RUN)
        save_captioner(tiny_captioner(dim=32), captioner)
    prompts = select_prompts(PROMPTS, "sea", "church", "rice paddy", "market", "vineyard", "autumn leaves")
    timed = select_prompts(SEASONAL_PROMPTS, "traffic jam", "snow")
    return DemoPlan(
        train_photos=130,
        test_photos=40,
        gallery=30,
        patch=PatchSpec(480.0, 16),
        per_shard=50,
        workers=1,
        run_file=run_file,
        steps=4,
        init=str(clip),
        countries=(
            CountryPlan("north", "-69.92,46.09,-69.85,46.14"),
            CountryPlan("south", "-67.30,-35.88,-67.23,-35.83", south=True),
        ),
        prompts=prompts,
        seasonal_prompts=timed,
        map_prompts=prompts[:4],
        winter_prompts=select_prompts(SEASONAL_PROMPTS, "snow"),
        summer_prompts=select_prompts(SEASONAL_PROMPTS, "bathers"),
        hour_prompts=timed[:1],
        calendar_prompts=timed[:1],
        search_prompts=prompts[3:4],
        captioner=str(captioner),
        caption_prompts=select_prompts(PROMPTS, "broadleaf forest"),
        caption_pairs=20,
        mosaic_pixels=4,
    )


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    torch.set_num_threads(1)  # the networks are too small to share
    folder = tmp_path_factory.mktemp("demo")
    plan, reports = tiny_plan(folder), []
    out = folder / "out"
    figures = run_demo(out, plan=plan, progress=lambda *report: reports.append(report))
    return Ran(out, plan, figures, reports)
