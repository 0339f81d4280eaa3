"""What is trained: the overhead tower, the Dynamic Encoder and the temperature, as one module."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.dynamic import DynamicEncoder
from sat2cap.train.losses import MAX_LOG_SCALE
from sat2cap.train.run import Run


class Student(nn.Module):
    """S = O + h, and the scale of its cosines (paper eq. 4-5)."""

    def __init__(self, tower: Any, dynamic: DynamicEncoder | None, temperature: float) -> None:
        super().__init__()
        self.tower = tower
        self.dynamic = dynamic
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))

    def forward(self, pixels: Tensor, features: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels `[B, 3, S, S]`, metadata `[B, 12]`, 0 or 1 `[B, 1]` to unnormalised S `[B, D]` and scale.

        Where `keep` is 0 the Dynamic Encoder is left out; what is kept is not scaled up, since at inference
        the whole offset is added.
        """
        embedding: Tensor = self.tower(pixel_values=pixels).image_embeds.float()
        if self.dynamic is not None:
            embedding = embedding + keep * self.dynamic(features)
        return embedding, self.log_scale.exp()

    def clamp(self) -> None:
        """Keep the learnt scale within [1, 100]."""
        with torch.no_grad():
            self.log_scale.clamp_(0, MAX_LOG_SCALE)


def new_student(run: Run, start: Checkpoint) -> Student:
    """The student before its first step, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.optim.seed)
        dynamic = DynamicEncoder(start.dim, run.model.hidden) if run.model.dynamic else None
    student = Student(copy.deepcopy(start.overhead), dynamic, run.loss.temperature)
    return student.requires_grad_(True).train()


def quickest_attention(tower: Any, device: torch.device) -> None:
    """Choose how attention is computed: on processors the fused kernel's backward pass is the slow one.

    Measured with 37 tokens, bfloat16, two cores: 640 patches a second with the plain form, 320 fused.
    """
    tower.set_attn_implementation("eager" if device.type == "cpu" else "sdpa")


def new_optimizer(run: Run, student: Student) -> torch.optim.Optimizer:
    """AdamW with the paper's settings; each group remembers its own ``base_lr``."""
    settings = run.optim
    groups = []
    for lr, module in ((settings.lr, student.tower), (settings.dynamic_lr or settings.lr, student.dynamic)):
        if module is None:
            continue
        matrices = [value for value in module.parameters() if value.ndim >= 2]
        others = [value for value in module.parameters() if value.ndim < 2]
        groups.append({"params": matrices, "base_lr": lr, "weight_decay": settings.weight_decay})
        groups.append({"params": others, "base_lr": lr, "weight_decay": 0.0})
    groups.append({"params": [student.log_scale], "base_lr": settings.lr, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=True)


def lr_factor(run: Run, step: int, total: int) -> float:
    """What the learning rates are multiplied with at a step, counted from 0."""
    settings = run.optim
    if settings.schedule == "warm_restarts":
        return (1 + math.cos(math.pi * (step % settings.restart_every) / settings.restart_every)) / 2
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    part = (step - settings.warmup) / max(1, total - settings.warmup)
    return (1 + math.cos(math.pi * part)) / 2
