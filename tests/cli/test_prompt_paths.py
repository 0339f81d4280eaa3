"""A prompt that is the path of something that exists is refused before anything is read."""

import pytest

from sat2cap.cli.ask.prompts import refuse_paths
from sat2cap.errors import PromptError


def test_paths_are_refused_and_texts_pass(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.zarr" / "_sat2cap").mkdir(parents=True)
    (tmp_path / "beach.jpg").write_bytes(b"")
    with pytest.raises(PromptError, match=r"'old\.zarr' is the path .*; one atlas is asked at a time"):
        refuse_paths("old.zarr")
    with pytest.raises(PromptError, match=r"'beach\.jpg' is the path .*; give photo:beach\.jpg"):
        refuse_paths(["water", "beach.jpg"])
    for prompts in ("water", None, ["new.zarr", "photo:beach.jpg", "x" * 5000, "a\0b"]):
        assert refuse_paths(prompts) == prompts
