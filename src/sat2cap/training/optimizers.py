"""Optimizers of training: AdamW, and Muon for the matrices of a tower's layers; and their learning rates."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sat2cap.training.run import Run
from sat2cap.training.student import Student, Temperature

_MOMENTUM = 0.95
_NEWTON_SCHULZ_STEPS = 5
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients a, b, c of the step X <- a X + (b A + c A A) X with A = X X', from Muon's publication.

They raise small singular values fast and leave all between about 0.7 and 1.2, which is near enough."""
_ADAMW_RMS = 0.2
"""Root mean square of an AdamW update divided by the learning rate, as usually seen."""


class MuonAdamW(torch.optim.AdamW):
    """Muon for the parameter groups that are marked ``muon``, and AdamW for all others.

    Muon (Jordan et al., 2024) turns the momentum of a matrix into the nearest matrix with orthogonal rows or
    columns before it is added, so that no few directions take all of a step. It needs fewer steps than AdamW
    here (docs/LOG.md). An update is scaled to the size that one of AdamW usually has, so that learning rates
    of the two can be compared. torch's own `Muon` computes in bfloat16, which many processors emulate, and
    takes matrices alone, while Fabric and the state of a run know one optimizer.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step, and return what `closure` returns; gradients of Muon's matrices are freed."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for matrix in group["params"] if group.get("muon") else ():
                if matrix.grad is not None:
                    self._step_matrix(matrix, matrix.grad, group["lr"], group["weight_decay"])
                    matrix.grad = None  # AdamW leaves alone what has no gradient
        super().step()
        return loss

    def _step_matrix(self, matrix: nn.Parameter, gradient: Tensor, lr: float, weight_decay: float) -> None:
        """Take Muon's step for one matrix, with Nesterov momentum and decoupled weight decay."""
        state = self.state[matrix]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["momentum"] = torch.zeros_like(matrix)
        state["step"] += 1
        momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        update = orthogonalize(gradient.lerp(momentum, _MOMENTUM))
        matrix.mul_(1 - lr * weight_decay)
        matrix.add_(update, alpha=-lr * _ADAMW_RMS * math.sqrt(max(matrix.shape)))


def orthogonalize(matrix: Tensor) -> Tensor:
    """Return a matrix with the singular vectors of `matrix` and singular values of about 1.

    Five steps of a Newton-Schulz iteration, which needs matrix products alone; in float32 whatever the
    training's precision, since processors without bfloat16 instructions emulate them.
    """
    a, b, c = _NEWTON_SCHULZ
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if is_tall else matrix).float()
    x = x / (torch.linalg.matrix_norm(x) + 1e-7)  # no singular value above 1, as the iteration needs
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = (x.T if is_tall else x).to(matrix.dtype)
    return result


def new_optimizer(run: Run, student: Student, temperature: Temperature) -> torch.optim.Optimizer:
    """Return the optimizer that the run file asks for; each parameter group holds its own ``base_lr``.

    With Muon these are the matrices of the tower's layers. Its first and last matrices, which meet pixels,
    positions and embeddings, stay with AdamW, as do vectors and the Dynamic Encoder.
    """
    settings = run.optim
    vector_decay = settings.weight_decay if settings.decay_all else 0.0
    by_muon = _layer_matrices(student.tower) if settings.optimizer == "muon" else []
    groups: list[dict[str, Any]] = []
    if by_muon:
        lr = settings.layer_lr or settings.lr
        groups.append(_group(by_muon, lr, settings.weight_decay) | {"muon": True})
    taken = {id(value) for value in by_muon}
    for lr, module in ((settings.lr, student.tower), (settings.dynamic_lr or settings.lr, student.dynamic)):
        trained = [value for value in _trained(module) if id(value) not in taken]
        groups.append(_group((value for value in trained if value.ndim >= 2), lr, settings.weight_decay))
        groups.append(_group((value for value in trained if value.ndim < 2), lr, vector_decay))
    scalars = [*temperature.parameters()] if run.loss.form == "siglip" else [temperature.log_scale]
    groups.append(_group(scalars, settings.lr, vector_decay))
    groups = [group for group in groups if group["params"]]
    kind = MuonAdamW if by_muon else torch.optim.AdamW
    return kind(groups, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=True)


def _group(parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> dict[str, Any]:
    return {"params": list(parameters), "base_lr": lr, "weight_decay": weight_decay}


def _trained(module: nn.Module | None) -> list[nn.Parameter]:
    return [] if module is None else [value for value in module.parameters() if value.requires_grad]


def _layer_matrices(tower: nn.Module) -> list[nn.Parameter]:
    """Return the trained matrices of a tower's transformer layers; adapters of layers are among them."""
    return [
        value
        for name, value in tower.named_parameters()
        if value.requires_grad and value.ndim == 2 and ".layers." in name
    ]


def set_learning_rate(run: Run, optimizer: torch.optim.Optimizer, step: int, total: int) -> float:
    """Set the learning rate of every parameter group at a step, counted from 0; return the tower's."""
    factor = lr_factor(run, step, total)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return run.optim.lr * factor


def lr_factor(run: Run, step: int, total: int) -> float:
    """Return the factor in [0, 1] that a step, counted from 0, multiplies all learning rates by."""
    settings = run.optim
    if settings.schedule == "warm_restarts":
        return (1 + math.cos(math.pi * (step % settings.restart_every) / settings.restart_every)) / 2
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    share_done = (step - settings.warmup) / max(1, total - settings.warmup)
    return (1 + math.cos(math.pi * share_done)) / 2
