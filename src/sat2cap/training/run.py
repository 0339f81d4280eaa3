"""Run files: everything a training run depends on, in one TOML file that is checked before any work."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from sat2cap.config import Section, load
from sat2cap.errors import RunFileError
from sat2cap.model import Encoding


class Data(Section):
    """``[data]``: what is learnt from."""

    pairs: str = Field(min_length=1)
    """Folder of a pair set."""
    split: str = "train"
    validation: str = "val"
    """Split for the retrieval figures in the card, and for calibrating the model's `contrast`."""
    validation_pairs: int = Field(default=0, ge=0)
    """How many pairs of it; 0 for none."""
    place_m: float = Field(default=0, ge=0)
    """Photos within a square of this side are of one place; 0: no two are. See ``loss.same_place``."""
    hard_negatives: int = Field(default=0, ge=0)
    """Batches are made of groups of this many pairs from one neighbourhood, whose patches are hard to tell
    apart; 0: at random."""


class Model(Section):
    """``[model]``: what is trained."""

    init: str = Field(min_length=1)
    """The CLIP model that both towers begin as: a folder, a hub name, or a name of the catalogue."""
    encoding: Encoding = "cyclic"
    dynamic: bool = True
    """Whether there is a Dynamic Encoder: ``false`` is the first row of the paper's ablation."""
    hidden: int = Field(default=64, ge=1)
    dropout: float = Field(default=0.3, ge=0, le=1)
    """Probability that the Dynamic Encoder is left out of an embedding."""
    dropout_unit: Literal["sample", "batch"] = "sample"
    """What is drawn for: every sample (the paper's text) or the batch at once (the authors' code)."""
    overhead_stats: Literal["init", "measure", "paper"] = "init"
    """Mean and std of overhead pixels: the CLIP model's, those of the training patches, or the authors'."""
    train_layers: int | None = Field(default=None, ge=0)
    """Last layers of the overhead tower that learn, with all that follows them; all of it if left out."""
    lora_rank: int = Field(default=0, ge=0)
    """Above 0: the tower learns only low-rank changes of this rank, merged into it at the end."""
    lora_alpha: int = Field(default=16, ge=1)
    """Such changes count ``lora_alpha / lora_rank`` times."""

    @model_validator(mode="after")
    def _together(self) -> "Model":
        if self.lora_rank and self.train_layers is not None:
            raise ValueError("must have either train_layers or lora_rank")
        return self


class Loss(Section):
    """``[loss]``."""

    form: Literal["paper", "queue_only", "symmetric", "siglip"] = "paper"
    queue: int = Field(default=9000, ge=0)
    """Past ground embeddings that serve as further negatives."""
    temperature: float = Field(default=0.07, ge=0.01, le=1)
    """At the start; learnt, its inverse within [1, 100]."""
    bias: float = -10.0
    """Added to scaled cosines in ``siglip``, at the start; learnt."""
    same_place: Literal["negative", "ignore", "positive"] = "negative"
    """What other photos of a patch's own place are to it: negatives as in the paper, nothing, or as right as
    its own photo. Places are squares of ``data.place_m``."""


