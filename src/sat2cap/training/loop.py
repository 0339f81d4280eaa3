"""The training loop (paper 3.2-3.3): read `train` from top to bottom."""

import logging
import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor

from sat2cap.engines import Engine
from sat2cap.errors import JobError, RunFileError
from sat2cap.locks import folder_lock, remove_temporary_files
from sat2cap.model import CHECKPOINT_MANIFEST, Checkpoint, Compute, load_model
from sat2cap.progress import Progress, announce, silent
from sat2cap.training.data.loader import LoadedBatch, TrainingData, load_batches, read_training_data
from sat2cap.training.data.patches import Pairs
from sat2cap.training.data.sampler import initial_queue_rows, kept_tokens, total_steps
from sat2cap.training.gradients import large_batch_gradients
from sat2cap.training.losses import contrastive_loss, pair_masks
from sat2cap.training.optimizers import new_optimizer, set_learning_rate
from sat2cap.training.output.checkpoint import build_card, read_validation, run_identity, trained_checkpoint
from sat2cap.training.output.loggers import open_loggers
from sat2cap.training.output.recorder import RunRecorder
from sat2cap.training.output.resume_state import LOG_FILE, Log, claim_folder, load_state
from sat2cap.training.precision import settle_compute
from sat2cap.training.queue import RingQueue
from sat2cap.training.run import Run
from sat2cap.training.student import Learner, Temperature, initial_checkpoint, new_student


