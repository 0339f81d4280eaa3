"""The training loop (paper 3.2-3.3): read `train` from top to bottom."""

import logging
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from sat2cap.errors import JobError, RunFileError
from sat2cap.model import CHECKPOINT_MANIFEST, Checkpoint, load_model
from sat2cap.progress import Progress, silent
from sat2cap.training.data.loader import Loaded, Material, loaded, read_material
from sat2cap.training.data.patches import Pairs
from sat2cap.training.data.sampler import first_queue, total_steps
from sat2cap.training.gradients import large_batch_gradients
from sat2cap.training.losses import contrastive, relations
from sat2cap.training.output.checkpoint import card, read_validation, run_identity, trained_checkpoint
from sat2cap.training.output.loggers import open_loggers
from sat2cap.training.output.recorder import Keeper
from sat2cap.training.output.resume_state import LOG_FILE, Log, claim_folder, load_state
from sat2cap.training.queue import RingQueue
from sat2cap.training.run import Run
from sat2cap.training.student import Learner, Temperature, new_optimizer, new_student, set_learning_rate


def train(
    run: Run,
    *,
    pairs: Pairs | None = None,
    resolve: Callable[[str], Checkpoint] = load_model,
    progress: Progress = silent,
) -> Path:
    """Train as `run` says, going on where a killed run stopped; the folder of the finished checkpoint.

    `pairs` is ``run.data.pairs`` opened, unless given; `resolve` turns ``run.model.init`` into a model.
    Raises `RunFileError` when the folder holds another run or there are too few pairs, `JobError` when the
    loss is no number.
    """
    finished = Path(run.output.folder) / "checkpoint"
    fabric = start_fabric(run)
    progress = progress if fabric.is_global_zero else silent
    start = resolve(run.model.init)
    pairs = _opened(run.data.pairs) if pairs is None else pairs
    _claim(run, pairs, start, fabric)
    if (finished / CHECKPOINT_MANIFEST).is_file():
        return finished

    data = read_material(run, pairs, start, fabric, progress)
    learner = new_learner(run, start, data, fabric)
    network = torch.compile(learner.student) if run.optim.compile else learner.student
    model, optimizer = fabric.setup(network, learner.optimizer)
    state = load_state(Path(run.output.folder) / "state")
    done = _restored(learner, state)
    keeper = _keeper(run, pairs, start, learner, data, state, progress) if fabric.is_global_zero else None
    total = total_steps(run, len(data))

    for batch in loaded(run, data, fabric, done):
        lr = set_learning_rate(run, learner.optimizer, batch.step, total)
        scale = learner.temperature.scale.item()
        loss = _learn(run, fabric, model, optimizer, learner, batch, data)
        step = batch.step + 1
        if keeper is not None:
            record = {"epoch": batch.epoch, "loss": loss, "lr": lr, "scale": scale}
            keeper.after(step, record, last=step == total)
        progress(f"training, loss {loss:.3f}", step * run.optim.batch, total * run.optim.batch)

    if keeper is not None:
        keeper.finish(total)
    fabric.barrier()
    return finished


def start_fabric(run: Run) -> Fabric:
    """Devices and precision; starts the other processes, unless torchrun or SLURM did, when there are any."""
    device = run.optim.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise RunFileError('optim.device "cuda" is not there on this machine: use "auto" or "cpu"')
    precision: Any = "bf16-mixed" if run.optim.precision == "bfloat16" else "32-true"
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces its settings otherwise
    devices, nodes = run.optim.devices, run.optim.nodes
    strategy = "ddp" if devices * nodes > 1 else "auto"
    fabric = Fabric(
        accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision
    )
    fabric.launch()
    return fabric


