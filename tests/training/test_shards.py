"""Patches decoded from the shards at each use are those decoded once."""

from pathlib import Path

import numpy as np
import pytest
from fake_pairs import FakePairs, write_shards

from sat2cap.errors import PairsError
from sat2cap.model.preprocess import Preprocess
from sat2cap.progress import silent
from sat2cap.training.data.patches import read_training_set
from sat2cap.training.data.streaming import open_shards


@pytest.fixture
def pairs(tmp_path: Path) -> FakePairs:
    made = FakePairs(tmp_path / "pairs", {"train": 23, "val": 4})
    write_shards(made, per_shard=10)
    return made


def test_every_use_gives_what_was_decoded_once(pairs: FakePairs, tmp_path: Path) -> None:
    preprocess = Preprocess(16)
    once = read_training_set(pairs, "train", preprocess, progress=silent)
    for _ in range(2):  # the second finds the table of the first
        always = open_shards(pairs, "train", preprocess, tmp_path / "cache", silent)
        assert always.keys == once.keys
        np.testing.assert_array_equal(always.moments, once.moments)
        rows = np.array([22, 0, 11, 0])
        np.testing.assert_array_equal(always.patches[rows], once.patches[rows])
        assert len(list((tmp_path / "cache").glob("shards-train-*.npz"))) == 1


def test_a_shard_that_is_cut_or_missing_is_named(pairs: FakePairs, tmp_path: Path) -> None:
    shard = pairs.path / "shards" / "train-00001.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2 + 700])
    with pytest.raises(PairsError, match=r"(train-00001\.tar is broken|has \d+ pairs, not 23)"):
        open_shards(pairs, "train", Preprocess(16), tmp_path / "cache", silent)
    shard.unlink()
    with pytest.raises(PairsError, match="has 13 pairs, not 23"):
        open_shards(pairs, "train", Preprocess(16), tmp_path / "cache", silent)
    assert not list((tmp_path / "cache").glob("*.npz"))
