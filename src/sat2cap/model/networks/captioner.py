"""CLIPCap's captioner (Mokady et al. 2021; section 4.4 of the paper): GPT-2, told an embedding.

On disk it is a folder (docs/captions.md)::

    captioner.json       written last: format, GPT-2's sizes, how embeddings are given, card
    model.safetensors    clip_project.model.0|2.*, gpt.*: names as CLIPCap's authors publish them
    tokenizer.json, ...  GPT-2's tokenizer

or the authors' own file, such as ``conceptual_weights.pt``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from sat2cap.errors import ModelError
from sat2cap.files import canonical_json, digest, publish_folder, write_json
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.formats.pickles import pickled_tensors
from sat2cap.model.networks import towers
from sat2cap.progress import Progress, silent

CAPTIONER_MANIFEST = "captioner.json"
FORMAT, VERSION = "sat2cap-captioner", 1
BATCH = 64
"""Embeddings that are captioned at once."""
LONGEST = 67
"""Tokens of a caption at most, as in CLIPCap."""

_FIRST, _SECOND = "clip_project.model.0.weight", "clip_project.model.2.weight"
_HEAD = 64  # numbers a head of attention in every published GPT-2
_PUBLISHED_STOP = "."


class PrefixMLP(nn.Module):
    """Linear, tanh, Linear: an embedding to the first vectors that GPT-2 reads, in place of words."""

    def __init__(self, dim: int, prefix: int, width: int) -> None:
        super().__init__()
        half = prefix * width // 2
        self.model = nn.Sequential(nn.Linear(dim, half), nn.Tanh(), nn.Linear(half, prefix * width))

    def forward(self, embeddings: Tensor) -> Tensor:
        """`[N, D]` to `[N, prefix * width]`."""
        mapped: Tensor = self.model(embeddings)
        return mapped


class CaptionNetwork(nn.Module):
    """The mapping and GPT-2, under the authors' names."""

    def __init__(self, dim: int, prefix: int, config: GPT2Config) -> None:
        super().__init__()
        self.dim, self.prefix_length = dim, prefix
        self.clip_project = PrefixMLP(dim, prefix, config.n_embd)
        self.gpt: Any = GPT2LMHeadModel(config)

    def prefix(self, embeddings: Tensor) -> Tensor:
        """`[N, D]` to `[N, prefix, width]`."""
        return self.clip_project.forward(embeddings).view(len(embeddings), self.prefix_length, -1)

    def loss(self, embeddings: Tensor, tokens: Tensor) -> Tensor:
        """Mean cross-entropy of captions' tokens `[N, T]`, -100 where there is none, after `[N, D]`."""
        words = self.gpt.transformer.wte(tokens.clamp(min=0))
        logits = self.gpt(inputs_embeds=torch.cat([self.prefix(embeddings), words], 1)).logits
        said = logits[:, self.prefix_length - 1 : -1]
        return F.cross_entropy(said.flatten(0, 1).float(), tokens.flatten(), ignore_index=-100)