def new_learner(run: Run, start: Checkpoint, data: Material, fabric: Fabric) -> Learner:
    """All that steps change, as it is before the first."""
    student = new_student(run, start, fabric.device)
    temperature = Temperature(run.loss.temperature, run.loss.bias).to(fabric.device)
    rows = first_queue(run, len(data))
    ground = torch.from_numpy(data.ground[rows]).to(fabric.device)
    queue = RingQueue(ground, torch.from_numpy(rows).to(fabric.device))
    return Learner(student, temperature, new_optimizer(run, student, temperature), queue)


def _learn(
    run: Run, fabric: Fabric, model: Any, optimizer: Any, learner: Learner, batch: Loaded, data: Material
) -> float:
    """One step; its loss. `JobError`, naming pairs, when that is no number."""
    inputs = (batch.pixels, batch.features, batch.keep)
    loss_of = partial(_loss, run, learner, batch, data.place)
    loss, embedding = large_batch_gradients(fabric, model, inputs, loss_of, part=run.optim.micro_batch)
    value = float(loss)
    if not math.isfinite(value):
        raise JobError(_not_a_number(value, batch, embedding, data.keys))
    if run.optim.clip_norm is not None:
        fabric.clip_gradients(model, optimizer, max_norm=run.optim.clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    learner.temperature.clamp()
    learner.queue.push(batch.ground, batch.rows)
    return value


def _loss(run: Run, learner: Learner, batch: Loaded, place: Tensor, embedding: Tensor) -> Tensor:
    """Of the embeddings `[B, D]` of the whole batch."""
    queue, temperature = learner.queue, learner.temperature
    return contrastive(
        embedding,
        batch.ground,
        queue.embeddings,
        temperature.scale,
        run.loss.form,
        bias=temperature.bias,
        related=relations(batch.rows, queue.owners, place, run.loss.same_place),
    )


def _opened(path: str) -> Pairs:
    """The pair set of a run file."""
    from sat2cap.pairs import open_pairs

    return open_pairs(path)


def _claim(run: Run, pairs: Pairs, start: Checkpoint, fabric: Fabric) -> None:
    """Make the folder this run's; RunFileError when it is another's, or a split is too small for the run."""
    count, least = pairs.count(run.data.split), max(run.optim.batch, run.loss.queue)
    if count < least:
        raise RunFileError(
            f"split {run.data.split} of {run.data.pairs} has {count} pairs, fewer than optim.batch "
            f"{run.optim.batch} or loss.queue {run.loss.queue}: lower them or build more pairs"
        )
    if fabric.is_global_zero:
        claim_folder(Path(run.output.folder), run_identity(run, pairs, start), run.settings())
    fabric.barrier()


def _restored(learner: Learner, state: dict[str, Any] | None) -> int:
    """The steps that are done, the learner being what it was after them."""
    if state is None:
        return 0
    learner.restore(state)
    return int(state["step"])


def _keeper(
    run: Run,
    pairs: Pairs,
    start: Checkpoint,
    learner: Learner,
    data: Material,
    state: dict[str, Any] | None,
    progress: Progress,
) -> Keeper:
    """For the first process."""
    done = 0 if state is None else int(state["step"])
    return Keeper(
        run,
        learner,
        partial(trained_checkpoint, run, start, learner, data.preprocess),
        partial(card, run, pairs, start, data.years),
        read_validation(run, pairs, start, progress),
        Log(Path(run.output.folder) / LOG_FILE, done),
        open_loggers(run, run_identity(run, pairs, start), done),
        -1.0 if state is None else float(state["best"]),
    )


def _not_a_number(value: float, batch: Loaded, embedding: Tensor, keys: list[str]) -> str:
    """What to say of a loss that is no number: the pairs that made it so, where that can be told."""
    spoilt = ~torch.isfinite(embedding).all(dim=1)
    rows = batch.rows[spoilt] if bool(spoilt.any()) else batch.rows
    named = [keys[row] for row in rows.tolist()]
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return (
        f"loss is {value} at step {batch.step + 1}, with pairs {', '.join(named[:5])}{more}: lower optim.lr "
        "or set optim.clip_norm; states saved before are good"
    )
