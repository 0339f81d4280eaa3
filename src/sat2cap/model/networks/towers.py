"""Towers of CLIP and SigLIP in transformers' own classes, in folders that transformers reads too.

A tower's folder is ``config.json`` and ``model.safetensors`` (a text tower adds its tokenizer's files), so
``CLIPVisionModelWithProjection.from_pretrained(folder)`` opens it without this package.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoTokenizer,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from sat2cap.errors import ModelError
from sat2cap.files import canonical_json
from sat2cap.model.damage import checked
from sat2cap.model.json_files import read_json
from sat2cap.model.networks import siglip
from sat2cap.model.token_rows import find_cut_off_text, pad_rows
from sat2cap.model.tokenization import (
    SpecialTokens,
    check_special_tokens,
    check_tokenizer,
)
from sat2cap.model.weights import select_weights

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True, eq=False)
class TextTower:
    """A text tower with the tokenizer that it was trained with."""

    model: Any
    """`CLIPTextModelWithProjection`, or a `SiglipTextTower`, which has the same outputs."""
    tokenizer: Any
    """A tokenizer of transformers, as `AutoTokenizer` returns it."""
    scale: float | None = None
    """Logit scale of its CLIP (1 / temperature), for cosines of photos and texts; None if not known."""

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return token numbers and attention mask of B texts, both int64 `[B, T]`.

        A text longer than the tower reads is cut, and its last token replaced by the end mark. T is the
        longest text's length for CLIP; SigLIP always takes its full width.
        """
        limit, end = int(self.model.config.max_position_embeddings), self.tokenizer.eos_token_id
        rows = self.tokenizer(list(texts), verbose=False)["input_ids"]
        # Padded here, since asking the tokenizer to do it changes what it would save.
        pad = end if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id
        width = limit if self.model.config.model_type == siglip.TEXT else None
        # CLIP's positions count from the first token, whatever the settings of its tokenizer say
        left = self.model.config.model_type == siglip.TEXT and self.tokenizer.padding_side == "left"
        size = int(self.model.config.vocab_size)
        ids, mask = pad_rows(rows, limit, width, vocabulary=size, end=end, pad=pad, left=left)
        return torch.from_numpy(ids), torch.from_numpy(mask)

    def find_cut_off_text(self, text: str) -> str:
        """Return the end of a text that `tokenize` cuts off, in whole words; empty if all of it fits.

        A word that is cut in the middle counts as cut off, since the tower reads only a part of it.
        """
        limit = int(self.model.config.max_position_embeddings)
        row = self.tokenizer(text, verbose=False)["input_ids"]
        if len(row) <= limit:
            return ""
        if not self.tokenizer.is_fast:  # slow tokenizers do not say where a token stands in the text
            return str(self.tokenizer.decode(row[limit - 1 :], skip_special_tokens=True)).strip()
        offsets = self.tokenizer(text, verbose=False, return_offsets_mapping=True)["offset_mapping"]
        return find_cut_off_text(text, [start for start, _ in offsets], limit)


def build_vision_tower(config: Mapping[str, Any], weights: Mapping[str, Tensor], where: str) -> Any:
    """Return an image tower with the given config and weights, in float32.

    It is a `CLIPVisionModelWithProjection`, or a `SiglipImageTower`, which has the same outputs. Raises
    `ModelError`, which names the file or folder as `where`, if weights and config do not belong together.
    """
    if config.get("model_type") == siglip.IMAGE:
        return build_with_weights(
            lambda: siglip.build_image_tower(checked(config)), weights, where, "vision_model."
        )
    return build_with_weights(
        lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**checked(config))), weights, where
    )


def build_text_model(config: Mapping[str, Any], weights: Mapping[str, Tensor], where: str) -> Any:
    """Return a text tower with the given config and weights, in float32.

    It is a `CLIPTextModelWithProjection`, or a `SiglipTextTower`, which has the same outputs. Raises
    `ModelError` as `build_vision_tower` does.
    """
    if config.get("model_type") == siglip.TEXT:
        return build_with_weights(
            lambda: siglip.build_text_tower(checked(config)), weights, where, "text_model."
        )
    return build_with_weights(
        lambda: CLIPTextModelWithProjection(CLIPTextConfig(**checked(config))), weights, where
    )


