"""Where pairs lie in their shards: what the index says is what reading all finds, for older sets too."""

import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from made_up import Album, build_small

from sat2cap.errors import PairsError
from sat2cap.pairs import PairSet, SplitPlan, open_pairs


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PairSet:
    folder = tmp_path_factory.mktemp("locations") / "pairs"
    return build_small(folder, Album(60), split=SplitPlan("random", (0.6, 0.2, 0.2)))


@pytest.fixture
def copied(made: PairSet, tmp_path: Path) -> PairSet:
    shutil.copytree(made.path, tmp_path / "pairs")
    return open_pairs(tmp_path / "pairs")


def make_old(pairs: PairSet) -> None:
    """Make the set one of an older version, whose index has no positions."""
    pairs.index.drop(columns="offset").to_parquet(pairs.path / "index.parquet", index=False)


@pytest.mark.parametrize("is_old", [False, True])
def test_they_read_what_reading_all_reads(copied: PairSet, tmp_path: Path, is_old: bool) -> None:
    if is_old:
        make_old(copied)
    for split in ("train", "val", "test"):
        located, every = copied.locate(split, tmp_path / "cache"), list(copied.read(split))
        assert len(located) == len(every) > 3
        with ThreadPoolExecutor(4) as pool:
            rows = range(len(every))
            assert list(pool.map(located.read_photo, rows)) == [pair.ground for pair in every]
            assert list(pool.map(located.read_patch, rows)) == [pair.overhead for pair in every]
        assert [located.key(row) for row in rows] == [pair.key for pair in every]
        assert located.lon.tolist() == [pair.lon for pair in every]
        assert located.lat.tolist() == [pair.lat for pair in every]
        assert located.taken.tolist() == [pair.taken for pair in every]


def test_an_older_set_is_scanned_once(
    copied: PairSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_old(copied)
    first = copied.locate("train", tmp_path / "cache")
    monkeypatch.setattr("sat2cap.pairs.locations.locate_pairs", None)
    assert copied.locate("train", tmp_path / "cache").offset.tolist() == first.offset.tolist()
    (kept,) = (tmp_path / "cache").glob("offsets-train-*.npy")
    kept.write_bytes(kept.read_bytes()[:130])
    monkeypatch.undo()
    assert copied.locate("train", tmp_path / "cache").offset.tolist() == first.offset.tolist()


def test_a_missing_or_cut_shard_is_named_before_any_is_read(copied: PairSet, tmp_path: Path) -> None:
    shard = copied.path / "shards" / "train-00001.tar"
    shard.write_bytes(shard.read_bytes()[:5000])
    with pytest.raises(PairsError, match=r"train-00001\.tar is broken \(cut at byte 5,000\); build"):
        copied.locate("train", tmp_path)
    shard.unlink()
    with pytest.raises(PairsError, match=r"train-00001\.tar is missing; build the pairs again"):
        copied.locate("train", tmp_path)
    assert len(copied.locate("val", tmp_path)) == copied.count("val"), "another split's shards are whole"


def test_a_shard_that_ends_within_a_picture_is_named(copied: PairSet, tmp_path: Path) -> None:
    located = copied.locate("train", tmp_path)
    last = len(located) - 1
    path = copied.path / "shards" / located.shards[-1].name
    with path.open("r+b") as file:
        file.truncate(int(located.offset[last]) + tarfile.BLOCKSIZE + 10)
    with pytest.raises(PairsError, match=rf"{path.name} is broken \(cut at byte [\d,]+\); build"):
        located.read_photo(last)
    with pytest.raises(PairsError, match=rf"{path.name} is broken"):
        located.read_patch(last)


def test_an_index_of_other_shards_is_refused(copied: PairSet, tmp_path: Path) -> None:
    index = copied.index
    shifted = index.assign(offset=np.where(index.split == "train", index.offset + 512, index.offset))
    shifted.to_parquet(copied.path / "index.parquet", index=False)
    with pytest.raises(PairsError, match=r"train-00000\.tar is broken"):
        copied.locate("train", tmp_path).read_photo(0)
    order = [1, 0, *range(2, len(index))]  # the first two pairs of the first shard
    swapped = index.assign(offset=index.offset.to_numpy()[order])
    swapped.to_parquet(copied.path / "index.parquet", index=False)
    with pytest.raises(PairsError, match=r"no p\d+\.groundlevel\.jpg where the index says"):
        copied.locate(index.split[0], tmp_path).read_photo(0)
    index.iloc[:-1].to_parquet(copied.path / "index.parquet", index=False)
    with pytest.raises(PairsError, match="does not list the pairs of split"):
        copied.locate(index.split.iloc[-1], tmp_path)
