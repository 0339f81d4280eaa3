"""Models known by name: what their files do not say of themselves."""

from dataclasses import dataclass

from sat2cap.model.preprocess import Preprocess

SAT2CAP_MEAN = (0.3670, 0.3827, 0.3338)
SAT2CAP_STD = (0.2209, 0.1975, 0.1988)
"""Of the authors' overhead images, from their code; not CLIP's."""

SAT2CAP_OVERHEAD = Preprocess(224, SAT2CAP_MEAN, SAT2CAP_STD, crop=800)
"""What the authors' overhead tower was trained to see: 800 px of 0.6 m, which is 480 m, as 224 px."""

SAT2CAP_GROUND = Preprocess(224, squash=True)
"""The authors resize ground photos to 224 x 224, whatever their shape."""


@dataclass(frozen=True)
class PublishedModel:
    """A published model."""

    name: str
    """On the Hugging Face hub."""
    about: str
    dim: int
    """Numbers in an embedding."""
    pixels: int
    """A side of the image it sees."""
    licence: str
    """As the publisher states it; ``not stated`` where none is."""
    text: str | None = None
    """The model whose text tower and ground tower belong to it, where it has none of its own."""
    overhead: Preprocess | None = None
    """Preprocessing of overhead images, where the files do not say it."""
    ground: Preprocess | None = None
    """The same of ground photos."""


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
    """The entry of a name on the hub, without its revision."""
    return next((entry for entry in PUBLISHED_MODELS if entry.name == name), None)
