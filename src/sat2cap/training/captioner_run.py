"""The run file of method ``captioner``."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from sat2cap.config import Section, load
from sat2cap.errors import RunFileError


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


def load_caption_run(path: Path) -> CaptionRun:
    """Return the checked run file of method ``captioner`` at `path`.

    Raises `RunFileError`, which lists every problem at once, in one line.
    """
    return load(path, CaptionRun, RunFileError, kind="run file")