def train(
    run: Run,
    *,
    pairs: Pairs | None = None,
    resolve: Callable[[str], Checkpoint] = load_model,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> Path:
    """Train a model and return the folder of the finished checkpoint.

    An interrupted run continues from its newest resume state; a finished one is returned without training.
    `pairs` replaces the pair set at ``run.data.pairs``; `resolve` loads the model that ``run.model.init``
    names; `engine` says where photos are embedded, in this process if None. Raises `RunFileError` if the
    folder holds another run or there are too few pairs, `JobError` if another process trains in the folder or
    the loss is not finite, and `OSError` on a full disk.
    """
    finished = Path(run.output.folder) / "checkpoint"
    run, compute = settle_compute(run)
    fabric = start_fabric(run, compute)
    progress = progress if fabric.is_global_zero else silent
    start = initial_checkpoint(run, resolve(run.model.init))
    pairs = _open_pairs(run.data.pairs) if pairs is None else pairs
    with _hold_folder(run, fabric):
        _claim_folder(run, pairs, start, fabric)
        if (finished / CHECKPOINT_MANIFEST).is_file():
            return finished

        announce(progress, f"training in {compute}")
        data = read_training_data(run, pairs, start, fabric, progress, engine)
        learner = new_learner(run, start, data, fabric)
        network = torch.compile(learner.student) if run.optim.compile else learner.student
        model, optimizer = fabric.setup(network, learner.optimizer)
        state = load_state(Path(run.output.folder) / "state")
        done = _restore_learner(learner, state)
        recorder = (
            _new_recorder(run, pairs, start, learner, data, state, progress)
            if fabric.is_global_zero
            else None
        )
        total = total_steps(run, len(data))

        for batch in load_batches(run, data, fabric, done):
            lr = set_learning_rate(run, learner.optimizer, batch.step, total)
            scale = learner.temperature.scale.item()
            loss = _take_step(run, fabric, model, optimizer, learner, batch, data)
            step = batch.step + 1
            if recorder is not None:
                record = {"epoch": batch.epoch, "loss": loss, "lr": lr, "scale": scale}
                recorder.record_step(step, record, last=step == total)
            progress(f"training, loss {loss:.3f}", step * run.optim.batch, total * run.optim.batch)

        if recorder is not None:
            recorder.finish_run(total)
        fabric.barrier()
        return finished


def start_fabric(run: Run, compute: Compute) -> Fabric:
    """Return Fabric with the device, precision and processes of a run, launched.

    Further processes are started here unless torchrun or SLURM started them. Raises `RunFileError` if they
    chose different precisions.
    """
    precision: Any = "bf16-mixed" if compute.precision == "bfloat16" else "32-true"
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces its settings otherwise
    devices, nodes = run.optim.devices, run.optim.nodes
    strategy: str | DDPStrategy = "auto"
    if devices * nodes > 1:
        strategy = DDPStrategy(timeout=timedelta(hours=run.output.wait_hours))
    with warnings.catch_warnings():  # it advises a command line of its own wherever SLURM is installed
        warnings.filterwarnings("ignore", message="The `srun` command is available")
        fabric = Fabric(
            accelerator=compute.device,
            devices=devices,
            num_nodes=nodes,
            strategy=strategy,
            precision=precision,
        )
        fabric.launch()
    if fabric.broadcast(compute.precision) != compute.precision:
        raise RunFileError(
            "processes on different machines chose different precisions: set optim.precision to float32"
        )
    return fabric


def new_learner(run: Run, start: Checkpoint, data: TrainingData, fabric: Fabric) -> Learner:
    """Return the student, temperature, optimiser and queue as they are before the first step."""
    student = new_student(run, start, fabric.device)
    temperature = Temperature(run.loss.temperature, run.loss.bias).to(fabric.device)
    rows = initial_queue_rows(run, len(data))
    ground = torch.from_numpy(data.ground[rows]).to(fabric.device)
    queue = RingQueue(ground, torch.from_numpy(rows).to(fabric.device))
    return Learner(student, temperature, new_optimizer(run, student, temperature), queue)


def _take_step(
    run: Run,
    fabric: Fabric,
    model: Any,
    optimizer: Any,
    learner: Learner,
    batch: LoadedBatch,
    data: TrainingData,
) -> float:
    """Take one optimiser step; return its loss. Raises `JobError`, naming pairs, if it is not finite."""
    token_inputs = _kept_tokens(run, fabric, learner, batch, len(data))
    inputs = (batch.pixels, batch.features, batch.keep, *token_inputs)
    loss_of = partial(_batch_loss, run, learner, batch, data.place)
    loss, embedding = large_batch_gradients(fabric, model, inputs, loss_of, micro_batch=run.optim.micro_batch)
    value = float(loss)
    if not math.isfinite(value):
        raise JobError(_nonfinite_loss_message(value, batch, embedding, data.keys))
    if run.optim.clip_norm is not None:
        fabric.clip_gradients(model, optimizer, max_norm=run.optim.clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    learner.temperature.clamp_scale()
    learner.queue.push(batch.ground, batch.rows)
    return value


def _kept_tokens(
    run: Run, fabric: Fabric, learner: Learner, batch: LoadedBatch, pairs: int
) -> tuple[Tensor, ...]:
    """Return the tokens (b, K) that this process's images keep, as one more input; none if all are kept."""
    dropout = learner.student.token_dropout
    if dropout is None:
        return ()
    token_indices = kept_tokens(run, batch.step, total_steps(run, pairs), dropout.tokens)
    first = len(batch.pixels) * fabric.global_rank
    return (
        () if token_indices is None else (token_indices[first : first + len(batch.pixels)].to(fabric.device),)
    )


def _batch_loss(run: Run, learner: Learner, batch: LoadedBatch, place: Tensor, embedding: Tensor) -> Tensor:
    """Return the loss of the embeddings `[B, D]` of the whole batch."""
    queue, temperature = learner.queue, learner.temperature
    return contrastive_loss(
        embedding,
        batch.ground,
        queue.embeddings,
        temperature.scale,
        run.loss.form,
        bias=temperature.bias,
        related=pair_masks(batch.rows, queue.owners, place, run.loss.same_place),
    )


def _open_pairs(path: str) -> Pairs:
    """Open the pair set that a run file names."""
    from sat2cap.pairs import open_pairs

    return open_pairs(path)


def _hold_folder(run: Run, fabric: Fabric) -> AbstractContextManager[object]:
    """Lock the output folder, in the process of rank 0 alone. Raises `JobError` if another process has it."""
    return folder_lock(Path(run.output.folder), "training folder") if fabric.is_global_zero else nullcontext()


def _claim_folder(run: Run, pairs: Pairs, start: Checkpoint, fabric: Fabric) -> None:
    """Claim the output folder for a run.

    Raises `RunFileError` if the folder holds another run or the split has too few pairs.
    """
    count, min_count = pairs.count(run.data.split), max(run.optim.batch, run.loss.queue)
    if count < min_count:
        raise RunFileError(
            f"split {run.data.split} of {pairs.name} has {count} pairs, fewer than optim.batch "
            f"{run.optim.batch} or loss.queue {run.loss.queue}: lower them or build more pairs"
        )
    if fabric.is_global_zero:
        claim_folder(Path(run.output.folder), run_identity(run, pairs, start), run.settings())
        remove_temporary_files(Path(run.output.folder), ".checkpoint.*", ".best.*", ".run.*.json")
    fabric.barrier()


def _restore_learner(learner: Learner, state: dict[str, Any] | None) -> int:
    """Restore the learner from a resume state and return the number of steps done; 0 without a state."""
    if state is None:
        return 0
    learner.load_state_dict(state)
    return int(state["step"])


def _new_recorder(
    run: Run,
    pairs: Pairs,
    start: Checkpoint,
    learner: Learner,
    data: TrainingData,
    state: dict[str, Any] | None,
    progress: Progress,
) -> RunRecorder:
    """Return the recorder of a run, which only the process of rank 0 has."""
    done = 0 if state is None else int(state["step"])
    return RunRecorder(
        run,
        learner,
        partial(trained_checkpoint, run, start, learner, data.preprocess),
        partial(build_card, run, pairs, start, data.years),
        read_validation(run, pairs, start, progress),
        Log(Path(run.output.folder) / LOG_FILE, done),
        open_loggers(run, run_identity(run, pairs, start), done),
        -1.0 if state is None else float(state["best"]),
    )


def _nonfinite_loss_message(value: float, batch: LoadedBatch, embedding: Tensor, keys: Sequence[str]) -> str:
    """Return the message for a loss that is not finite, with the pairs whose embeddings are not finite."""
    nonfinite = ~torch.isfinite(embedding).all(dim=1)
    rows = batch.rows[nonfinite] if bool(nonfinite.any()) else batch.rows
    named = [keys[row] for row in rows.tolist()]
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return (
        f"loss is {value} at step {batch.step + 1}, with pairs {', '.join(named[:5])}{more}: lower optim.lr "
        "or set optim.clip_norm; resume states saved before are intact"
    )