@dataclass(frozen=True, eq=False)
class Captioner:
    """A captioner ready for embeddings of the CLIP model it was trained with, from any tower."""

    network: CaptionNetwork
    tokenizer: Any
    unit: bool
    """Whether embeddings are brought to length 1 first. CLIPCap's own weights take them as CLIP gives them,
    and table 2 of the paper was made so."""
    stop: str = ""
    """A caption ends before this token, beside the tokenizer's own end mark; empty for none."""
    space: str | None = None
    """`Checkpoint.text_identity` of the CLIP that it was trained for; None if nobody wrote it down."""
    card: dict[str, Any] = field(default_factory=dict)
    """name, source, licence, training: plain JSON values, no part of the identity."""

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        return self.network.dim

    @cached_property
    def identity(self) -> str:
        """Hash of the weights, the vocabulary, and how embeddings are given."""
        words = canonical_json(self.tokenizer.get_vocab())
        return digest(towers.digest_weights(self.network.state_dict()), words, str(self.unit), self.stop)

    def check(self, checkpoint: Checkpoint) -> None:
        """Raise `ModelError` if a model's embeddings lie in another space, as far as that is known."""
        mine, theirs = self.card.get("name", "this captioner"), checkpoint.card.get("name", "this model")
        if checkpoint.dim != self.dim:
            raise ModelError(
                f"captioner {mine} is for embeddings of {self.dim} numbers, and those of {theirs} have "
                f"{checkpoint.dim}: give a captioner that was trained for the CLIP of {theirs}"
            )
        if self.space is not None and checkpoint.text_identity not in (None, self.space):
            raise ModelError(
                f"captioner {mine} was trained for another CLIP than that of {theirs}, so its words would "
                'mean nothing: give one that was trained for it (sat2cap train, method = "captioner")'
            )

    def captions(
        self,
        embeddings: NDArray[np.float32],
        beams: int = 1,
        most: int = LONGEST,
        progress: Progress = silent,
    ) -> list[str]:
        """A caption for each of `[N, D]` embeddings, **not** normalised; greedy, or the best of `beams`.

        For Sat2Cap the embedding is O + h, of a place and a time. Raises `ModelError` for embeddings of
        another model or that are no numbers.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dim:
            shape = list(embeddings.shape)
            raise ModelError(f"embeddings {shape} are not [N, {self.dim}]: use the CLIP of this captioner")
        if not np.isfinite(embeddings).all():
            raise ModelError("some embeddings are no numbers: leave out places without imagery")
        written: list[str] = []
        for start in range(0, len(embeddings), BATCH):
            rows = torch.from_numpy(np.ascontiguousarray(embeddings[start : start + BATCH], np.float32))
            written += self._written(self.given(rows), beams, most)
            progress("captioning", len(written), len(embeddings))
        return written

    def given(self, embeddings: Tensor) -> Tensor:
        """Embeddings `[N, D]` as the mapping takes them."""
        return F.normalize(embeddings, dim=-1) if self.unit else embeddings

    def _written(self, embeddings: Tensor, beams: int, most: int) -> list[str]:
        gpt, tokenizer = self.network.gpt, self.tokenizer
        ends = {tokenizer.eos_token_id, *tokenizer.encode(self.stop, add_special_tokens=False)[:1]}
        with torch.inference_mode():
            prefix = self.network.prefix(embeddings.to(next(gpt.parameters()).device))
            tokens = gpt.generate(
                inputs_embeds=prefix,
                attention_mask=torch.ones(prefix.shape[:2], dtype=torch.long, device=prefix.device),
                max_new_tokens=min(most, gpt.config.n_positions - self.network.prefix_length),
                num_beams=beams,
                do_sample=False,
                early_stopping=beams > 1,
                eos_token_id=sorted(ends),
                pad_token_id=tokenizer.eos_token_id,
            )
        texts = (tokenizer.decode(row, skip_special_tokens=True) for row in tokens.tolist())
        return [" ".join(text.split()).removesuffix(self.stop).strip() for text in texts]


def captions_from_json(entry: Mapping[str, Any]) -> list[str]:
    """The captions of one JSON object: ``"caption": TEXT`` or ``"captions": [TEXT, …]``.

    Raises `KeyError` for neither, `ValueError` for anything else than texts.
    """
    found = entry["captions"] if "captions" in entry else [entry["caption"]]
    if not isinstance(found, list) or not found or not all(isinstance(text, str) for text in found):
        raise ValueError(f"captions {found!r} are no texts")
    return found


def load_captioner(spec: str | Path, tokenizer: str | Path = "gpt2") -> Captioner:
    """Open a folder that `save_captioner` wrote, or a file of weights that CLIPCap's authors publish.

    `tokenizer`, a folder or a name on the Hugging Face hub, is for such a file, which has none. Pickles are
    read as data only. Raises `ModelError`.
    """
    path = Path(spec)
    if (path / CAPTIONER_MANIFEST).is_file():
        return _read_folder(path)
    if not path.is_file():
        raise ModelError(
            f"captioner {str(spec)!r} is neither a folder with {CAPTIONER_MANIFEST} nor a file of CLIPCap's "
            "weights: train one with sat2cap train, or download conceptual_weights.pt"
        )
    weights = towers.read_tensors(path) if path.suffix == ".safetensors" else pickled_tensors(path)
    network = _network(weights, _config_of(weights, str(path)), str(path))
    card = {"name": path.stem, "source": str(path), "licence": "unknown"}
    return Captioner(network, _tokenizer(tokenizer, network), unit=False, stop=_PUBLISHED_STOP, card=card)


def save_captioner(captioner: Captioner, folder: Path | str) -> Path:
    """Write a captioner so that nobody sees `folder` half written; replaces only a captioner or nothing.

    Weights that half precision holds exactly are stored in it: see `output.half` of a training.
    """
    target = Path(folder)
    if target.exists() and not (target / CAPTIONER_MANIFEST).is_file():
        raise ModelError(f"{target} exists and is no captioner: give another folder, or remove it")
    with publish_folder(target) as temporary:
        weights = captioner.network.state_dict()
        small = {name: weight.half() for name, weight in weights.items()}
        exact = all(torch.equal(small[name].float(), weight) for name, weight in weights.items())
        towers.write_tensors(temporary / towers.WEIGHTS_FILE, small if exact else weights)
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
        write_json(temporary / CAPTIONER_MANIFEST, manifest)
    return target


def _read_folder(folder: Path) -> Captioner:
    values = towers.read_json(folder / CAPTIONER_MANIFEST)
    if values.get("format") != FORMAT or values.get("version") != VERSION:
        raise ModelError(
            f"{folder / CAPTIONER_MANIFEST} is {values.get('format')} version {values.get('version')}, "
            f"not {FORMAT} version {VERSION}: use the sat2cap release that wrote it"
        )
    weights = towers.read_tensors(folder / towers.WEIGHTS_FILE)
    try:
        config = GPT2Config(**values["gpt"])
        unit, stop, card = bool(values["unit"]), str(values["stop"]), dict(values["card"])
        space = None if values.get("space") is None else str(values["space"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{folder / CAPTIONER_MANIFEST} lacks or spoils {error}: train the captioner again"
        ) from error
    network = _network(weights, config, str(folder))
    return Captioner(network, towers.load_tokenizer(folder), unit, stop, space, card)


def _config_of(weights: Mapping[str, Tensor], where: str) -> GPT2Config:
    """GPT-2's sizes, from the shapes of published weights."""
    needed = ("gpt.transformer.wte.weight", "gpt.transformer.wpe.weight", _FIRST, _SECOND)
    missing = [name for name in needed if name not in weights]
    if _FIRST in missing and any(name.startswith("clip_project.") for name in weights):
        raise ModelError(f"{where} has CLIPCap's transformer mapping: give weights of an MLP mapping")
    if missing:
        raise ModelError(
            f"{where} is no captioner of CLIPCap, it lacks {missing[0]}: give conceptual_weights.pt"
        )
    words, width = weights[needed[0]].shape
    layers = {found[1] for name in weights if (found := re.match(r"gpt\.transformer\.h\.(\d+)\.", name))}
    if width % _HEAD:
        raise ModelError(
            f"{where} has a GPT-2 of width {width}, which is no multiple of {_HEAD}: not CLIPCap's"
        )
    return GPT2Config(
        vocab_size=words,
        n_positions=len(weights[needed[1]]),
        n_embd=width,
        n_layer=len(layers),
        n_head=width // _HEAD,
        bos_token_id=words - 1,
        eos_token_id=words - 1,
    )


