"""Patches decoded from the shards at each use are those decoded once."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from made_up import Album, build_small

from sat2cap.errors import PairsError
from sat2cap.model.preprocess import Preprocess
from sat2cap.pairs import PairSet, SplitPlan, open_pairs
from sat2cap.progress import silent
from sat2cap.training.data.patches import TrainingSet, read_training_set
from sat2cap.training.data.streaming import open_shards

PREPROCESS = Preprocess(16)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PairSet:
    folder = tmp_path_factory.mktemp("shards") / "pairs"
    return build_small(folder, Album(60), split=SplitPlan("random", (0.6, 0.2, 0.2)))


def streamed(pairs: PairSet, cache: Path) -> TrainingSet:
    return open_shards(pairs, "train", PREPROCESS, cache, 3, silent)


def test_every_use_gives_what_was_decoded_once(pairs: PairSet, tmp_path: Path) -> None:
    once = read_training_set(pairs, "train", PREPROCESS, progress=silent)
    always = streamed(pairs, tmp_path)
    assert list(always.keys) == once.keys
    assert always.keys[2:5] == once.keys[2:5]
    np.testing.assert_array_equal(always.moments, once.moments)
    rows = np.array([len(once) - 1, 0, 11, 0])
    np.testing.assert_array_equal(always.patches[rows], once.patches[rows])
    assert list(tmp_path.iterdir()) == [], "the index has it all"


def test_the_table_of_an_older_version_goes(pairs: PairSet, tmp_path: Path) -> None:
    from sat2cap.files import digest

    older = tmp_path / f"shards-train-{digest(pairs.fingerprint, 'train')[:24]}.npz"
    older.write_bytes(b"hundreds of megabytes")
    streamed(pairs, tmp_path)
    assert not older.exists()


def test_a_patch_that_cannot_be_read_names_its_shard(pairs: PairSet, tmp_path: Path) -> None:
    shutil.copytree(pairs.path, tmp_path / "pairs")
    data = streamed(open_pairs(tmp_path / "pairs"), tmp_path)
    shutil.rmtree(tmp_path / "pairs" / "shards")
    with pytest.raises(PairsError, match=r"train-00000\.tar is missing; build the pairs again"):
        data.patches[np.array([0])]
