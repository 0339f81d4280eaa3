"""Ground embeddings in parts: what is whole is never computed again, and processes share the parts."""

from pathlib import Path

import numpy as np
import pytest
from fake_pairs import FakePairs
from tiny_model import tiny_clip

from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.load import load_model
from sat2cap.progress import silent
from sat2cap.training.data import ground_embeddings as ground
from sat2cap.training.data.patches import decode_image


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "CHUNK", 4)
    monkeypatch.setattr(ground, "PART_PHOTOS", 8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_model(tiny_clip(tmp_path_factory.mktemp("clip") / "clip", image=24, hidden=32, dim=16))


@pytest.fixture
def pairs(tmp_path: Path) -> FakePairs:
    (tmp_path / "pairs").mkdir()
    return FakePairs(tmp_path / "pairs", {"train": 29})


def compute(pairs: FakePairs, clip: Checkpoint, rank: int = 0, world_size: int = 1) -> np.ndarray:
    return ground.ground_embeddings(
        pairs,
        "train",
        clip,
        fallback=Path("unused"),
        precision="float32",
        progress=silent,
        rank=rank,
        world_size=world_size,
    )


def files(pairs: FakePairs) -> dict[str, int]:
    """Parts, with when they were written."""
    part_files = (pairs.path / "cache").glob("ground-train-*.safetensors")
    return {path.name[-17:-12]: path.stat().st_mtime_ns for path in part_files}


def test_parts_are_the_embeddings_in_order(pairs: FakePairs, clip: Checkpoint) -> None:
    photos = [decode_image(pair.ground, pair.key) for pair in pairs.read("train")]
    np.testing.assert_allclose(compute(pairs, clip), clip.embed_ground(photos), atol=1e-5)
    assert sorted(files(pairs)) == ["00000", "00001", "00002", "00003"]


def test_a_kill_costs_no_part_that_is_whole(
    pairs: FakePairs, clip: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = compute(pairs, clip)
    for path in (pairs.path / "cache").iterdir():
        path.unlink()
    embed, calls = Checkpoint.embed_ground, []

    def dies(self: Checkpoint, images: list[object], **settings: object) -> np.ndarray:
        calls.append(len(images))
        if len(calls) == 6:
            raise KeyboardInterrupt
        return embed(self, images, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(Checkpoint, "embed_ground", dies)
    with pytest.raises(KeyboardInterrupt):
        compute(pairs, clip)
    dynamic_keep_mask = files(pairs)
    assert sorted(dynamic_keep_mask) == ["00000", "00001"]
    calls[:] = [0] * 10  # beyond where it dies
    np.testing.assert_array_equal(compute(pairs, clip), whole)
    assert sum(calls) == 29 - 16
    assert {name: files(pairs)[name] for name in dynamic_keep_mask} == dynamic_keep_mask


def test_processes_share_the_parts(pairs: FakePairs, clip: Checkpoint) -> None:
    with pytest.raises(FileNotFoundError):
        compute(pairs, clip, rank=1, world_size=2)  # no barrier: the other one's parts are not there
    assert sorted(files(pairs)) == ["00001", "00003"]
    own = files(pairs)
    assert len(compute(pairs, clip, rank=0, world_size=2)) == 29
    assert {name: files(pairs)[name] for name in own} == own
