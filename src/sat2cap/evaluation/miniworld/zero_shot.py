"""How well a CLIP model knows what photos of the miniature world show, on a planet it never saw."""

from collections.abc import Iterator

import numpy as np

from sat2cap.evaluation.maps.agreement import auroc
from sat2cap.miniworld import PROMPTS, SEASONAL_PROMPTS, MiniPhotos, World
from sat2cap.model import Checkpoint
from sat2cap.pictures import decode_picture

PLANET = 9100
"""No model that ships was trained on it."""


def evaluate_zero_shot(
    checkpoint: Checkpoint, *, planet: int = PLANET, photos: int = 2000
) -> Iterator[tuple[str, float]]:
    """Yield ``("zero_shot.auroc.mean", …)``, the median, and how many prompts and photos they are of.

    Each photo's cosine with a prompt, against whether the photo shows the concept that the prompt means; over
    prompts whose concept some photos show and some do not.
    """
    source = MiniPhotos(World(planet), photos)
    records = list(source.photos())
    shown = [scene.shown for scene in source.scenes(records)]
    images = [decode_picture(data) for data in source.images(records)]
    embedded = checkpoint.embed_ground(images, precision="auto")
    prompts = PROMPTS + SEASONAL_PROMPTS
    cosines = checkpoint.embed_text([prompt.text for prompt in prompts]) @ embedded.T
    truth = np.array([[prompt.concept in names for names in shown] for prompt in prompts])
    judged = truth.any(axis=1) & ~truth.all(axis=1)
    aurocs = [auroc(row, positive) for row, positive in zip(cosines[judged], truth[judged], strict=True)]
    yield "zero_shot.auroc.mean", float(np.mean(aurocs))
    yield "zero_shot.auroc.median", float(np.median(aurocs))
    yield "zero_shot.prompts", float(len(aurocs))
    yield "zero_shot.photos", float(photos)
