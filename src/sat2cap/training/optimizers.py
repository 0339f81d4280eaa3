"""Optimizers of training: AdamW, and Muon for the matrices of a tower's layers; and their learning rates."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

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

    product_dtype: torch.dtype = torch.float32
    """Type in which the products of `orthogonalize` are computed."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step, and return what `closure` returns; gradients of Muon's matrices are freed."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            matrices = [value for value in group["params"] if value.grad is not None and group.get("muon")]
            for matrix, update in zip(matrices, self._updates(matrices), strict=True):
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * _ADAMW_RMS * math.sqrt(max(matrix.shape)))
                matrix.grad = None  # AdamW leaves alone what has no gradient
        super().step()
        return loss

    def _updates(self, matrices: Sequence[nn.Parameter]) -> list[Tensor]:
        """Return the orthogonal update of each matrix, from its gradient and Nesterov momentum.

        Matrices of one shape, or of that shape turned, are computed at once: towers have few shapes, and
        many small products take longer than few larger ones.
        """
        directions: list[Tensor] = []
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for number, matrix in enumerate(matrices):
            direction = self._direction(matrix, cast(Tensor, matrix.grad))
            directions.append(direction.T if direction.shape[0] > direction.shape[1] else direction)
            by_shape.setdefault(tuple(directions[-1].shape), []).append(number)
        for numbers in by_shape.values():
            stacked = orthogonalize(
                torch.stack([directions[number] for number in numbers]), self.product_dtype
            )
            for number, update in zip(numbers, stacked, strict=True):
                directions[number] = update
        return [
            update if update.shape == matrix.shape else update.T
            for matrix, update in zip(matrices, directions, strict=True)
        ]

    def _direction(self, matrix: nn.Parameter, gradient: Tensor) -> Tensor:
        """Return the gradient of a matrix with Nesterov momentum, and remember the momentum."""
        state = self.state[matrix]
        if not state:
            state["step"] = torch.tensor(0.0)  # AdamW expects it of every state that it loads
            state["momentum"] = torch.zeros_like(matrix)
        state["step"] += 1
        momentum: Tensor = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        return momentum.lerp(gradient, 1 - _MOMENTUM)


def orthogonalize(matrices: Tensor, product_dtype: torch.dtype = torch.float32) -> Tensor:
    """Return matrices `[B, M, N]`, M <= N, with the same singular vectors and singular values of about 1.

    Five steps of a Newton-Schulz iteration, which needs matrix products alone. bfloat16 is precise enough,
    and takes half of the time of float32 where a processor has instructions for it.
    """
    a, b, c = _NEWTON_SCHULZ
    norms = torch.linalg.matrix_norm(matrices, keepdim=True)
    x = (matrices / (norms + 1e-7)).to(product_dtype)  # the iteration needs singular values up to 1
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    result: Tensor = x.to(matrices.dtype)
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
    optimizer = kind(groups, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=True)
    if isinstance(optimizer, MuonAdamW) and settings.precision == "bfloat16":
        optimizer.product_dtype = torch.bfloat16
    return optimizer


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
