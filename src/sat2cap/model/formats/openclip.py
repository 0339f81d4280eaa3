"""Reading open_clip's own files, ``open_clip_config.json`` and ``open_clip_model.safetensors``, as a CLIP.

The networks are those of transformers. Names differ, projections are transposed, and the matrices of queries,
keys and values are stacked in one. Architectures that transformers has no class for are refused.
"""

from pathlib import Path

from torch import Tensor

from sat2cap.errors import ModelError
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.formats.openclip_config import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    image_config,
    model_card,
    no_weights,
    read_preprocess,
    refuse_other_architectures,
    rename_weights,
    text_config,
)
from sat2cap.model.formats.transformers_config import read_scale
from sat2cap.model.json_files import read_json
from sat2cap.model.networks import towers
from sat2cap.model.tokenization import has_tokenizer


def read_openclip(folder: Path, spec: str) -> Checkpoint:
    """Return a CLIP that open_clip saved, with its text tower if the folder holds a tokenizer.

    Raises `ModelError` if the architecture is not CLIP's own, or the model is incomplete.
    """
    values = read_json(folder / CONFIG_FILE)
    model = values.get("model_cfg", {})
    refuse_other_architectures(model, folder)
    weights = rename_weights(_read_weights(folder))
    act = "quick_gelu" if model.get("quick_gelu") else "gelu"
    dim = {"projection_dim": int(model["embed_dim"]), "hidden_act": act}
    vision = towers.build_vision_tower({**image_config(model["vision_cfg"]), **dim}, weights, str(folder))
    scale = read_scale(weights["logit_scale"], folder) if "logit_scale" in weights else 1 / 0.07
    text = None
    if has_tokenizer(folder):
        config = {**text_config(model["text_cfg"]), **dim}
        tokenizer = towers.load_tokenizer(folder)
        text = towers.build_text_tower(config, weights, tokenizer, scale, str(folder))
    preprocess = read_preprocess(values.get("preprocess_cfg", {}), int(vision.config.image_size), folder)
    return Checkpoint(
        overhead=vision,
        ground=vision,
        text=text,
        dynamic=None,
        logit_scale=scale,
        encoding="reference",
        overhead_preprocess=preprocess,
        ground_preprocess=preprocess,
        card=model_card(spec),
    )


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """Return the weights by open_clip's names."""
    if not (folder / WEIGHTS_FILE).is_file():
        raise ModelError(no_weights(folder))
    return towers.read_tensors(folder / WEIGHTS_FILE)
