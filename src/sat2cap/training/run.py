"""Run files: everything a training run depends on, in one TOML file that is checked before any work."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from sat2cap.config import Section, StoredAddress, load
from sat2cap.errors import RunFileError
from sat2cap.model import Encoding, Precision, PrecisionChoice


class Data(Section):
    """Section ``[data]``: the pairs that a run learns from and those that it is measured on."""

    pairs: StoredAddress = Field(min_length=1)
    """Folder or address of a pair set."""
    split: str = "train"
    """Split that is trained on."""
    validation: str = "val"
    """Split that the retrieval metrics in the card and the calibration of `contrast` are computed from."""
    validation_pairs: int = Field(default=0, ge=0)
    """Number of validation pairs; 0 for no validation."""
    place_m: float = Field(default=0, ge=0)
    """Side in metres of the squares whose photos count as photos of one place, for ``loss.same_place``.

    With 0, no two photos are of the same place.
    """
    hard_negatives: int = Field(default=0, ge=0)
    """Number of neighbouring pairs, whose patches look alike, that are drawn into a batch together.

    With 0, the pairs of a batch are drawn independently.
    """


class Model(Section):
    """Section ``[model]``: the networks, and which of their weights are trained."""

    init: str = Field(min_length=1)
    """CLIP model that both towers are initialised from: a folder, a hub name, or a name of the catalogue."""
    encoding: Encoding = "cyclic"
    """Encoding of place and time for the Dynamic Encoder."""
    dynamic: bool = True
    """Whether there is a Dynamic Encoder; ``false`` is the first row of the paper's ablation."""
    hidden: int = Field(default=64, ge=1)
    """Width of the Dynamic Encoder's hidden layers."""
    dropout: float = Field(default=0.3, ge=0, le=1)
    """Probability that the Dynamic Encoder is left out of an embedding, in [0, 1]."""
    dropout_unit: Literal["sample", "batch"] = "sample"
    """Unit that dropout is drawn for: a sample (the paper's text) or a batch (the authors' code)."""
    overhead_stats: Literal["init", "measure", "paper"] = "init"
    """Source of the mean and standard deviation that normalise overhead pixels.

    ``init``: the CLIP model; ``measure``: the training patches; ``paper``: the Sat2Cap authors.
    """
    overhead_filter: Literal["init", "bilinear", "bicubic"] = "init"
    """Filter that resizes overhead patches; ``init``: that of the CLIP model (bicubic for CLIP)."""
    ground_resize: Literal["init", "squash"] = "init"
    """Treatment of ground photos that are not square.

    ``init``: that of the CLIP model, a centre crop for CLIP; ``squash``: the whole photo is resized to a
    square, as in the authors' code. It is recorded in the checkpoint, whose ground embeddings depend on
    it.
    """
    train_layers: int | None = Field(default=None, ge=0)
    """Number of last layers of the overhead tower that are trained, with everything behind them.

    The whole tower is trained if this is left out.
    """
    lora_rank: int = Field(default=0, ge=0)
    """Rank of low-rank updates (LoRA), which are merged into the tower at the end; 0 for no LoRA."""
    lora_alpha: int = Field(default=16, ge=1)
    """Scale of the low-rank updates: they are multiplied by ``lora_alpha / lora_rank``."""

    @model_validator(mode="after")
    def _check_combinations(self) -> "Model":
        if self.lora_rank and self.train_layers is not None:
            raise ValueError("must have either train_layers or lora_rank")
        return self