class Optim(Section):
    """``[optim]``: AdamW, its schedule, and how long."""

    lr: float = Field(default=5e-5, gt=0)
    dynamic_lr: float | None = Field(default=None, gt=0)
    """Of the Dynamic Encoder, which starts from nothing; `lr` if left out."""
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = Field(default=1e-6, gt=0)
    weight_decay: float = Field(default=0.2, ge=0)
    """On matrices; biases, gains and the temperature are left alone, as in CLIP."""
    clip_norm: float | None = Field(default=None, gt=0)
    schedule: Literal["cosine", "warm_restarts"] = "cosine"
    warmup: int = Field(default=0, ge=0)
    """Steps of linear rise, for ``cosine``."""
    restart_every: int = Field(default=3000, ge=1)
    """T0 of ``warm_restarts``, in steps."""
    batch: int = Field(default=100, ge=2)
    epochs: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = Field(default=1, ge=1)
    """Processes on a machine, one a device, that share each batch."""
    nodes: int = Field(default=1, ge=1)
    """Machines, each with `devices`; started by torchrun or SLURM."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Patches a device computes at once; the loss is still that of the whole batch. All of its share if left
    out."""
    gradient_checkpointing: bool = False
    """Layers are computed again on the way back instead of kept: less memory, about a third more time."""
    compile: bool = False
    """The tower is compiled by torch, which takes a minute first, and a C compiler on processors."""
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _together(self) -> "Optim":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("must have either epochs or steps")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {list(self.betas)} must be in [0, 1)")
        processes = self.devices * self.nodes
        if self.batch % processes:
            named = f"devices {self.devices}" + (f" x nodes {self.nodes}" if self.nodes > 1 else "")
            raise ValueError(f"batch {self.batch} must be a multiple of {named}")
        return self


class Augment(Section):
    """``[augment]``: how overhead patches vary from one epoch to the next."""

    kind: Literal["none", "light", "paper"] = "light"
    """``light``: the settings below, nearly free. ``paper``: RandomResizedCrop and RandAugment by kornia."""
    turns: bool = True
    """Any of the eight flips and right-angle turns."""
    min_area: float = Field(default=0.7, gt=0, le=1)
    """Smallest part of the patch that a crop keeps."""
    colour: float = Field(default=0.15, ge=0, lt=1)
    """Largest change of brightness, contrast and saturation."""
    source_pixels: int | None = Field(default=None, ge=8)
    """Pixels a side that patches are kept at before cropping; the tower's own size if left out."""


class Output(Section):
    """``[output]``: where things go; no part of what makes two runs the same."""

    folder: str = Field(min_length=1)
    name: str = ""
    """What the model is called in its card; the folder's name if left out."""
    checkpoint_every: int = Field(default=500, ge=1)
    """Steps between states that a killed run goes on from."""
    keep: int = Field(default=2, ge=1)
    """How many such states stay."""
    cache_gb: float = Field(default=4, gt=0)
    """Decoded patches beyond this go to a file instead of memory."""
    decode: Literal["once", "always"] = "once"
    """``always`` decodes patches whenever they are wanted and keeps none: for sets that no disk holds."""
    validate_every: int = Field(default=0, ge=0)
    """Steps between retrieval figures of the validation pairs, the best model being kept; 0: at the end."""
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Beside ``log.jsonl``."""


class Run(Section):
    """A whole run file of method ``sat2cap``."""

    method: Literal["sat2cap"] = "sat2cap"
    data: Data
    model: Model
    loss: Loss = Loss()
    optim: Optim
    augment: Augment = Augment()
    output: Output

    @model_validator(mode="after")
    def _together(self) -> "Run":
        if self.loss.form == "queue_only" and self.loss.queue == 0:
            raise ValueError("loss.form queue_only needs a loss.queue above 0")
        if self.loss.same_place != "negative" and self.data.place_m == 0:
            raise ValueError(f"loss.same_place {self.loss.same_place} needs a data.place_m above 0")
        if self.data.hard_negatives > self.optim.batch:
            size = self.data.hard_negatives
            raise ValueError(f"data.hard_negatives {size} must be at most optim.batch {self.optim.batch}")
        if self.output.validate_every and not self.data.validation_pairs:
            raise ValueError("output.validate_every needs data.validation_pairs above 0")
        return self

    def settings(self) -> dict[str, Any]:
        """What decides the result: everything but where it is written, as plain JSON values."""
        return self.model_dump(mode="json", exclude={"output"})


def load_run(path: Path | str) -> Run:
    """Read and check a run file of method ``sat2cap``.

    Raises `RunFileError`, which lists every problem at once, in one line.
    """
    return load(path, Run, RunFileError, kind="run file")
