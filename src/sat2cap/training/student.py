"""The trained networks: overhead tower and Dynamic Encoder as one module, and the temperature."""

import copy
import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sat2cap.errors import JobError
from sat2cap.model import Checkpoint, DynamicEncoder, Precision, feature_count
from sat2cap.training.adaptation import adapt_tower
from sat2cap.training.fast_layers import use_fast_layers
from sat2cap.training.losses import MAX_LOG_SCALE
from sat2cap.training.queue import RingQueue
from sat2cap.training.run import Run
from sat2cap.training.token_dropout import TokenDropout


class Student(nn.Module):
    """The student S = O + h: overhead tower plus Dynamic Encoder (paper eq. 4-5)."""

    def __init__(
        self, tower: Any, dynamic: DynamicEncoder | None, token_dropout: TokenDropout | None = None
    ) -> None:
        super().__init__()
        self.tower = tower
        self.dynamic = dynamic
        self.token_dropout = token_dropout

    def forward(
        self, pixels: Tensor, features: Tensor, keep: Tensor, kept_tokens: Tensor | None = None
    ) -> Tensor:
        """Return the embeddings S of patches, not normalised: float32, shape (B, D).

        `pixels` is (B, 3, S, S), `features` (B, F), and `keep` (B, 1) is 1 where the Dynamic Encoder's offset
        is added and 0 where it is left out. Offsets are not scaled up to make good for those left out, as
        dropout usually does, since inference adds the whole offset. `kept_tokens` (B, K) are the indices of
        the tower's tokens that are computed; None computes them all.
        """
        dropping = nullcontext() if self.token_dropout is None else self.token_dropout.keeping(kept_tokens)
        with dropping:
            embedding: Tensor = self.tower(pixel_values=pixels).image_embeds.float()
        if self.dynamic is not None:
            embedding = embedding + keep * self.dynamic(features)
        return embedding


class Temperature(nn.Module):
    """Learned scale of the cosines and, for the sigmoid loss, learned bias.

    This is a module apart from the student, which DDP wraps: every process computes the loss of the whole
    batch, so the gradients of scale and bias are equal in all of them and must not be averaged.
    """

    def __init__(self, temperature: float, bias: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))
        self.bias = nn.Parameter(torch.tensor(bias))

    @property
    def scale(self) -> Tensor:
        """Logit scale, 1 / temperature: a scalar tensor."""
        return self.log_scale.exp()

    def clamp_scale(self) -> None:
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

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all parts, to be saved as a resume state."""
        return {
            name: getattr(self, name).state_dict() for name in ("student", "temperature", "optimizer")
        } | {"queue": self.queue.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for name in ("student", "temperature", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.queue.load_state_dict(state["queue"])

    def check_finite(self, step: int) -> None:
        """Raise JobError if a weight is not finite, so that no broken state is saved."""
        for name, value in self.student.named_parameters():
            if not bool(torch.isfinite(value).all()):
                raise JobError(
                    f"weights {name} are not finite after step {step}: lower optim.lr or set optim.clip_norm"
                )


def new_student(run: Run, start: Checkpoint, device: torch.device) -> Student:
    """Return the student before its first step, which is the same for the same seed.

    Gradients are enabled only for the weights that are trained.
    """
    tower = copy.deepcopy(start.overhead).requires_grad_(True)
    set_fastest_attention(tower, device, run.precision)
    if run.optim.gradient_checkpointing:
        tower.gradient_checkpointing_enable({"use_reentrant": False})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.optim.seed)
        features = feature_count(run.model.encoding)
        dynamic = DynamicEncoder(start.dim, run.model.hidden, features) if run.model.dynamic else None
        tower = adapt_tower(tower, run.model)
    if device.type == "cpu" and not run.optim.compile:  # which has better ways of its own to save passes
        use_fast_layers(tower)
    token_dropout = TokenDropout(tower) if run.augment.token_dropout else None
    return Student(tower, dynamic, token_dropout).train()


def initial_checkpoint(run: Run, start: Checkpoint) -> Checkpoint:
    """Return the initial model with the preprocessing that a run file asks for; its checkpoints keep it.

    ``model.overhead_filter`` replaces the filter of overhead patches; ``model.ground_resize`` replaces the
    centre crop of ground photos by a resize of the whole photo to a square.
    """
    overhead, ground = start.overhead_preprocess, start.ground_preprocess
    if run.model.overhead_filter != "init":
        overhead = replace(overhead, resample=run.model.overhead_filter)
    if run.model.ground_resize == "squash":
        ground = replace(ground, squash=True, crop=None, shortest_edge=None)
    return replace(start, overhead_preprocess=overhead, ground_preprocess=ground)


def set_fastest_attention(tower: Any, device: torch.device, precision: Precision) -> None:
    """Choose the attention kernel that is fastest on a device in a precision.

    On processors the backward pass of the fused kernel is slow in bfloat16: 320 patches a second against 640
    of the plain form, with 37 tokens and two cores. In float32 it is the faster one, by an eighth.
    """
    is_plain_faster = device.type == "cpu" and precision == "bfloat16"
    tower.set_attn_implementation("eager" if is_plain_faster else "sdpa")
