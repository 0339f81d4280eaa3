"""Pairs read by their position: the same pairs as reading all, and only the bytes of their own shards."""

import json
import shutil

import pandas as pd
import pytest
from made_up import Album, build_small

from sat2cap.errors import PairsError
from sat2cap.pairs import PairSet, SplitPlan, open_pairs

SPLIT = SplitPlan("random", (0.6, 0.2, 0.2))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PairSet:
    return build_small(tmp_path_factory.mktemp("rows") / "pairs", Album(60), split=SPLIT)


def without_offsets(made: PairSet, folder) -> PairSet:
    """The same set as older versions wrote it."""
    shutil.copytree(made.path, folder)
    made.index.drop(columns="offset").to_parquet(folder / "index.parquet", index=False)
    return open_pairs(folder)


@pytest.mark.parametrize("is_old", [False, True])
def test_rows_are_those_of_reading_all(made: PairSet, tmp_path, is_old: bool) -> None:
    pairs = without_offsets(made, tmp_path / "old") if is_old else made
    for split in ("train", "val", "test"):
        every = dict(enumerate(pairs.read(split)))
        assert dict(pairs.read_rows(split, range(len(every)))) == every
        some = [len(every) - 1, 0, len(every) // 2, 0]
        read = list(pairs.read_rows(split, some))
        assert [row for row, _ in read] == sorted(set(some))
        assert all(pair == every[row] for row, pair in read)
    assert list(pairs.read_rows("train", [])) == []


def test_shards_without_a_wanted_pair_are_not_opened(made: PairSet, tmp_path) -> None:
    shutil.copytree(made.path, tmp_path / "copy")
    pairs = open_pairs(tmp_path / "copy")
    names = [name for name in pairs.manifest["shards"] if name.startswith("train-")]
    first = next(pairs.read("train"))
    for name in names[1:]:
        (pairs.path / "shards" / name).unlink()
    assert list(pairs.read_rows("train", [0])) == [(0, first)]
    last = pairs.count("train") - 1
    with pytest.raises(PairsError, match="is missing; build the pairs again"):
        list(pairs.read_rows("train", [0, last]))


def test_a_sample_is_the_rows_that_the_index_gives_for_the_seed(made: PairSet) -> None:
    rows = made.index.sample(20, random_state=5).sort_index()
    assert [pair.key for pair in made.sample_pairs(20, seed=5)] == rows.key.tolist()
    assert {pair.key for pair in made.sample_pairs(5, "test")} <= set(
        made.index.key[made.index.split == "test"]
    )


def test_the_index_says_where_each_pair_begins(made: PairSet) -> None:
    journal = [json.loads(line) for line in (made.path / "journal.jsonl").read_text().splitlines()][1:]
    offsets = pd.Series({line["name"]: line["offsets"] for line in journal})
    for name, rows in made.index.groupby("shard"):
        assert rows.offset.tolist() == offsets[name]
        content = (made.path / "shards" / name).read_bytes()
        for key, offset in zip(rows.key, rows.offset, strict=True):
            assert content[offset:].startswith(f"{key}.groundlevel.jpg".encode())


def test_a_position_or_a_shard_that_is_wrong_is_one_line(made: PairSet, tmp_path) -> None:
    count = made.count("test")
    with pytest.raises(PairsError, match=f"has {count} pairs in 'test', so none at {count}"):
        made.read_rows("test", [0, count])
    with pytest.raises(PairsError, match="split 'tests' is not in"):
        list(made.read_rows("tests", [0]))
    shutil.copytree(made.path, tmp_path / "broken")
    broken = open_pairs(tmp_path / "broken")
    moved = made.index.assign(offset=made.index.offset + 100)
    moved.to_parquet(broken.path / "index.parquet", index=False)
    with pytest.raises(PairsError, match="is broken"):
        list(broken.read_rows("test", [1]))
