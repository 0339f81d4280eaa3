"""A prompt that is the path of something that exists is refused before anything is read."""

import pytest
from command import run

from sat2cap.cli.ask.prompts import refuse_paths
from sat2cap.errors import PromptError


def test_paths_are_refused_and_texts_pass(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.zarr" / "_sat2cap").mkdir(parents=True)
    (tmp_path / "beach.jpg").write_bytes(b"")
    with pytest.raises(
        PromptError,
        match=r"'old\.zarr' is the path .*; to compare two atlases, write: .* --less-atlas old\.zarr",
    ):
        refuse_paths("old.zarr")
    with pytest.raises(PromptError, match=r"'beach\.jpg' is the path .*; give photo:beach\.jpg"):
        refuse_paths(["water", "beach.jpg"])
    for prompts in ("water", None, ["new.zarr", "photo:beach.jpg", "x" * 5000]):
        assert refuse_paths(prompts) == prompts


@pytest.mark.parametrize(
    "words",
    [
        "map x.zarr {path} -o m.tif",
        "map x.zarr snow --not {path} -o m.tif",
        "search x.zarr {path}",
        "zones x.zarr {path} --zones z.gpkg",
        "zones x.zarr snow --not {path} --zones z.gpkg",
        "difference x.zarr {path} snow -o m.tif",
        "classify x.zarr snow {path} -o m.tif",
    ],
)
def test_every_command_that_takes_a_prompt_refuses_paths(words, tmp_path):
    (tmp_path / "old.zarr" / "_sat2cap").mkdir(parents=True)
    done = run(*words.format(path=tmp_path / "old.zarr").split())
    assert (done.status, done.out) == (2, "")
    assert "is the path of something that exists; to compare two atlases, write: sat2cap" in done.err
