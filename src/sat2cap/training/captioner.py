"""Training of a captioner (CLIPCap): it learns to continue a photo's CLIP embedding with its caption."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor
from transformers import GPT2Config

from sat2cap.config import Section, load
from sat2cap.errors import InputError, JobError, RunFileError
from sat2cap.files import parse_json, read_regular_file
from sat2cap.miniworld import MiniPhotos, World
from sat2cap.model import (
    Captioner,
    CaptionNetwork,
    Checkpoint,
    captions_from_json,
    load_captioner,
    save_captioner,
)
from sat2cap.pictures import MAX_PICTURE_BYTES
from sat2cap.progress import Progress, silent
from sat2cap.training.data.patches import decode_image

_CHUNK = 500
"""Number of photos that are decoded and embedded at once."""

_IGNORED = -100
"""Target that torch's cross-entropy leaves out."""

T = TypeVar("T")


class CaptionData(Section):
    """Section ``[data]``: photos with captions, from a file or of made-up planets."""

    captions: Path | None = None
    """File of JSON lines, ``{"image": PATH, "caption": TEXT}`` or ``{"image": PATH, "captions": [TEXT, …]}``.

    Paths are relative to the file's folder.
    """
    worlds: tuple[int, ...] = ()
    """Numbers of made-up planets, instead of a file."""
    photos_per_world: int = Field(default=0, ge=0)
    """Number of photos that are rendered of each planet."""
    eagerness: float = Field(default=1.0, ge=1)
    """As in `MiniPhotos`: above 1, photos show rare concepts more often than they happen."""
    held_out: float = Field(default=0.05, ge=0, lt=1)
    """Share of the photos that the loss in the card is measured on."""

    @model_validator(mode="after")
    def _one_source(self) -> "CaptionData":
        if (self.captions is None) == (not self.worlds or not self.photos_per_world):
            raise ValueError("must have either captions, or worlds and photos_per_world")
        return self


class CaptionModel(Section):
    """Section ``[model]``: the CLIP model and the captioner."""

    clip: str = Field(min_length=1)
    """CLIP model whose embeddings are captioned: a folder, a hub name, or miniclip."""
    init: str | None = None
    """Captioner that training continues from.

    If left out, a new one with the sizes below and the tokenizer of the CLIP model.
    """
    tokenizer: str = "gpt2"
    """Tokenizer for an `init` of CLIPCap's weights, which have none: a folder or a hub name."""
    prefix: int = Field(default=10, ge=1)
    """Number of vectors that an embedding is mapped to before the words."""
    layers: int = Field(default=2, ge=1)
    """Number of layers of a new GPT-2."""
    hidden: int = Field(default=128, ge=8)
    """Width of a new GPT-2."""
    heads: int = Field(default=4, ge=1)
    """Number of attention heads of a new GPT-2."""
    train_gpt: bool = True
    """Whether GPT-2 is trained too; ``false`` trains the mapping alone, for a GPT-2 trained before."""


class CaptionOptim(Section):
    """Section ``[optim]``: AdamW with linear warm-up and linear decay."""

    batch: int = Field(default=128, ge=1)
    """Number of photos per step."""
    steps: int = Field(ge=1)
    """Number of optimiser steps."""
    lr: float = Field(default=1e-3, gt=0)
    """Peak learning rate."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps with a rising learning rate."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Weight decay of all weights."""
    seed: int = 0
    """Seed of initial weights and of the order of photos."""


class CaptionOutput(Section):
    """Section ``[output]``: the files that are written."""

    folder: Path
    """Folder of the captioner."""
    half: bool = False
    """Whether weights are rounded to half precision, which halves the file."""


class CaptionRun(Section):
    """Run file of method ``captioner``."""

    method: Literal["captioner"]
    data: CaptionData
    model: CaptionModel
    optim: CaptionOptim
    output: CaptionOutput


