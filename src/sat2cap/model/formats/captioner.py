"""Captioners on disk: the folder that this package writes (docs/captions.md), and CLIPCap's own weights.

::

    captioner.json       written last: format, GPT-2's sizes, how embeddings are scaled, card
    model.safetensors    clip_project.model.0|2.*, gpt.*: names as CLIPCap's authors publish them
    tokenizer.json, ...  GPT-2's tokenizer

The authors publish a single file of weights, such as ``conceptual_weights.pt``, without sizes or tokenizer.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, GPT2Config

from sat2cap.errors import ModelError
from sat2cap.files import publish_folder
from sat2cap.model.captioner import Captioner
from sat2cap.model.damage import checked
from sat2cap.model.file_hashes import check_files, check_seal, write_sealed_manifest
from sat2cap.model.formats.pickles import read_pickled_tensors
from sat2cap.model.json_files import read_manifest
from sat2cap.model.networks.captioner import CaptionNetwork
from sat2cap.model.networks.towers import (
    WEIGHTS_FILE,
    build_with_weights,
    load_tokenizer,
    read_tensors,
    write_tensors,
)

CAPTIONER_MANIFEST = "captioner.json"
FORMAT, VERSION = "sat2cap-captioner", 1

_FIRST_LAYER, _SECOND_LAYER = "clip_project.model.0.weight", "clip_project.model.2.weight"
_WORD_VECTORS, _POSITION_VECTORS = "gpt.transformer.wte.weight", "gpt.transformer.wpe.weight"
_HEAD_WIDTH = 64
"""Width of an attention head in every published GPT-2; the shapes of the weights do not say it."""
_CLIPCAP_STOP = "."
"""CLIPCap's authors cut a caption at its first full stop."""


def load_captioner(spec: str | Path, tokenizer: str | Path = "gpt2") -> Captioner:
    """Return the captioner in a folder that `save_captioner` wrote, or in a file of CLIPCap's own weights.

    `tokenizer`, a folder or a name on the Hugging Face hub, is used for CLIPCap's file, which has none.
    Pickles are read as data only. Raises `ModelError` if there is no such folder or file, or it is damaged,
    of another version, or of an architecture other than CLIPCap's MLP mapping.
    """
    path = Path(spec)
    if (path / CAPTIONER_MANIFEST).is_file():
        return _read_folder(path)
    if not path.is_file():
        raise ModelError(
            f"captioner {str(spec)!r} is neither a folder with {CAPTIONER_MANIFEST} nor a file of CLIPCap's "
            "weights: train one with sat2cap train, or download conceptual_weights.pt"
        )
    weights = read_tensors(path) if path.suffix == ".safetensors" else read_pickled_tensors(path)
    network = _build_network(weights, _infer_config(weights, str(path)), str(path))
    card = {"name": path.stem, "source": str(path), "licence": "unknown"}
    return Captioner(network, _fetch_tokenizer(tokenizer, network), unit=False, stop=_CLIPCAP_STOP, card=card)


def save_captioner(captioner: Captioner, folder: Path | str) -> Path:
    """Write a captioner and return its folder, which appears at once and whole.

    Weights are stored in half precision if it holds them exactly: see `output.half` of a training run.
    Raises `ModelError` if `folder` exists and is not a captioner, which alone is replaced.
    """
    target = Path(folder)
    if target.exists() and not (target / CAPTIONER_MANIFEST).is_file():
        raise ModelError(f"{target} exists and is no captioner: give another folder, or remove it")
    with publish_folder(target) as temporary:
        weights = captioner.network.state_dict()
        halves = {name: weight.half() for name, weight in weights.items()}
        exact = all(torch.equal(halves[name].float(), weight) for name, weight in weights.items())
        write_tensors(temporary / WEIGHTS_FILE, halves if exact else weights)
        captioner.tokenizer.save_pretrained(temporary)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "identity": captioner.identity,
            "gpt": captioner.network.gpt.config.to_diff_dict(),
            "unit": captioner.unit,
            "stop": captioner.stop,
            "space": captioner.space,
            "card": captioner.card,
        }
        write_sealed_manifest(temporary / CAPTIONER_MANIFEST, manifest)
    return target


