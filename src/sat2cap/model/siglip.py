"""SigLIP's towers, answering as CLIP's do: what they pool is the embedding, with no projection."""

from typing import Any

from torch import Tensor
from transformers import SiglipTextModel, SiglipVisionModel
from transformers.models.clip.modeling_clip import CLIPTextModelOutput, CLIPVisionModelOutput

IMAGE = "siglip_vision_model"
TEXT = "siglip_text_model"
"""The `model_type` of their configs; SigLIP 2 of a fixed resolution has the same."""


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
