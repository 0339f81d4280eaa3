"""How a captioner is trained: captions of photos, said after the photo's CLIP embedding (CLIPCap)."""

import json
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
from sat2cap.miniworld import MiniPhotos, World
from sat2cap.model import (
    Captioner,
    CaptionNetwork,
    Checkpoint,
    captions_from_json,
    load_captioner,
    save_captioner,
)
from sat2cap.progress import Progress, silent
from sat2cap.training.data.patches import decode_image

_CHUNK = 500
_IGNORED = -100  # what cross-entropy leaves out

T = TypeVar("T")


class CaptionData(Section):
    """``[data]``: photos with captions, of a file or of made-up planets."""

    captions: Path | None = None
    """JSON lines, ``{"image": PATH, "caption": TEXT}`` or ``"captions": [TEXT, …]``; paths from there."""
    worlds: tuple[int, ...] = ()
    photos_per_world: int = Field(default=0, ge=0)
    eagerness: float = Field(default=1.0, ge=1)
    """As in `MiniPhotos`: rare things are learned from more photos than they happen in."""
    held_out: float = Field(default=0.05, ge=0, lt=1)
    """Share of the photos that the loss in the card is measured on."""

    @model_validator(mode="after")
    def _one_source(self) -> "CaptionData":
        if (self.captions is None) == (not self.worlds or not self.photos_per_world):
            raise ValueError("must have either captions, or worlds and photos_per_world")
        return self


class CaptionModel(Section):
    """``[model]``."""

    clip: str = Field(min_length=1)
    """The CLIP model whose embeddings are captioned: a folder, a hub name, or miniclip."""
    init: str | None = None
    """A captioner to go on from; a new one, of the sizes below and with CLIP's own words, if left out."""
    tokenizer: str = "gpt2"
    """For an `init` of CLIPCap's weights, which have none: a folder or a hub name."""
    prefix: int = Field(default=10, ge=1)
    layers: int = Field(default=2, ge=1)
    hidden: int = Field(default=128, ge=8)
    heads: int = Field(default=4, ge=1)
    train_gpt: bool = True
    """False trains the prefix alone, as CLIPCap can with a GPT-2 that speaks already."""


class CaptionOptim(Section):
    """``[optim]``: AdamW, a linear rise and fall of the rate."""

    batch: int = Field(default=128, ge=1)
    steps: int = Field(ge=1)
    lr: float = Field(default=1e-3, gt=0)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    seed: int = 0


class CaptionOutput(Section):
    """``[output]``."""

    folder: Path
    half: bool = False
    """Round the weights to half precision, to make the file half as large."""


class CaptionRun(Section):
    """A run file with ``method = "captioner"``."""

    method: Literal["captioner"]
    data: CaptionData
    model: CaptionModel
    optim: CaptionOptim
    output: CaptionOutput


@dataclass(frozen=True, eq=False)
class _Learnt:
    """N photos with some captions each."""

    embeddings: Tensor
    """`[N, D]`, not normalised."""
    captions: list[list[str]]


def load_caption_run(path: Path) -> CaptionRun:
    """Read and check a run file of method ``captioner``.

    Raises `RunFileError`, which lists every problem at once, in one line.
    """
    return load(path, CaptionRun, RunFileError, kind="run file")


def train_captioner(
    run: CaptionRun, resolve: Callable[[str], Checkpoint], progress: Progress = silent
) -> dict[str, float]:
    """Train as the run file says and write a captioner to its folder; losses, a token, in nats.

    `resolve` opens a CLIP model by name. Raises `ModelError`, `InputError`, and `JobError` for a loss that is
    no number.
    """
    torch.manual_seed(run.optim.seed)
    clip = resolve(run.model.clip)
    learnt = _embedded(run.data, clip, progress)
    captioner = _begin(run.model, clip)
    captioner.network.gpt.requires_grad_(run.model.train_gpt)
    held = int(run.data.held_out * len(learnt.captions))
    first = len(learnt.captions) - held
    losses = _learn(captioner, learnt, first, run, progress)
    if run.output.half:
        captioner.network.half().float()
    figures = {"loss.last100": float(np.mean(losses[-100:]))}
    if held:
        figures["loss.held_out"] = _held_out(captioner, learnt, first)
    captioner.card.update(
        name=run.output.folder.name,
        source=f"trained on captions for {run.model.clip}",
        licence=clip.card.get("licence", "unknown"),
        training=run.model_dump(mode="json", exclude={"output"}),
        metrics=figures,
    )
    save_captioner(replace(captioner, space=clip.text_identity), run.output.folder)
    return figures