def _network(weights: Mapping[str, Tensor], config: GPT2Config, where: str) -> CaptionNetwork:
    """The network with these weights; the length of the prefix follows from their shapes."""
    if _FIRST not in weights or _SECOND not in weights:
        raise ModelError(f"{where} lacks {_FIRST} or {_SECOND}: train or download the captioner again")
    dim, prefix = weights[_FIRST].shape[1], len(weights[_SECOND]) // config.n_embd
    network = towers.filled(lambda: CaptionNetwork(dim, prefix, config), weights, where)
    assert isinstance(network, CaptionNetwork)
    network.gpt.tie_weights()
    return network


def _tokenizer(spec: str | Path, network: CaptionNetwork) -> Any:
    """GPT-2's tokenizer, from a folder or the hub, checked to know as many words as the network."""
    if Path(spec).is_dir():
        found = towers.load_tokenizer(Path(spec))
    else:
        try:
            found = AutoTokenizer.from_pretrained(str(spec))
        except Exception as error:  # the hub's libraries raise whatever theirs raise
            reason = " ".join(str(error).split())[:160]
            raise ModelError(
                f"tokenizer {str(spec)!r} is no folder here and cannot be had from the Hugging Face hub "
                f"({reason}): download it and give the folder with --tokenizer"
            ) from error
    if len(found) > network.gpt.config.vocab_size:
        raise ModelError(
            f"tokenizer {str(spec)!r} knows {len(found)} tokens, more than the captioner "
            f"({network.gpt.config.vocab_size}): give the one that it was trained with"
        )
    return found
