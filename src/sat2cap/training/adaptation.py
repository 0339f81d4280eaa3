"""How much of the overhead tower learns: all of it, its last layers, or low-rank changes (LoRA)."""

import copy
import re
from typing import Any

from sat2cap.errors import RunFileError
from sat2cap.training.run import Model

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_BEFORE = re.compile(r"(?:^|\.)(?:embeddings|pre_layrnorm|pre_layernorm)\.")
"""What a vision transformer has before its layers, under transformers' names."""

_LORA_TARGETS = r".*layers\.\d+\..*(q_proj|k_proj|v_proj|out_proj|fc1|fc2)"


def adapt_tower(tower: Any, settings: Model) -> Any:
    """Return the tower with gradients enabled where it trains; with LoRA, wrapped by peft.

    Low-rank changes begin at nothing, but their first factor is drawn from torch's global generator.
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
    """Freeze all that comes before the last `count` layers."""
    layers = 1 + max(int(match[1]) for name, _ in tower.named_parameters() if (match := _LAYER.search(name)))
    if count > layers:
        raise RunFileError(f"model.train_layers {count} must be at most {layers}, the layers of the tower")
    for name, value in tower.named_parameters():
        layer = _LAYER.search(name)
        is_frozen = int(layer[1]) < layers - count if layer else bool(_BEFORE.search(name))
        value.requires_grad_(not is_frozen)


def plain(tower: Any) -> Any:
    """A copy of an adapted tower as transformers' own class, low-rank changes merged into its weights."""
    tower = copy.deepcopy(tower)
    if hasattr(tower, "merge_and_unload"):
        tower = tower.merge_and_unload()
    return tower.requires_grad_(True).eval()