@dataclass(frozen=True, eq=False)
class _CaptionedPhotos:
    """N photos with one or more captions each."""

    embeddings: Tensor
    """Ground embeddings, not normalised: float32, shape (N, D)."""
    captions: list[list[str]]
    """Captions of each photo."""


def load_caption_run(path: Path) -> CaptionRun:
    """Return the checked run file of method ``captioner`` at `path`.

    Raises `RunFileError`, which lists every problem at once, in one line.
    """
    return load(path, CaptionRun, RunFileError, kind="run file")


def train_captioner(
    run: CaptionRun, resolve: Callable[[str], Checkpoint], progress: Progress = silent
) -> dict[str, float]:
    """Train a captioner, write it to its folder, and return its losses in nats per token.

    ``loss.last100`` is the mean of the last 100 steps; ``loss.held_out`` that of photos that are not trained
    on, if there are any. `resolve` loads a CLIP model by name. Raises `ModelError` or `InputError` if the
    models or captions cannot be used, `JobError` if the loss is not finite.
    """
    torch.manual_seed(run.optim.seed)
    clip = resolve(run.model.clip)
    photos = _embed_photos(run.data, clip, progress)
    captioner = _initial_captioner(run.model, clip)
    captioner.network.gpt.requires_grad_(run.model.train_gpt)
    held_out_count = int(run.data.held_out * len(photos.captions))
    train_count = len(photos.captions) - held_out_count
    losses = _train_network(captioner, photos, train_count, run, progress)
    if run.output.half:
        captioner.network.half().float()
    metrics = {"loss.last100": float(np.mean(losses[-100:]))}
    if held_out_count:
        metrics["loss.held_out"] = _held_out_loss(captioner, photos, train_count)
    captioner.card.update(
        name=run.output.folder.name,
        source=f"trained on captions for {run.model.clip}",
        licence=clip.card.get("licence", "unknown"),
        training=run.model_dump(mode="json", exclude={"output"}),
        metrics=metrics,
    )
    save_captioner(replace(captioner, space=clip.text_identity), run.output.folder)
    return metrics


def _initial_captioner(model: CaptionModel, clip: Checkpoint) -> Captioner:
    """Return the captioner that training starts from.

    Raises `InputError` if it is for embeddings of another length, or if the CLIP model has no tokenizer.
    """
    if model.init is not None:
        captioner = load_captioner(model.init, model.tokenizer)
        if captioner.dim != clip.dim:
            raise InputError(
                f"captioner {model.init!r} is for embeddings of {captioner.dim}, not {clip.dim} numbers"
            )
        return captioner
    if clip.text is None:
        raise InputError(
            f"model {model.clip!r} has no tokenizer for a captioner: give model.init, a captioner"
        )
    tokenizer = clip.text.tokenizer
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=model.prefix + int(clip.text.model.config.max_position_embeddings),
        n_embd=model.hidden,
        n_layer=model.layers,
        n_head=model.heads,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return Captioner(CaptionNetwork(clip.dim, model.prefix, config), tokenizer, unit=True)


def _train_network(
    captioner: Captioner, photos: _CaptionedPhotos, count: int, run: CaptionRun, progress: Progress
) -> list[float]:
    """Train the network on the first `count` photos; return the loss of every step."""
    network, optim = captioner.network.train(), run.optim
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=optim.lr, weight_decay=optim.weight_decay)
    warmup_steps = max(1, round(optim.warmup * optim.steps))
    decay_steps = max(1, optim.steps - warmup_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warmup_steps, (optim.steps - step) / decay_steps),
    )
    draw, losses = np.random.default_rng(optim.seed), []
    for step in range(optim.steps):
        rows = draw.integers(count, size=optim.batch)
        texts = [photos.captions[row][int(draw.integers(len(photos.captions[row])))] for row in rows]
        embeddings = captioner.scale_embeddings(photos.embeddings[rows])
        loss = network.loss(embeddings, _target_tokens(captioner, texts))
        if not torch.isfinite(loss):
            raise JobError(f"the loss is {loss.item()} at step {step}; lower optim.lr and start again")
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        losses.append(loss.item())
        progress(f"training the captioner, loss {np.mean(losses[-20:]):.3f}", step + 1, optim.steps)
    network.eval()
    return losses