def _read_folder(folder: Path) -> Captioner:
    """Return the captioner that `save_captioner` wrote."""
    path = folder / CAPTIONER_MANIFEST
    manifest = read_manifest(path, FORMAT, VERSION)
    check_files(folder, check_seal(path, manifest), lambda name: True)
    weights = read_tensors(folder / WEIGHTS_FILE)
    try:
        config = GPT2Config(**checked(manifest["gpt"]))
        unit, stop, card = bool(manifest["unit"]), str(manifest["stop"]), dict(manifest["card"])
        space = None if manifest.get("space") is None else str(manifest["space"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} has a missing or wrong field ({error}): train the captioner again"
        ) from error
    network = _build_network(weights, config, str(folder))
    return Captioner(network, load_tokenizer(folder), unit, stop, space, card)


def _infer_config(weights: Mapping[str, Tensor], where: str) -> GPT2Config:
    """Infer GPT-2's sizes from the shapes of CLIPCap's weights."""
    needed = (_WORD_VECTORS, _POSITION_VECTORS, _FIRST_LAYER, _SECOND_LAYER)
    missing = [name for name in needed if name not in weights]
    if _FIRST_LAYER in missing and any(name.startswith("clip_project.") for name in weights):
        raise ModelError(f"{where} has CLIPCap's transformer mapping: give weights of an MLP mapping")
    if missing:
        raise ModelError(
            f"{where} is no captioner of CLIPCap, it lacks {missing[0]}: give conceptual_weights.pt"
        )
    vocabulary_size, width = weights[_WORD_VECTORS].shape
    layers = {match[1] for name in weights if (match := re.match(r"gpt\.transformer\.h\.(\d+)\.", name))}
    if width % _HEAD_WIDTH:
        raise ModelError(
            f"{where} has a GPT-2 of width {width}, which is no multiple of {_HEAD_WIDTH}: not CLIPCap's"
        )
    return GPT2Config(
        vocab_size=vocabulary_size,
        n_positions=len(weights[_POSITION_VECTORS]),
        n_embd=width,
        n_layer=len(layers),
        n_head=width // _HEAD_WIDTH,
        bos_token_id=vocabulary_size - 1,
        eos_token_id=vocabulary_size - 1,
    )


def _build_network(weights: Mapping[str, Tensor], config: GPT2Config, where: str) -> CaptionNetwork:
    """Return the network with these weights; the length of the prefix follows from their shapes."""
    if _FIRST_LAYER not in weights or _SECOND_LAYER not in weights:
        raise ModelError(
            f"{where} lacks {_FIRST_LAYER} or {_SECOND_LAYER}: train or download the captioner again"
        )
    dim, prefix = weights[_FIRST_LAYER].shape[1], len(weights[_SECOND_LAYER]) // config.n_embd
    network = build_with_weights(lambda: CaptionNetwork(dim, prefix, config), weights, where)
    assert isinstance(network, CaptionNetwork)
    network.gpt.tie_weights()
    return network


def _fetch_tokenizer(spec: str | Path, network: CaptionNetwork) -> Any:
    """Return GPT-2's tokenizer from a folder or the hub; it may have no more tokens than the network."""
    if Path(spec).is_dir():
        tokenizer = load_tokenizer(Path(spec))
    else:
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(spec))
        except Exception as error:  # the hub's libraries raise errors of many other libraries
            reason = " ".join(str(error).split())[:160]
            raise ModelError(
                f"tokenizer {str(spec)!r} is no folder here and cannot be had from the Hugging Face hub "
                f"({reason}): download it and give the folder with --tokenizer"
            ) from error
    if len(tokenizer) > network.gpt.config.vocab_size:
        raise ModelError(
            f"tokenizer {str(spec)!r} has {len(tokenizer)} tokens, more than the captioner "
            f"({network.gpt.config.vocab_size}): give the one that it was trained with"
        )
    return tokenizer