def _begin(model: CaptionModel, clip: Checkpoint) -> Captioner:
    """What training starts from."""
    if model.init is not None:
        begun = load_captioner(model.init, model.tokenizer)
        if begun.dim != clip.dim:
            raise InputError(
                f"captioner {model.init!r} is for embeddings of {begun.dim}, not {clip.dim} numbers"
            )
        return begun
    if clip.text is None:
        raise InputError(f"model {model.clip!r} has no words of its own: give model.init, a captioner")
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


def _learn(
    captioner: Captioner, learnt: _Learnt, photos: int, run: CaptionRun, progress: Progress
) -> list[float]:
    """The loss of every step, learning from the first `photos`."""
    network, optim = captioner.network.train(), run.optim
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=optim.lr, weight_decay=optim.weight_decay)
    rise = max(1, round(optim.warmup * optim.steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / rise, (optim.steps - step) / max(1, optim.steps - rise))
    )
    draw, losses = np.random.default_rng(optim.seed), []
    for step in range(optim.steps):
        rows = draw.integers(photos, size=optim.batch)
        texts = [learnt.captions[row][int(draw.integers(len(learnt.captions[row])))] for row in rows]
        given = captioner.scale_embeddings(learnt.embeddings[rows])
        loss = network.loss(given, _tokens(captioner, texts))
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


def _held_out(captioner: Captioner, learnt: _Learnt, first: int) -> float:
    """Mean loss a token over the first caption of every photo from `first` on."""
    total, count = 0.0, 0
    with torch.inference_mode():
        for rows in _batched(range(first, len(learnt.captions)), 256):
            tokens = _tokens(captioner, [learnt.captions[row][0] for row in rows])
            here = int((tokens != _IGNORED).sum())
            given = captioner.scale_embeddings(learnt.embeddings[rows])
            total += here * captioner.network.loss(given, tokens).item()
            count += here
    return total / count


def _tokens(captioner: Captioner, texts: list[str]) -> Tensor:
    """`[N, T]` with the end mark, cut to what fits behind the prefix."""
    tokenizer, network = captioner.tokenizer, captioner.network
    most = network.gpt.config.n_positions - network.prefix_length - 1
    rows = [
        [*tokenizer.encode(text, add_special_tokens=False, verbose=False)[:most], tokenizer.eos_token_id]
        for text in texts
    ]
    width = max(map(len, rows))
    return torch.tensor([row + [_IGNORED] * (width - len(row)) for row in rows])


def _embedded(data: CaptionData, clip: Checkpoint, progress: Progress) -> _Learnt:
    """Every photo's embedding and captions."""
    embeddings: list[NDArray[np.float32]] = []
    captions: list[list[str]] = []
    source = _written(data.captions) if data.captions else _made_up(data)
    total = 0 if data.captions else len(data.worlds) * data.photos_per_world
    for images, texts in source:
        embeddings.append(clip.embed_ground(images, unit=False))
        captions += texts
        progress("embedding photos", len(captions), max(total, len(captions)))
    if not captions:
        raise InputError(f"{data.captions} holds no caption; write one JSON object a line")
    return _Learnt(torch.from_numpy(np.concatenate(embeddings)), captions)


def _batched(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    source = iter(rows)
    while some := list(islice(source, size)):
        yield some


def _made_up(data: CaptionData) -> Iterator[tuple[list[Image.Image], list[list[str]]]]:
    for number in data.worlds:
        source = MiniPhotos(World(number), data.photos_per_world, eagerness=data.eagerness)
        for records in _batched(source.photos(), _CHUNK):
            images = [decode_image(photo, str(number)) for photo in source.images(records)]
            yield images, source.captions(records, per_photo=6)


def _written(path: Path) -> Iterator[tuple[list[Image.Image], list[list[str]]]]:
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        photos = [(path.parent / line["image"], captions_from_json(line)) for line in lines]
        for some in _batched(photos, _CHUNK):
            yield (
                [decode_image(image.read_bytes(), str(image)) for image, _ in some],
                [texts for _, texts in some],
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f'captions {path} cannot be read ({error!r}); write {{"image": PATH, "caption": TEXT}} a line'
        ) from error
