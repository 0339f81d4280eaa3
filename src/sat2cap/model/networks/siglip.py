"""SigLIP's towers with the outputs of CLIP's.

SigLIP has no projection: the pooled output is the embedding.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers import SiglipTextConfig, SiglipTextModel, SiglipVisionConfig, SiglipVisionModel
from transformers.models.clip.modeling_clip import CLIPTextModelOutput, CLIPVisionModelOutput

from sat2cap.model.networks.architectures import SIGLIP_IMAGE as IMAGE
from sat2cap.model.networks.architectures import SIGLIP_TEXT as TEXT

__all__ = ["IMAGE", "TEXT", "SiglipImageTower", "SiglipTextTower", "build_image_tower", "build_text_tower"]


class SiglipImageTower(SiglipVisionModel):  # type: ignore[misc]  # transformers is not typed for us
    """`SiglipVisionModel` whose pooled output is called `image_embeds`."""

    def forward(self, pixel_values: Tensor) -> Any:
        """Map pixels, float32 `[B, 3, S, S]`, to `image_embeds` `[B, D]`, not normalised."""
        return CLIPVisionModelOutput(image_embeds=super().forward(pixel_values).pooler_output)


class SiglipTextTower(SiglipTextModel):  # type: ignore[misc]
    """`SiglipTextModel` whose pooled output is called `text_embeds`."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        """Map token numbers `[B, T]`, padded to the full width, to `text_embeds` `[B, D]`, not normalised.

        The mask is ignored: SigLIP was trained with attention to the padding, and pools the last token.
        """
        return CLIPTextModelOutput(text_embeds=super().forward(input_ids).pooler_output)


def build_image_tower(config: Mapping[str, Any]) -> SiglipImageTower:
    """Return an image tower of the given config, with random weights."""
    full = SiglipVisionConfig(**config)
    full.projection_dim = full.hidden_size
    return SiglipImageTower(full)


def build_text_tower(config: Mapping[str, Any]) -> SiglipTextTower:
    """Return a text tower of the given config, with random weights."""
    return SiglipTextTower(SiglipTextConfig(**config))
