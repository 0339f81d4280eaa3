"""SigLIP's towers, answering as CLIP's do: what they pool is the embedding, with no projection."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers import SiglipTextConfig, SiglipTextModel, SiglipVisionConfig, SiglipVisionModel
from transformers.models.clip.modeling_clip import CLIPTextModelOutput, CLIPVisionModelOutput

IMAGE = "siglip_vision_model"
TEXT = "siglip_text_model"
"""The `model_type` of their configs; SigLIP 2 of a fixed resolution has the same."""
MEAN = STD = (0.5, 0.5, 0.5)
"""Of every SigLIP's images, which are squashed to a square."""


class SiglipImageTower(SiglipVisionModel):  # type: ignore[misc]  # transformers is not typed for us
    """`SiglipVisionModel` whose pooled output is called `image_embeds`."""

    def forward(self, pixel_values: Tensor) -> Any:
        """float32 `[B, 3, S, S]` to `image_embeds` `[B, D]`, not normalised."""
        return CLIPVisionModelOutput(image_embeds=super().forward(pixel_values).pooler_output)


class SiglipTextTower(SiglipTextModel):  # type: ignore[misc]
    """`SiglipTextModel` whose pooled output is called `text_embeds`."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        """Token numbers `[B, T]`, padded to the full width, to `text_embeds` `[B, D]`.

        The mask is not used: SigLIP was trained with padding in sight, and pools the last token.
        """
        return CLIPTextModelOutput(text_embeds=super().forward(input_ids).pooler_output)


def image_tower(config: Mapping[str, Any]) -> SiglipImageTower:
    """One of a config as JSON, with random weights."""
    full = SiglipVisionConfig(**config)
    full.projection_dim = full.hidden_size
    return SiglipImageTower(full)


def text_tower(config: Mapping[str, Any]) -> SiglipTextTower:
    """One of a config as JSON, with random weights."""
    return SiglipTextTower(SiglipTextConfig(**config))
