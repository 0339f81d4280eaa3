"""A tiny random model with a Dynamic Encoder, and an atlas that it embedded by the command line itself."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "model"))  # tiny_model lives there

from command import Done, run

REGION = "-10.02,-45.03,-9.95,-44.97"
"""Starts with a minus: the form a shell user types."""
PLANET = "miniworld:7"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_model import tiny_clip

    from sat2cap.model.formats.folder import save_checkpoint
    from sat2cap.model.load import load_model
    from sat2cap.model.networks.dynamic_encoder import DynamicEncoder

    folder = tmp_path_factory.mktemp("model")
    plain = load_model(tiny_clip(folder / "clip", image=16, hidden=64, dim=32))
    torch.manual_seed(3)
    dynamic = DynamicEncoder(plain.dim).eval()
    card = {"name": "tiny", "source": "a test", "licence": "CC0-1.0", "metrics": {"loss": 1.5}}
    return save_checkpoint(replace(plain, dynamic=dynamic, encoding="cyclic", card=card), folder / "tiny")


@pytest.fixture(scope="session")
def embedded(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """The atlas and what the command said."""
    out = tmp_path_factory.mktemp("atlas") / "x.zarr"
    return out, run("embed", REGION, "--imagery", PLANET, "--model", model, "-o", out)


@pytest.fixture(scope="session")
def atlas(embedded: tuple[Path, Done]) -> Path:
    path, done = embedded
    assert done.status == 0, done.err
    return path


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    out = tmp_path_factory.mktemp("pairs") / "p"
    options = ("--count", 120, "--pixels", 16, "--split", "random", "--per-shard", 50)
    return out, run("pairs", "build", "--photos", PLANET, "--imagery", PLANET, "-o", out, *options)
