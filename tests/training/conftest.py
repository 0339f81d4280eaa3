"""Training tests build their models as the model tests do, and leave the other cores to other tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fake_pairs import FakePairs

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small lose more by waiting for a second thread than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP model, which tests must not write to."""
    from tiny_model import tiny_clip

    return tiny_clip(tmp_path_factory.mktemp("clip") / "clip", image=24, hidden=32, dim=16)


@pytest.fixture
def root(tmp_path: Path, clip_folder: Path) -> Path:
    """A folder with the CLIP model and a place for pairs."""
    (tmp_path / "clip").symlink_to(clip_folder)
    (tmp_path / "pairs").mkdir()
    return tmp_path


@pytest.fixture
def pairs(root: Path) -> FakePairs:
    """For tests whose `root` is a folder with a place for pairs."""
    return FakePairs(root / "pairs", {"train": 50, "val": 12})