def _held_out_loss(captioner: Captioner, photos: _CaptionedPhotos, first: int) -> float:
    """Return the mean loss per token of the first caption of every photo from index `first` on."""
    total, count = 0.0, 0
    with torch.inference_mode():
        for rows in _split_into_batches(range(first, len(photos.captions)), 256):
            tokens = _target_tokens(captioner, [photos.captions[row][0] for row in rows])
            token_count = int((tokens != _IGNORED).sum())
            embeddings = captioner.scale_embeddings(photos.embeddings[rows])
            total += token_count * captioner.network.loss(embeddings, tokens).item()
            count += token_count
    return total / count


def _target_tokens(captioner: Captioner, texts: list[str]) -> Tensor:
    """Return the target tokens of N captions, with the end token: int64, shape (N, T).

    Captions are cut to the length that fits behind the prefix, and padded with `_IGNORED`.
    """
    tokenizer, network = captioner.tokenizer, captioner.network
    max_tokens = network.gpt.config.n_positions - network.prefix_length - 1
    rows = [
        [
            *tokenizer.encode(text, add_special_tokens=False, verbose=False)[:max_tokens],
            tokenizer.eos_token_id,
        ]
        for text in texts
    ]
    width = max(map(len, rows))
    return torch.tensor([row + [_IGNORED] * (width - len(row)) for row in rows])


def _embed_photos(data: CaptionData, clip: Checkpoint, progress: Progress) -> _CaptionedPhotos:
    """Return the embedding and the captions of every photo. Raises `InputError` if there is no caption."""
    embeddings: list[NDArray[np.float32]] = []
    captions: list[list[str]] = []
    source = _read_caption_file(data.captions) if data.captions else _render_world_photos(data)
    total = 0 if data.captions else len(data.worlds) * data.photos_per_world
    for images, texts in source:
        embeddings.append(clip.embed_ground(images, precision="auto", unit=False))
        captions += texts
        progress("embedding photos", len(captions), max(total, len(captions)))
    if not captions:
        raise InputError(f"{data.captions} holds no caption; write one JSON object a line")
    return _CaptionedPhotos(torch.from_numpy(np.concatenate(embeddings)), captions)


def _split_into_batches(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the rows in lists of `size`, of which the last may be shorter."""
    source = iter(rows)
    while batch := list(islice(source, size)):
        yield batch


def _render_world_photos(data: CaptionData) -> Iterator[tuple[list[Image.Image], list[list[str]]]]:
    """Yield photos of made-up planets with six captions each, a few hundred at a time."""
    for number in data.worlds:
        source = MiniPhotos(World(number), data.photos_per_world, eagerness=data.eagerness)
        for records in _split_into_batches(source.photos(), _CHUNK):
            images = [decode_image(photo, str(number)) for photo in source.images(records)]
            yield images, source.captions(records, per_photo=6)


def _read_caption_file(path: Path) -> Iterator[tuple[list[Image.Image], list[list[str]]]]:
    """Yield the photos of a caption file with their captions. Raises `InputError` if it cannot be read."""
    try:
        lines = [parse_json(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        photos = [(path.parent / line["image"], captions_from_json(line)) for line in lines]
        for batch in _split_into_batches(photos, _CHUNK):
            yield (
                [decode_image(read_regular_file(image, MAX_PICTURE_BYTES), str(image)) for image, _ in batch],
                [texts for _, texts in batch],
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f'captions {path} cannot be read ({error!r}); write {{"image": PATH, "caption": TEXT}} a line'
        ) from error
