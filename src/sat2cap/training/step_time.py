"""Timing of a training step on this machine, before a training is begun."""

import time

import torch
from torch.nn import functional

from sat2cap.model import Checkpoint, feature_count
from sat2cap.training.data.sampler import kept_tokens
from sat2cap.training.losses import contrastive_loss
from sat2cap.training.optimizers import new_optimizer
from sat2cap.training.precision import choose_training_compute
from sat2cap.training.run import Run
from sat2cap.training.student import Temperature, new_student

_TIMED_STEPS = 4
"""The fastest counts: on a busy machine a single step may take ten times its time."""


def measure_step_seconds(run: Run, start: Checkpoint) -> float:
    """Return the seconds of one training step of a run from the model `start`: the fastest of four.

    The steps are taken on random patches, by a copy of the network, after one that is not counted. Augmenting
    is left out: a thread does it meanwhile, which slows a quick step where there are only two cores. With
    token dropout it is a step of those that leave tokens out, which most do.
    """
    compute = choose_training_compute(run.optim)
    device, batch = torch.device(compute.device), run.optim.micro_batch or run.optim.batch
    run = run.model_copy(
        update={"optim": run.optim.model_copy(update={"precision": compute.precision, "compile": False})}
    )
    student = new_student(run, start, device).to(device)
    temperature = Temperature(run.loss.temperature, run.loss.bias).to(device)
    optimizer = new_optimizer(run, student, temperature)
    side = start.patch_pixels
    with torch.random.fork_rng(devices=[]):
        pixels = torch.randn(batch, 3, side, side, device=device)
        columns = functional.normalize(torch.randn(batch + run.loss.queue, start.dim), dim=1).to(device)
    features = torch.zeros(batch, feature_count(run.model.encoding), device=device)
    keep = torch.ones(batch, 1, device=device)
    token_indices = (
        None if student.token_dropout is None else kept_tokens(run, 0, 1, student.token_dropout.tokens)
    )
    token_indices = None if token_indices is None else token_indices[:batch].to(device)

    def take_step() -> float:
        begin = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=compute.precision == "bfloat16"):
            embedding = student(pixels, features, keep, token_indices)
        ground, queue = columns[:batch], columns[batch:].T
        loss = contrastive_loss(embedding, ground, queue, temperature.scale, run.loss.form)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for the device
        return time.perf_counter() - begin

    take_step()
    seconds = min(take_step() for _ in range(_TIMED_STEPS))
    return seconds * run.optim.batch / batch
