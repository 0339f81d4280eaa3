"""The architectures of towers that can be read: defaults of their configs, names of their weights.

Torch is not needed to know which weights a tower has, so a text tower can be computed, and a model's hash be
told, without it. Defaults and names are those of transformers' `CLIPTextConfig`, `CLIPVisionConfig`,
`SiglipTextConfig` and `SiglipVisionConfig` (SigLIP 2 of a fixed resolution has SigLIP's classes).
"""

from collections.abc import Mapping
from typing import Any

from sat2cap.model.damage import check_sizes

CLIP_IMAGE, CLIP_TEXT = "clip_vision_model", "clip_text_model"
SIGLIP_IMAGE, SIGLIP_TEXT = "siglip_vision_model", "siglip_text_model"
"""`model_type` of the towers' configs; SIGLIP also for SigLIP 2 of a fixed resolution."""

GREATEST_TOKEN = 2
"""End-of-text token of a CLIP config that stands for the greatest number in the text."""

TRANSFORMERS_CLASSES = {
    CLIP_IMAGE: "CLIPVisionModelWithProjection",
    CLIP_TEXT: "CLIPTextModelWithProjection",
    SIGLIP_IMAGE: "SiglipVisionModel",
    SIGLIP_TEXT: "SiglipTextModel",
}
"""Name of the class of transformers that reads a tower's files, by the `model_type` of its config."""

SIGLIP_MEAN = SIGLIP_STD = (0.5, 0.5, 0.5)
"""Mean and standard deviation of each channel, in 0-1, by which every SigLIP normalises images."""

Shapes = dict[str, tuple[int, ...]]
"""Shape of each weight of a tower, by its name in the tower's state dict."""

_CLIP = {"layer_norm_eps": 1e-5, "hidden_act": "quick_gelu", "num_hidden_layers": 12, "projection_dim": 512}
_SIGLIP = {
    "layer_norm_eps": 1e-6,
    "hidden_act": "gelu_pytorch_tanh",
    "num_hidden_layers": 12,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
}
_IMAGE = {"num_channels": 3, "image_size": 224}
_DEFAULTS: dict[str, dict[str, Any]] = {
    CLIP_TEXT: {
        **_CLIP,
        "vocab_size": 49408,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_attention_heads": 8,
        "max_position_embeddings": 77,
        "eos_token_id": 49407,
    },
    CLIP_IMAGE: {
        **_CLIP,
        **_IMAGE,
        "patch_size": 32,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_attention_heads": 12,
    },
    SIGLIP_TEXT: {**_SIGLIP, "vocab_size": 32000, "max_position_embeddings": 64, "projection_size": None},
    SIGLIP_IMAGE: {**_SIGLIP, **_IMAGE, "patch_size": 16, "vision_use_head": True},
}
_LAYER_NORMS = ("layer_norm1", "layer_norm2")


def complete_config(config: Mapping[str, Any], default_type: str) -> dict[str, Any]:
    """Return a tower's config with transformers' defaults for what it leaves out.

    `default_type` is the `model_type` of a config that has none, or that of a whole model. Raises
    `ValueError` if a size in it is beyond that of any model.
    """
    model_type = config.get("model_type")
    model_type = model_type if model_type in _DEFAULTS else default_type
    completed = {**_DEFAULTS[model_type], **config, "model_type": model_type}
    check_sizes(completed)
    return completed


def output_size(config: Mapping[str, Any]) -> int:
    """Return the length of an embedding of a tower with a completed config."""
    if config["model_type"] in (CLIP_TEXT, CLIP_IMAGE):
        return int(config["projection_dim"])
    return int(config.get("projection_size") or config["hidden_size"])


def weight_shapes(config: Mapping[str, Any]) -> Shapes:
    """Return the shape of every weight of a tower with a completed config, by its name."""
    build = {
        CLIP_TEXT: _clip_text_shapes,
        CLIP_IMAGE: _clip_image_shapes,
        SIGLIP_TEXT: _siglip_text_shapes,
        SIGLIP_IMAGE: _siglip_image_shapes,
    }[config["model_type"]]
    return build(config)


