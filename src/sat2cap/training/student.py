"""What is trained: the overhead tower and the Dynamic Encoder as one module, and the temperature."""

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sat2cap.errors import JobError
from sat2cap.model import Checkpoint, DynamicEncoder, feature_count
from sat2cap.training.adaptation import adapt_tower
from sat2cap.training.losses import MAX_LOG_SCALE
from sat2cap.training.queue import RingQueue
from sat2cap.training.run import Run


class Student(nn.Module):
    """The student S = O + h: overhead tower plus Dynamic Encoder (paper eq. 4-5)."""

    def __init__(self, tower: Any, dynamic: DynamicEncoder | None) -> None:
        super().__init__()
        self.tower = tower
        self.dynamic = dynamic

    def forward(self, pixels: Tensor, features: Tensor, keep: Tensor) -> Tensor:
        """Pixels `[B, 3, S, S]`, metadata `[B, F]`, 0 or 1 `[B, 1]` to unnormalised S `[B, D]`.

        Where `keep` is 0 the Dynamic Encoder is left out; what is kept is not scaled up, since at inference
        the whole offset is added.
        """
        embedding: Tensor = self.tower(pixel_values=pixels).image_embeds.float()
        if self.dynamic is not None:
            embedding = embedding + keep * self.dynamic(features)
        return embedding


class Temperature(nn.Module):
    """The scale of cosines and, for the sigmoid loss, what is added to them: learnt with the rest.

    Apart from the student: every process takes the loss of the whole batch, so their gradients are equal
    already and need no mean over processes.
    """

    def __init__(self, temperature: float, bias: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))
        self.bias = nn.Parameter(torch.tensor(bias))

    @property
    def scale(self) -> Tensor:
        """Logit scale, 1 / temperature: a scalar tensor."""
        return self.log_scale.exp()

    def clamp(self) -> None:
        """Keep the learnt scale within [1, 100]."""
        with torch.no_grad():
            self.log_scale.clamp_(0, MAX_LOG_SCALE)


@dataclass(frozen=True, eq=False)
class Learner:
    """The state that a training step changes: student, temperature, optimiser and MoCo queue."""

    student: Student
    temperature: Temperature
    optimizer: torch.optim.Optimizer
    queue: RingQueue

    def state(self) -> dict[str, Any]:
        """Return the whole state, to be saved as a resume state."""
        return {
            name: getattr(self, name).state_dict() for name in ("student", "temperature", "optimizer")
        } | {"queue": self.queue.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        for name in ("student", "temperature", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.queue.restore(state["queue"])

    def check_finite(self, step: int) -> None:
        """Raise JobError if a weight is not finite, so that no broken state is saved."""
        for name, value in self.student.named_parameters():
            if not bool(torch.isfinite(value).all()):
                raise JobError(
                    f"weights {name} hold no numbers after step {step}: lower optim.lr or set optim.clip_norm"
                )


def new_student(run: Run, start: Checkpoint, device: torch.device) -> Student:
    """The student before its first step, the same for the same seed; only what is to learn asks gradients."""
    tower = copy.deepcopy(start.overhead).requires_grad_(True)
    quickest_attention(tower, device)
    if run.optim.gradient_checkpointing:
        tower.gradient_checkpointing_enable({"use_reentrant": False})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.optim.seed)
        features = feature_count(run.model.encoding)
        dynamic = DynamicEncoder(start.dim, run.model.hidden, features) if run.model.dynamic else None
        tower = adapt_tower(tower, run.model)
    return Student(tower, dynamic).train()


def quickest_attention(tower: Any, device: torch.device) -> None:
    """Choose how attention is computed: on processors the fused kernel's backward pass is the slow one.

    Measured with 37 tokens, bfloat16, two cores: 640 patches a second with the plain form, 320 fused.
    """
    tower.set_attn_implementation("eager" if device.type == "cpu" else "sdpa")


def new_optimizer(run: Run, student: Student, temperature: Temperature) -> torch.optim.Optimizer:
    """Return AdamW with the paper's settings; each parameter group remembers its own ``base_lr``."""
    settings = run.optim
    groups = []
    for lr, module in ((settings.lr, student.tower), (settings.dynamic_lr or settings.lr, student.dynamic)):
        learning = [] if module is None else [value for value in module.parameters() if value.requires_grad]
        matrices = [value for value in learning if value.ndim >= 2]
        others = [value for value in learning if value.ndim < 2]
        groups.append({"params": matrices, "base_lr": lr, "weight_decay": settings.weight_decay})
        groups.append({"params": others, "base_lr": lr, "weight_decay": 0.0})
    learnt = [*temperature.parameters()] if run.loss.form == "siglip" else [temperature.log_scale]
    groups.append({"params": learnt, "base_lr": settings.lr, "weight_decay": 0.0})
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=True)


def set_learning_rate(run: Run, optimizer: torch.optim.Optimizer, step: int, total: int) -> float:
    """Set the learning rate of every parameter group at a step, counted from 0; return the tower's."""
    factor = lr_factor(run, step, total)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return run.optim.lr * factor


def lr_factor(run: Run, step: int, total: int) -> float:
    """Return the factor of the learning rates at a step, counted from 0."""
    settings = run.optim
    if settings.schedule == "warm_restarts":
        return (1 + math.cos(math.pi * (step % settings.restart_every) / settings.restart_every)) / 2
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    part = (step - settings.warmup) / max(1, total - settings.warmup)
    return (1 + math.cos(math.pi * part)) / 2
