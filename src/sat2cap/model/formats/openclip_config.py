"""What open_clip's own files say of a model, in transformers' names, without torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from sat2cap.errors import ModelError
from sat2cap.model.preprocess import CLIP_MEAN, CLIP_STD, Preprocess

T = TypeVar("T", bound=Any)
"""A tensor of torch, or an array of numpy."""

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"

_PLAIN_IMAGE = {"image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"}
_NEEDED_IMAGE, _NEEDED_TEXT = {"layers", "width", "patch_size"}, {"layers", "width", "heads"}
_PLAIN_TEXT = {"context_length", "vocab_size", "width", "heads", "layers", "hf_tokenizer_name", "mlp_ratio"}
_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_IMAGE = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
}
_TEXT = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}


def refuse_other_architectures(model: Mapping[str, Any], folder: Path) -> None:
    """Raise `ModelError` unless the configuration uses only settings that transformers' CLIP has."""
    image, text = model.get("vision_cfg", {}), model.get("text_cfg", {})
    unsupported = sorted({*image} - _PLAIN_IMAGE | {*text} - _PLAIN_TEXT)
    if "siglip" in str(image.get("timm_model_name", "")):
        raise ModelError(
            f"{folder} is a SigLIP of open_clip: give the same model as transformers keeps it, such as "
            "google/siglip-base-patch16-224"
        )
    complete = "embed_dim" in model and image.keys() >= _NEEDED_IMAGE and text.keys() >= _NEEDED_TEXT
    if unsupported or not complete or not isinstance(image.get("layers"), int):
        reason = ", ".join(unsupported) or "no plain image transformer"
        raise ModelError(
            f"{folder} is an open_clip model of another architecture than CLIP's ({reason}): give one that "
            "transformers reads, with model_type in its config.json"
        )


def rename_weights(weights: Mapping[str, T]) -> dict[str, T]:
    """Return all weights by their names in transformers' `CLIPModel`; no number is copied.

    Some models have ``text.`` before the names of the text tower.
    """
    weights = {name.removeprefix("text."): tensor for name, tensor in weights.items()}
    names = {**_IMAGE, **_TEXT, "logit_scale": "logit_scale"}
    renamed = {names[name]: tensor for name, tensor in weights.items() if name in names}
    for name, target in (
        ("visual.proj", "visual_projection.weight"),
        ("text_projection", "text_projection.weight"),
    ):
        if name in weights:
            renamed[target] = weights[name].T
    for name, tensor in weights.items():
        head, block, rest = name.partition("transformer.resblocks.")
        if block:
            tower = "vision_model" if head == "visual." else "text_model"
            number, _, leaf = rest.partition(".")
            renamed |= _convert_layer_weight(f"{tower}.encoder.layers.{number}.", leaf, tensor)
    return renamed


def _convert_layer_weight(prefix: str, leaf: str, tensor: T) -> dict[str, T]:
    """Return one weight of a layer by its new name; a stacked query-key-value weight becomes three."""
    part, _, kind = leaf.rpartition(".")
    if leaf.startswith("attn.in_proj_"):
        kind, third = leaf.removeprefix("attn.in_proj_"), len(tensor) // 3
        names = [f"{prefix}self_attn.{letter}_proj.{kind}" for letter in "qkv"]
        return {name: tensor[third * i : third * (i + 1)] for i, name in enumerate(names)}
    return {f"{prefix}{_LAYER[part]}.{kind}": tensor} if part in _LAYER else {}


def image_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the image tower's config for transformers, from open_clip's ``vision_cfg``."""
    width = int(values["width"])
    return {
        "hidden_size": width,
        "intermediate_size": int(width * values.get("mlp_ratio", 4)),
        "num_hidden_layers": int(values["layers"]),
        "num_attention_heads": width // int(values.get("head_width", 64)),
        "image_size": int(values.get("image_size", 224)),
        "patch_size": int(values["patch_size"]),
    }


def text_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the text tower's config for transformers, from open_clip's ``text_cfg``."""
    width, vocabulary_size = int(values["width"]), int(values.get("vocab_size", 49408))
    return {
        "hidden_size": width,
        "intermediate_size": int(width * values.get("mlp_ratio", 4)),
        "num_hidden_layers": int(values["layers"]),
        "num_attention_heads": int(values["heads"]),
        "max_position_embeddings": int(values.get("context_length", 77)),
        "vocab_size": vocabulary_size,
        "bos_token_id": vocabulary_size - 2,
        "eos_token_id": vocabulary_size - 1,
        "pad_token_id": vocabulary_size - 1,
    }


def read_preprocess(values: Mapping[str, Any], size: int, folder: Path) -> Preprocess:
    """Return the preprocessing of ``preprocess_cfg``. Raises `ModelError` for an unsupported resize mode."""
    mode = values.get("resize_mode", "shortest")
    if mode not in ("shortest", "squash"):
        raise ModelError(
            f"{folder} resizes by {mode!r}, which this package does not support: give another model"
        )
    return Preprocess(
        size,
        mean=tuple(values.get("mean", CLIP_MEAN)),
        std=tuple(values.get("std", CLIP_STD)),
        resample=values.get("interpolation", "bicubic"),
        squash=mode == "squash",
    )


def no_weights(folder: Path) -> str:
    """Return the message for a folder without weights in the form that is read."""
    return f"{folder} has no {WEIGHTS_FILE}: download it, or save the model as safetensors"


def model_card(spec: str) -> dict[str, Any]:
    """Return the card of a model that was named `spec`."""
    return {"name": Path(spec).name, "source": spec, "licence": "unknown", "kind": "open_clip"}
