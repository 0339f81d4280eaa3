"""CLIP's towers in transformers' own classes, read from and written to folders that transformers reads too.

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

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILES = ("tokenizer.json", "vocab.json")
"""Either of these makes a folder one that holds a tokenizer."""


@dataclass(frozen=True, eq=False)
class TextTower:
    """A text tower and the tokenizer it was trained with."""

    model: Any
    """`CLIPTextModelWithProjection`."""
    tokenizer: Any
    """What transformers' `AutoTokenizer` gives."""

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token numbers and attention mask, int64 `[B, T]`; long texts are cut, keeping the end mark."""
        limit = int(self.model.config.max_position_embeddings)
        end = self.tokenizer.eos_token_id
        rows = [list(row) for row in self.tokenizer(list(texts))["input_ids"]]
        rows = [row if len(row) <= limit else [*row[: limit - 1], end] for row in rows]
        # Padded here, since asking the tokenizer to do it changes what it would save.
        width = max(len(row) for row in rows)
        pad = end if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id
        ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        return ids, mask


def vision_tower(config: Mapping[str, Any], weights: Mapping[str, Tensor], where: str) -> Any:
    """`CLIPVisionModelWithProjection` with these weights in float32; `where` names them in errors."""
    return _filled(lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**config)), weights, where)


def text_model(config: Mapping[str, Any], weights: Mapping[str, Tensor], where: str) -> Any:
    """`CLIPTextModelWithProjection` with these weights in float32; `where` names them in errors."""
    return _filled(lambda: CLIPTextModelWithProjection(CLIPTextConfig(**config)), weights, where)


def _filled(build: Callable[[], nn.Module], weights: Mapping[str, Tensor], where: str) -> nn.Module:
    """A network holding copies of `weights`, of which every one it needs must be there."""
    network = _unfilled(build)
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in weights]
    if missing:
        raise ModelError(
            f"{where} lacks {len(missing)} weights of {type(network).__name__}, {missing[0]} first: "
            "give a CLIP model saved whole, projections included"
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
    values = {**tower.config.to_dict(), "architectures": [type(tower).__name__]}
    (folder / CONFIG_FILE).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    write_tensors(folder / WEIGHTS_FILE, tower.state_dict())


def save_text_tower(text: TextTower, folder: Path) -> None:
    """A tower's files and its tokenizer's."""
    save_tower(text.model, folder)
    text.tokenizer.save_pretrained(folder)


def load_vision_tower(folder: Path) -> Any:
    """What `save_tower` wrote."""
    return vision_tower(read_json(folder / CONFIG_FILE), read_tensors(folder / WEIGHTS_FILE), str(folder))


def load_text_tower(folder: Path) -> TextTower:
    """What `save_text_tower` wrote."""
    weights = read_tensors(folder / WEIGHTS_FILE)
    return TextTower(
        text_model(read_json(folder / CONFIG_FILE), weights, str(folder)), load_tokenizer(folder)
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
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers and tokenizers raise whatever their parsers raise
        reason = " ".join(str(error).split())
        raise ModelError(
            f"tokenizer in {folder} cannot be read ({reason}): save or download it again"
        ) from error


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes, in order of name."""
    sha = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous()
        head = canonical_json([name, str(array.dtype), list(array.shape)])
        sha.update(head.encode())
        sha.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