def weight_prefix(config: Mapping[str, Any]) -> str:
    """Return what the names of a SigLIP tower's weights may begin with in a file; empty for CLIP."""
    return {SIGLIP_TEXT: "text_model.", SIGLIP_IMAGE: "vision_model."}.get(config["model_type"], "")


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _encoder_shapes(config: Mapping[str, Any]) -> Shapes:
    """Return the shapes of all layers of a transformer, which CLIP and SigLIP name alike."""
    width, hidden = int(config["hidden_size"]), int(config["intermediate_size"])
    shapes: Shapes = {}
    for layer in range(int(config["num_hidden_layers"])):
        start = f"encoder.layers.{layer}."
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            shapes |= _linear(f"{start}self_attn.{name}", width, width)
        for name in _LAYER_NORMS:
            shapes |= _norm(f"{start}{name}", width)
        shapes |= _linear(f"{start}mlp.fc1", width, hidden) | _linear(f"{start}mlp.fc2", hidden, width)
    return shapes


def _text_embedding_shapes(config: Mapping[str, Any]) -> Shapes:
    width = int(config["hidden_size"])
    return {
        "embeddings.token_embedding.weight": (int(config["vocab_size"]), width),
        "embeddings.position_embedding.weight": (int(config["max_position_embeddings"]), width),
    }


def _clip_text_shapes(config: Mapping[str, Any]) -> Shapes:
    width = int(config["hidden_size"])
    body = _text_embedding_shapes(config) | _encoder_shapes(config) | _norm("final_layer_norm", width)
    named = {f"text_model.{name}": shape for name, shape in body.items()}
    return named | {"text_projection.weight": (int(config["projection_dim"]), width)}


def _clip_image_shapes(config: Mapping[str, Any]) -> Shapes:
    """Return the shapes of the weights of CLIP's image tower, its projection included."""
    width, patch = int(config["hidden_size"]), int(config["patch_size"])
    body: Shapes = {
        "embeddings.class_embedding": (width,),
        "embeddings.patch_embedding.weight": (width, int(config["num_channels"]), patch, patch),
        "embeddings.position_embedding.weight": ((int(config["image_size"]) // patch) ** 2 + 1, width),
        **_norm("pre_layrnorm", width),
        **_encoder_shapes(config),
        **_norm("post_layernorm", width),
    }
    named = {f"vision_model.{name}": shape for name, shape in body.items()}
    return named | {"visual_projection.weight": (int(config["projection_dim"]), width)}


def _siglip_text_shapes(config: Mapping[str, Any]) -> Shapes:
    width = int(config["hidden_size"])
    body = _text_embedding_shapes(config) | _encoder_shapes(config) | _norm("final_layer_norm", width)
    return body | _linear("head", width, output_size(config))


def _siglip_image_shapes(config: Mapping[str, Any]) -> Shapes:
    """Return the shapes of the weights of SigLIP's image tower, which has no projection."""
    width, hidden = int(config["hidden_size"]), int(config["intermediate_size"])
    patch = int(config["patch_size"])
    shapes: Shapes = {
        "embeddings.patch_embedding.weight": (width, int(config["num_channels"]), patch, patch),
        "embeddings.patch_embedding.bias": (width,),
        "embeddings.position_embedding.weight": ((int(config["image_size"]) // patch) ** 2, width),
        **_encoder_shapes(config),
        **_norm("post_layernorm", width),
    }
    if config["vision_use_head"]:
        shapes |= {
            "head.probe": (1, 1, width),
            "head.attention.in_proj_weight": (3 * width, width),
            "head.attention.in_proj_bias": (3 * width,),
            **_linear("head.attention.out_proj", width, width),
            **_norm("head.layernorm", width),
            **_linear("head.mlp.fc1", width, hidden),
            **_linear("head.mlp.fc2", hidden, width),
        }
    return shapes
