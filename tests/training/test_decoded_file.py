"""Patches decoded to a file: made once, shared, continued, and refused where they do not fit."""

import errno
import multiprocessing
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_pairs import FakePairs

from sat2cap.errors import JobError, PairsError
from sat2cap.model import Preprocess
from sat2cap.progress import silent
from sat2cap.training.data import decoded_file
from sat2cap.training.data.decoded_file import open_decoded_file
from sat2cap.training.data.patches import read_training_set

SOURCE = Preprocess(16)


@pytest.fixture
def pairs(tmp_path: Path) -> FakePairs:
    return FakePairs(tmp_path / "pairs", {"train": 50})


def opened(pairs: FakePairs, folder: Path, preprocess: Preprocess = SOURCE):
    return open_decoded_file(pairs, "train", preprocess, folder, silent)


def test_it_holds_what_memory_would(pairs: FakePairs, tmp_path: Path) -> None:
    in_file, in_memory = opened(pairs, tmp_path), read_training_set(pairs, "train", SOURCE, progress=silent)
    assert in_file.keys == in_memory.keys
    np.testing.assert_array_equal(in_file.patches[np.arange(50)], in_memory.patches)
    np.testing.assert_array_equal(in_file.moments, in_memory.moments)
    (file,) = tmp_path.glob("*.npy")
    assert file.stat().st_blocks * 512 >= 50 * 16 * 16 * 3, "allocated, not sparse"


def test_it_is_kept_under_the_fingerprint_and_the_preprocessing(
    pairs: FakePairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(pairs, tmp_path)
    opened(pairs, tmp_path, Preprocess(12))
    opened(replace(pairs, fingerprint="other"), tmp_path)
    opened(pairs, tmp_path, replace(SOURCE, mean=(0.1, 0.2, 0.3)))
    assert len(list(tmp_path.glob("*.npy"))) == 3, "colours are normalised later"
    monkeypatch.setattr(decoded_file, "decode_patch", None)
    assert len(opened(pairs, tmp_path)) == 50, "nothing is decoded a second time"


def test_a_killed_decoding_goes_on_where_it_was(
    pairs: FakePairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded_file, "CHUNK", 5)
    monkeypatch.setattr(decoded_file, "_CHUNKS_PER_NOTE", 2)
    decode, decoded = decoded_file.decode_patch, []

    def count_patches(data: bytes, key: str, preprocess: Preprocess) -> np.ndarray:
        decoded.append(key)
        if len(decoded) == 33:
            raise KeyboardInterrupt
        return decode(data, key, preprocess)

    monkeypatch.setattr(decoded_file, "decode_patch", count_patches)
    with pytest.raises(KeyboardInterrupt):
        opened(pairs, tmp_path)
    assert not list(tmp_path.glob("*.npz"))
    before = len(decoded)
    again = opened(pairs, tmp_path)
    assert len(decoded) - before == 50 - 30, "three notes of ten patches were written"
    expected = read_training_set(pairs, "train", SOURCE, progress=silent)
    np.testing.assert_array_equal(again.patches[np.arange(50)], expected.patches)
    assert again.keys == expected.keys
    assert not list(tmp_path.glob("*.progress"))


def _open_in_process(folder: Path, seen: "multiprocessing.Queue[int]") -> None:
    decode = decoded_file.decode_patch
    count = 0

    def count_patches(data: bytes, key: str, preprocess: Preprocess) -> np.ndarray:
        nonlocal count
        count += 1
        return decode(data, key, preprocess)

    decoded_file.decode_patch = count_patches
    assert len(opened(FakePairs(folder / "pairs", {"train": 50}), folder)) == 50
    seen.put(count)


def test_processes_share_one_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    seen = context.Queue()
    processes = [context.Process(target=_open_in_process, args=(tmp_path, seen)) for _ in range(3)]
    for process in processes:
        process.start()
    counts = [seen.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    assert sorted(counts) == [0, 0, 50]
    assert len(list(tmp_path.glob("*.npy"))) == 1


@pytest.mark.parametrize("where", ["seen", "met"])
def test_what_does_not_fit_is_one_line_before_anything_is_decoded(
    pairs: FakePairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where == "seen":
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(decoded_file.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    else:
        monkeypatch.setattr(decoded_file.os, "posix_fallocate", full_disk)
    monkeypatch.setattr(decoded_file, "decode_patch", None)
    message = r"50 pairs need 0\.0385 MB in .* free \(No space left .*: make room"
    with pytest.raises(JobError, match=message) as caught:
        opened(pairs, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.npy"))


def test_a_broken_pair_leaves_no_file(pairs: FakePairs, tmp_path: Path) -> None:
    with pytest.raises(PairsError, match="pair train-030 has a broken image"):
        opened(replace(pairs, broken="train-030"), tmp_path)
    assert not list(tmp_path.glob("*.np?"))
