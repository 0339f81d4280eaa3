"""Adaptation of the overhead tower: training all of it, its last layers, or low-rank updates (LoRA)."""

import copy
import re
from typing import Any

from sat2cap.errors import RunFileError
from sat2cap.training.fast_layers import use_plain_layers
from sat2cap.training.run import Model

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_BEFORE_LAYERS = re.compile(r"(?:^|\.)(?:embeddings|pre_layrnorm|pre_layernorm)\.")
"""Modules of a vision transformer before its layers, as transformers names them."""

_LORA_TARGETS = r".*layers\.\d+\..*(q_proj|k_proj|v_proj|out_proj|fc1|fc2)"


def adapt_tower(tower: Any, settings: Model) -> Any:
    """Return the tower with gradients enabled for the weights that are trained; with LoRA, wrapped by peft.

    Low-rank updates are zero at first, but one of their two factors is drawn from torch's global generator.
    """
    if settings.lora_rank:
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=settings.lora_rank, lora_alpha=settings.lora_alpha, target_modules=_LORA_TARGETS, bias="none"
        )
        return get_peft_model(tower, config)
    if settings.train_layers is not None:
        _freeze_before(tower, settings.train_layers)
    return tower


def _freeze_before(tower: Any, count: int) -> None:
    """Freeze everything before the last `count` layers. Raises `RunFileError` if there are fewer layers."""
    layers = 1 + max(int(match[1]) for name, _ in tower.named_parameters() if (match := _LAYER.search(name)))
    if count > layers:
        raise RunFileError(f"model.train_layers {count} must be at most {layers}, the layers of the tower")
    for name, value in tower.named_parameters():
        layer = _LAYER.search(name)
        is_frozen = int(layer[1]) < layers - count if layer else bool(_BEFORE_LAYERS.search(name))
        value.requires_grad_(not is_frozen)


def merged_copy(tower: Any) -> Any:
    """Return a copy of an adapted tower with low-rank updates merged into its weights, in evaluation mode.

    The copy and its layers are of transformers' own classes, as the tower was before `adapt_tower`.
    """
    tower = copy.deepcopy(tower)
    if hasattr(tower, "merge_and_unload"):
        tower = tower.merge_and_unload()
    use_plain_layers(tower)
    return tower.requires_grad_(True).eval()
