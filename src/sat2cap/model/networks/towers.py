"""Towers of CLIP and SigLIP in transformers' own classes, in folders that transformers reads too.

A tower's folder is ``config.json`` and ``model.safetensors`` (a text tower adds its tokenizer's files), so
``CLIPVisionModelWithProjection.from_pretrained(folder)`` opens it without this package.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
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
from sat2cap.model.networks import siglip

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "spiece.model")
"""Any of these makes a folder one that holds a tokenizer."""


@dataclass(frozen=True, eq=False)
class TextTower:
    """A text tower and the tokenizer it was trained with."""

    model: Any
    """`CLIPTextModelWithProjection`, or a `SiglipTextTower` that answers as one."""
    tokenizer: Any
    """What transformers' `AutoTokenizer` gives."""
    scale: float | None = None
    """What its CLIP multiplies cosines of photos and texts with (1 / temperature); None if not known."""

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token numbers and attention mask, int64 `[B, T]`; long texts are cut, keeping the end mark."""
        limit = int(self.model.config.max_position_embeddings)
        end = self.tokenizer.eos_token_id
        rows = [list(row) for row in self.tokenizer(list(texts), verbose=False)["input_ids"]]
        rows = [row if len(row) <= limit else [*row[: limit - 1], end] for row in rows]
        # Padded here, since asking the tokenizer to do it changes what it would save.
        width = limit if self.model.config.model_type == siglip.TEXT else max(len(row) for row in rows)
        pad = end if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id
        ids, mask = np.full((len(rows), width), pad), np.zeros((len(rows), width), np.int64)
        for number, row in enumerate(rows):
            left = width - len(row) if self.tokenizer.padding_side == "left" else 0
            ids[number, left : left + len(row)] = row
            mask[number, left : left + len(row)] = 1
        return torch.from_numpy(ids), torch.from_numpy(mask)

    def unread(self, text: str) -> str:
        """The end of a text that `tokens` cuts off, from the start of its word; empty if all of it fits."""
        limit = int(self.model.config.max_position_embeddings)
        row = self.tokenizer(text, verbose=False)["input_ids"]
        if len(row) <= limit:
            return ""
        if not self.tokenizer.is_fast:  # those do not say where a token stands in the text
            return str(self.tokenizer.decode(row[limit - 1 :], skip_special_tokens=True)).strip()
        where = self.tokenizer(text, verbose=False, return_offsets_mapping=True)["offset_mapping"]
        kept, lost = text[: where[limit - 1][0]], text[where[limit - 1][0] :]
        broken = kept.split()[-1] if kept and not kept[-1].isspace() and not lost[:1].isspace() else ""
        return f"{broken}{lost}".strip()


def vision_tower(config: Mapping[str, Any], weights: Mapping[str, Tensor], where: str) -> Any:
    """An image tower with these weights in float32, of the class its config names; `where` is for errors.

    `CLIPVisionModelWithProjection`, or a `SiglipImageTower` that answers as one.
    """
    if config.get("model_type") == siglip.IMAGE:
        return filled(lambda: siglip.image_tower(config), weights, where, "vision_model.")
    return filled(lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**config)), weights, where)


def text_model(config: Mapping[str, Any], weights: Mapping[str, Tensor], where: str) -> Any:
    """A text tower with these weights in float32, of the class its config names; `where` is for errors."""
    if config.get("model_type") == siglip.TEXT:
        return filled(lambda: siglip.text_tower(config), weights, where, "text_model.")
    return filled(lambda: CLIPTextModelWithProjection(CLIPTextConfig(**config)), weights, where)


def filled(
    build: Callable[[], nn.Module], weights: Mapping[str, Tensor], where: str, prefix: str = ""
) -> nn.Module:
    """A network holding copies of `weights`, of which every one it needs must be there.

    Names may have `prefix` before them, as they have in a file of both towers.
    """
    try:
        network = _unfilled(build)
    except Exception as error:  # each field has a check of its own, in several libraries
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{where}: its config describes no network ({reason}): download it again") from error
    wanted = network.state_dict()
    if prefix and any(name.startswith(prefix) for name in weights):
        weights = {n.removeprefix(prefix): value for n, value in weights.items() if n.startswith(prefix)}
    missing = [name for name in wanted if name not in weights]
    if missing:
        raise ModelError(
            f"{where} lacks {len(missing)} weights of {_library_class(network)}, {missing[0]} first: "
            "give a model saved whole, projections included"
        )
    odd = [name for name in wanted if weights[name].shape != wanted[name].shape]
    if odd:
        raise ModelError(
            f"{where} has {odd[0]} of shape {list(weights[odd[0]].shape)} but its config says "
            f"{list(wanted[odd[0]].shape)}: put back the config.json it was saved with"
        )
    filling = {name: weights[name].detach().to(torch.float32, copy=True) for name in wanted}
    network.load_state_dict(filling, assign=True)
    return network.requires_grad_(True).eval()


def _unfilled(build: Callable[[], nn.Module]) -> nn.Module:
    """The network without its random start, which takes seconds at full size, where that is possible."""
    with torch.device("meta"):
        network = build()
    for name, buffer in list(network.named_buffers()):
        if name in network.state_dict():
            continue
        if not name.endswith("position_ids"):
            return build()  # a buffer this code does not know how to make
        owner, _, leaf = name.rpartition(".")
        positions = torch.arange(buffer.shape[-1]).expand(buffer.shape).clone()
        network.get_submodule(owner).register_buffer(leaf, positions, persistent=False)
    return network


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; ModelError when it is not one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} cannot be read ({error}): save or download the model again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object: save or download the model again")
    return value


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; ModelError when it is missing or cut short."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read ({error}): save or download the model again") from error
    return tensors


def write_tensors(path: Path, weights: Mapping[str, Tensor]) -> None:
    """A safetensors file of float32 copies."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    save_file(tensors, path, metadata={"format": "pt"})


