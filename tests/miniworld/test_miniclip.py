"""The miniature CLIP that ships in the package knows the photos of a planet that it never saw."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import sat2cap
from sat2cap.catalogue import resolve_model
from sat2cap.evaluation.maps.agreement import auroc
from sat2cap.miniworld.photos import MiniPhotos
from sat2cap.miniworld.prompts import PROMPTS, SEASONAL_PROMPTS
from sat2cap.miniworld.world import World
from sat2cap.model.checkpoint import Checkpoint

FEWEST = 5
"""Photos that must show a thing before it is judged."""


@pytest.fixture(scope="module")
def clip() -> Iterator[Checkpoint]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield resolve_model("miniclip")
    torch.set_num_threads(before)


def test_it_is_small() -> None:
    folder = Path(sat2cap.__file__).parent / "miniworld" / "clip"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in files}
    assert sum(path.stat().st_size for path in files) < 10_000_000


def test_it_tells_photos_of_an_unseen_planet_apart(clip: Checkpoint) -> None:
    """Zero-shot AUROC on 500 photos of planet 9100, mean over prompts: 0.98."""
    source = MiniPhotos(World(9100), 500)
    records = list(source.photos())
    shown = [scene.shown for scene in source.scenes(records)]
    photos = clip.embed_ground([Image.open(io.BytesIO(data)) for data in source.images(records)])
    prompts = PROMPTS + SEASONAL_PROMPTS
    cosines = clip.embed_text([prompt.text for prompt in prompts]) @ photos.T
    positive = np.array([[prompt.concept in names for names in shown] for prompt in prompts])
    judged = positive.sum(1) >= FEWEST
    assert judged.sum() > 45
    aurocs = [auroc(row, truth) for row, truth in zip(cosines[judged], positive[judged], strict=True)]
    assert np.mean(aurocs) > 0.95
    assert np.median(aurocs) > 0.98