class Loss(Section):
    """Section ``[loss]``: the contrastive loss and its negatives."""

    form: Literal["paper", "queue_only", "symmetric", "siglip"] = "paper"
    """Form of the loss, see `sat2cap.training.losses.contrastive_loss`."""
    queue: int = Field(default=9000, ge=0)
    """Number of past ground embeddings that serve as additional negatives (MoCo queue)."""
    temperature: float = Field(default=0.07, ge=0.01, le=1)
    """Initial temperature; learned, with its inverse within [1, 100]."""
    bias: float = -10.0
    """Initial value that ``siglip`` adds to scaled cosines; learned."""
    same_place: Literal["negative", "ignore", "positive"] = "negative"
    """Treatment of other photos of a patch's own place, a square of ``data.place_m``.

    ``negative``: negatives, as in the paper; ``ignore``: left out of the loss; ``positive``: positives like
    the patch's own photo.
    """


class Optim(Section):
    """Section ``[optim]``: the optimizer, its schedule, the number of steps, and the devices."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    """``muon`` updates the matrices of the tower's layers by Muon, and all else by AdamW."""
    layer_lr: float | None = Field(default=None, gt=0)
    """Peak learning rate of the matrices that Muon updates; `lr` if left out."""
    lr: float = Field(default=5e-5, gt=0)
    """Peak learning rate of the overhead tower."""
    dynamic_lr: float | None = Field(default=None, gt=0)
    """Peak learning rate of the Dynamic Encoder, which starts from random weights; `lr` if left out."""
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = Field(default=1e-6, gt=0)
    weight_decay: float = Field(default=0.2, ge=0)
    """Weight decay of matrices; biases, gains and the temperature have none, as in CLIP."""
    decay_all: bool = False
    """Whether biases, gains and the temperature have weight decay too, as in the authors' code."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Largest norm of the gradients, which are scaled down beyond it; no limit if left out."""
    schedule: Literal["cosine", "warm_restarts"] = "cosine"
    warmup: int = Field(default=0, ge=0)
    """Number of steps of linear warm-up, for ``cosine``."""
    restart_every: int = Field(default=3000, ge=1)
    """Period of ``warm_restarts`` (T0), in steps."""
    batch: int = Field(default=100, ge=2)
    """Number of pairs in a batch, over all devices."""
    epochs: int | None = Field(default=None, ge=1)
    """Number of passes over the pairs; either this or `steps` is given."""
    steps: int | None = Field(default=None, ge=1)
    """Number of optimiser steps; either this or `epochs` is given."""
    precision: PrecisionChoice = "auto"
    """Precision of the networks; ``auto`` takes the one that this machine is fastest in."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Device of the networks; ``auto`` takes a GPU if there is one."""
    devices: int = Field(default=1, ge=1)
    """Number of processes on each machine, one per device, that share each batch."""
    nodes: int = Field(default=1, ge=1)
    """Number of machines, each with `devices` processes; started by torchrun or SLURM."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Number of patches that a device computes at once; its whole share of the batch if left out.

    The loss is that of the whole batch either way.
    """
    gradient_checkpointing: bool = False
    """Whether activations are recomputed in the backward pass: less memory, about a third more time."""
    compile: bool = False
    """Whether torch compiles the tower: it takes a minute first and, on processors, needs a C compiler."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything that is drawn at random."""

    @model_validator(mode="after")
    def _check_combinations(self) -> "Optim":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("must have either epochs or steps")
        if self.layer_lr is not None and self.optimizer != "muon":
            raise ValueError('layer_lr is for optimizer = "muon"; leave it out, or ask for Muon')
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {list(self.betas)} must be in [0, 1)")
        processes = self.devices * self.nodes
        if self.batch % processes:
            named = f"devices {self.devices}" + (f" x nodes {self.nodes}" if self.nodes > 1 else "")
            raise ValueError(f"batch {self.batch} must be a multiple of {named}")
        return self