def save_tower(tower: Any, folder: Path) -> None:
    """``config.json`` and ``model.safetensors``."""
    folder.mkdir(parents=True)
    values = {**tower.config.to_dict(), "architectures": [_library_class(tower)]}
    (folder / CONFIG_FILE).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    write_tensors(folder / WEIGHTS_FILE, tower.state_dict())


def _library_class(tower: Any) -> str:
    """The name of the transformers class that reads such a tower's files."""
    names = (kind.__name__ for kind in type(tower).__mro__ if kind.__module__.startswith("transformers."))
    return next(names, type(tower).__name__)


def save_text_tower(text: TextTower, folder: Path) -> None:
    """A tower's files and its tokenizer's."""
    save_tower(text.model, folder)
    text.tokenizer.save_pretrained(folder)


def load_vision_tower(folder: Path) -> Any:
    """What `save_tower` wrote."""
    return vision_tower(read_json(folder / CONFIG_FILE), read_tensors(folder / WEIGHTS_FILE), str(folder))


def load_text_tower(folder: Path, scale: float | None = None) -> TextTower:
    """What `save_text_tower` wrote, and the scale that was written elsewhere."""
    weights = read_tensors(folder / WEIGHTS_FILE)
    return TextTower(
        text_model(read_json(folder / CONFIG_FILE), weights, str(folder)), load_tokenizer(folder), scale
    )


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a tokenizer's files."""
    return any((folder / name).is_file() for name in TOKENIZER_FILES)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder, never fetched from anywhere else."""
    if not has_tokenizer(folder):
        raise ModelError(
            f"{folder} has no tokenizer ({' or '.join(TOKENIZER_FILES)}): save or download it again"
        )
    if _needs_sentencepiece(folder) and not all(map(find_spec, ("sentencepiece", "google.protobuf"))):
        raise ModelError(
            f"{folder} has SigLIP's tokenizer: pip install 'sat2cap[siglip]' to read texts with it"
        )
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers and tokenizers raise whatever their parsers raise
        reason = " ".join(str(error).split())
        raise ModelError(
            f"tokenizer in {folder} cannot be read ({reason}): save or download it again"
        ) from error


def _needs_sentencepiece(folder: Path) -> bool:
    """Whether it is SigLIP's: without its library, transformers reads it as another and says nothing."""
    path = folder / "tokenizer_config.json"
    return path.is_file() and read_json(path).get("tokenizer_class") == "SiglipTokenizer"


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes, in order of name."""
    sha = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous()
        head = canonical_json([name, str(array.dtype), list(array.shape)])
        sha.update(head.encode())
        sha.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
