"""Published models, with the facts that their files do not contain."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat2cap.model.formats import hub
from sat2cap.model.preprocess import Preprocess

SAT2CAP_MEAN = (0.3670, 0.3827, 0.3338)
SAT2CAP_STD = (0.2209, 0.1975, 0.1988)
"""Channel statistics, in 0-1, of the authors' overhead images; from their code, and not those of CLIP."""

SAT2CAP_OVERHEAD = Preprocess(224, SAT2CAP_MEAN, SAT2CAP_STD, resample="bilinear", crop=800)
"""Preprocessing of the authors' overhead tower: the central 800 px of 0.6 m, which is 480 m, as 224 px.

The filter is torchvision's default, bilinear with antialiasing.
"""

SAT2CAP_GROUND = Preprocess(224, squash=True)
"""Preprocessing of the authors' ground photos: resized to 224 x 224 px whatever their aspect ratio."""


@dataclass(frozen=True)
class PublishedModel:
    """One published model: facts for people, and what its files lack."""

    name: str
    """Name on the Hugging Face hub, without revision."""
    about: str
    """What the model is, in a few words for people."""
    dim: int
    """Length of an embedding."""
    pixels: int
    """Width and height in pixels of the image that it sees."""
    licence: str
    """Licence as the publisher states it, or ``not stated``."""
    text: str | None = None
    """Name of the model with the matching text and ground towers; None if it has its own."""
    overhead: Preprocess | None = None
    """Preprocessing of overhead images; None if the model's files contain it."""
    ground: Preprocess | None = None
    """Preprocessing of ground photos; None if the model's files contain it."""


PUBLISHED_MODELS = (
    PublishedModel(
        "MVRL/Sat2Cap",
        "the paper's overhead tower (B/32), without its Dynamic Encoder",
        512,
        224,
        "not stated",
        text="openai/clip-vit-base-patch32",
        overhead=SAT2CAP_OVERHEAD,
        ground=SAT2CAP_GROUND,
    ),
    PublishedModel("openai/clip-vit-base-patch32", "CLIP B/32, the paper's baseline", 512, 224, "MIT"),
    PublishedModel("openai/clip-vit-base-patch16", "CLIP B/16", 512, 224, "MIT"),
    PublishedModel("openai/clip-vit-large-patch14", "CLIP L/14", 768, 224, "MIT"),
    PublishedModel("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "open_clip B/32", 512, 224, "MIT"),
    PublishedModel("laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "open_clip L/14", 768, 224, "MIT"),
    PublishedModel("google/siglip-base-patch16-224", "SigLIP B/16", 768, 224, "Apache-2.0"),
    PublishedModel("google/siglip-so400m-patch14-384", "SigLIP So400m/14", 1152, 384, "Apache-2.0"),
    PublishedModel("google/siglip2-base-patch16-224", "SigLIP 2 B/16", 768, 224, "Apache-2.0"),
    PublishedModel("google/siglip2-so400m-patch14-384", "SigLIP 2 So400m/14", 1152, 384, "Apache-2.0"),
)


def find_published_model(name: str) -> PublishedModel | None:
    """Return the entry of `PUBLISHED_MODELS` for a name on the hub; None if it is not listed.

    The revision, ``@…``, is no part of the name.
    """
    return next((model for model in PUBLISHED_MODELS if model.name == name), None)


def card_of_hub_model(spec: str, folder: Path) -> dict[str, Any]:
    """Return what the card of a hub model says beside its files: name, revision and licence.

    `folder` is where the model ``owner/name[@revision]`` lies in the cache. A licence that its own files do
    not state is that of the published model, or ``unknown``.
    """
    name, revision = hub.split_hub_name(spec)
    published = find_published_model(name)
    return {
        "name": name.partition("/")[2],
        "revision": hub.revision_of(folder) or revision,
        "licence": hub.read_licence(folder) or (published.licence if published else "unknown"),
    }