class Augment(Section):
    """Section ``[augment]``: random changes of overhead patches, different in each epoch."""

    kind: Literal["none", "light", "paper"] = "light"
    """``light``: as set below, nearly free. ``paper``: RandomResizedCrop and RandAugment (torchvision's)."""
    turns: bool = True
    """Whether ``light`` applies one of the eight flips and right-angle turns."""
    min_area: float = Field(default=0.7, gt=0, le=1)
    """Smallest share of a patch's area that a crop keeps, in (0, 1]."""
    colour: float = Field(default=0.15, ge=0, lt=1)
    """Largest relative change of brightness, contrast and saturation, in [0, 1)."""
    source_pixels: int | None = Field(default=None, ge=8)
    """Side in pixels of decoded patches before cropping; the tower's input size if left out."""
    token_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the tower's tokens that a step leaves out, drawn for each image, which makes it quicker."""
    token_dropout_until: float = Field(default=0.9, gt=0, le=1)
    """Share of the steps that leave tokens out; those after it see whole images, as at inference."""


class Output(Section):
    """Section ``[output]``: where results are written; it is not part of the run's identity."""

    folder: str = Field(min_length=1)
    """Folder of the run, which is created if needed."""
    name: str = ""
    """Name of the model in its card; the folder's name if left out."""
    checkpoint_every: int = Field(default=500, ge=1)
    """Number of steps between resume states, from which an interrupted run continues."""
    keep: int = Field(default=2, ge=1)
    """Number of newest resume states that stay on disk."""
    cache_gb: float = Field(default=4, ge=0)
    """Gigabytes of decoded patches that may stay in memory; more are written to a memory-mapped file.

    Other runs with the same pairs read that file instead of decoding again.
    """
    decode: Literal["once", "always"] = "once"
    """``always`` decodes patches on each access and stores none, for sets too large to store decoded."""
    threads: int | None = Field(default=None, ge=1)
    """Number of threads of a process that read and decode pictures; its share of the cores if left out."""
    wait_hours: float = Field(default=12, gt=0, le=1000)
    """Hours that a process waits for the others, say while one prepares data, before the run ends."""
    validate_every: int = Field(default=0, ge=0)
    """Number of steps between validations, the best model of which is published; 0: only at the end."""
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Loggers that are written in addition to ``log.jsonl``."""


_ADDED_SETTINGS = (
    ("model", "overhead_filter"),
    ("model", "ground_resize"),
    ("optim", "decay_all"),
    ("optim", "optimizer"),
    ("optim", "layer_lr"),
    ("augment", "token_dropout"),
    ("augment", "token_dropout_until"),
)


class Run(Section):
    """Run file of method ``sat2cap``."""

    method: Literal["sat2cap"] = "sat2cap"
    data: Data
    model: Model
    loss: Loss = Loss()
    optim: Optim
    augment: Augment = Augment()
    output: Output

    @model_validator(mode="after")
    def _check_combinations(self) -> "Run":
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

    @property
    def precision(self) -> Precision:
        """Precision that is settled. Raises `RunFileError` before `settle_compute` has chosen one."""
        if self.optim.precision == "auto":
            raise RunFileError('optim.precision is "auto" and was not settled before the run')
        return self.optim.precision

    def with_token_dropout(self, share: float) -> "Run":
        """Return the run with another ``augment.token_dropout``, from 0 to below 1.

        That is the share of an image's tokens that a step leaves out.
        """
        return self.model_copy(update={"augment": self.augment.model_copy(update={"token_dropout": share})})

    def settings(self) -> dict[str, Any]:
        """Return the settings that decide the result, as plain JSON values: all but ``[output]``.

        A setting that was added later is left out at its default, so that older runs keep their identity.
        """
        settings = self.model_dump(mode="json", exclude={"output"})
        for section, name in _ADDED_SETTINGS:  # their defaults are what runs before them did
            if (
                getattr(getattr(self, section), name)
                == type(getattr(self, section)).model_fields[name].default
            ):
                del settings[section][name]
        return settings


def load_run(path: Path | str) -> Run:
    """Return the checked run file of method ``sat2cap`` at `path`.

    Raises `RunFileError`, which lists every problem at once, in one line.
    """
    return load(path, Run, RunFileError, kind="run file")