def build_text_tower(
    config: Mapping[str, Any], weights: Mapping[str, Tensor], tokenizer: Any, scale: float | None, where: str
) -> TextTower:
    """Return a text tower with its tokenizer, after checking that they belong together.

    `scale` is the logit scale of its CLIP, or None. Raises `ModelError`, which names the file or folder as
    `where`, as `build_vision_tower` does, and if the end-of-text token of the config is not the tokenizer's.
    """
    model = build_text_model(config, weights, where)
    tokens = SpecialTokens(tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
    check_special_tokens(model.config.to_dict(), tokens, where)
    return TextTower(model, tokenizer, scale)


def build_with_weights(
    build: Callable[[], nn.Module], weights: Mapping[str, Tensor], where: str, prefix: str = ""
) -> nn.Module:
    """Return the network that `build` makes, filled with float32 copies of `weights`.

    `weights` may hold more than the network needs, and its names may begin with `prefix`, as in a file of
    both towers. Raises `ModelError`, which names the file as `where`, if `build` fails, or a weight is
    missing or has another shape.
    """
    try:
        network = _build_without_weights(build)
    except Exception as error:  # each field has a check of its own, in several libraries
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{where}: its config describes no network ({reason}): download it again") from error
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    own = select_weights(weights, shapes, where, _transformers_class(network), prefix)
    copies = {n: weight.detach().to(torch.float32, copy=True).contiguous() for n, weight in own.items()}
    network.load_state_dict(copies, assign=True)
    return network.requires_grad_(True).eval()


def _build_without_weights(build: Callable[[], nn.Module]) -> nn.Module:
    """Return the network with its weights not allocated, on the meta device.

    Random initial weights take seconds at full size and would be overwritten. Buffers outside the state dict
    are made here; if there is one that this function does not know, `build` runs normally instead.
    """
    with torch.device("meta"):
        network = build()
    for name, buffer in list(network.named_buffers()):
        if name in network.state_dict():
            continue
        if not name.endswith("position_ids"):
            return build()  # a buffer that is not known here
        owner, _, leaf = name.rpartition(".")
        positions = torch.arange(buffer.shape[-1]).expand(buffer.shape).clone()
        network.get_submodule(owner).register_buffer(leaf, positions, persistent=False)
    return network


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file. Raises `ModelError` if it is missing or damaged."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read ({error}): save or download the model again") from error
    return tensors


def write_tensors(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors to a safetensors file, in the types that they have."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    save_file(tensors, path, metadata={"format": "pt"})


def save_tower(tower: Any, folder: Path) -> None:
    """Write a tower to a new folder as ``config.json`` and ``model.safetensors``."""
    folder.mkdir(parents=True)
    values = {**tower.config.to_dict(), "architectures": [_transformers_class(tower)]}
    (folder / CONFIG_FILE).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    write_tensors(folder / WEIGHTS_FILE, tower.state_dict())


def _transformers_class(tower: Any) -> str:
    """Return the name of the transformers class that reads such a tower's files."""
    names = (base.__name__ for base in type(tower).__mro__ if base.__module__.startswith("transformers."))
    return next(names, type(tower).__name__)


def save_text_tower(text: TextTower, folder: Path) -> None:
    """Write a text tower and its tokenizer to a new folder."""
    save_tower(text.model, folder)
    text.tokenizer.save_pretrained(folder)


def load_vision_tower(folder: Path) -> Any:
    """Return the image tower that `save_tower` wrote. Raises `ModelError` if a file is damaged."""
    return build_vision_tower(
        read_json(folder / CONFIG_FILE), read_tensors(folder / WEIGHTS_FILE), str(folder)
    )


def load_text_tower(folder: Path, scale: float | None = None) -> TextTower:
    """Return the text tower that `save_text_tower` wrote; `scale` is from the checkpoint's manifest."""
    weights = read_tensors(folder / WEIGHTS_FILE)
    config = read_json(folder / CONFIG_FILE)
    return build_text_tower(config, weights, load_tokenizer(folder), scale, str(folder))


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer in a folder, without asking the network.

    Raises `ModelError` if there is none, it cannot be read, or a library that it needs is not installed.
    """
    check_tokenizer(folder)
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers and tokenizers raise whatever their parsers raise
        reason = " ".join(str(error).split())
        raise ModelError(
            f"tokenizer in {folder} cannot be read ({reason}): save or download it again"
        ) from error


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of all weights: names, types, shapes and bytes, ordered by name; 64 hex digits.

    For tensors that numpy has a type for it is that of `weights.digest_arrays`.
    """
    sha = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous()
        header = canonical_json([name, str(array.dtype), list(array.shape)])
        sha.update(header.encode())
        sha.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
