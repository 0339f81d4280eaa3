"""Training tests build their models as the model tests do, and leave the other cores to other tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fake_pairs import FakePairs

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small lose more by waiting for a second thread than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def pairs(root: Path) -> FakePairs:
    """For tests whose `root` is a folder with a place for pairs."""
    return FakePairs(root / "pairs", {"train": 50, "val": 12})
