"""The training loop (paper 3.2-3.3): read `train` from top to bottom."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from sat2cap.errors import JobError, RunFileError
from sat2cap.model.checkpoint import MANIFEST, Checkpoint, load_model, save_checkpoint
from sat2cap.model.preprocess import Preprocess
from sat2cap.progress import Progress, silent
from sat2cap.train.augment import augment
from sat2cap.train.data import Pairs, overhead_preprocess, read_training_set
from sat2cap.train.draws import augment_seed, batches, first_queue, kept, total_steps
from sat2cap.train.ground import ground_embeddings
from sat2cap.train.losses import info_nce
from sat2cap.train.queue import RingQueue
from sat2cap.train.run import Run
from sat2cap.train.state import LOG_FILE, Log, claim_folder, load_state, mean_loss, remove_states, save_state
from sat2cap.train.student import Student, lr_factor, new_optimizer, new_student, quickest_attention
from sat2cap.train.trained import card, run_identity, trained_checkpoint, validate

SMOOTHED = 100
"""Steps that the loss in the card is the mean of."""


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
    folder = Path(run.output.folder)
    fabric = _fabric(run)
    start = resolve(run.model.init)
    pairs = _opened(run.data.pairs) if pairs is None else pairs
    _check(run, pairs)
    if fabric.is_global_zero:
        claim_folder(folder, run_identity(run, pairs, start), run.settings())
    fabric.barrier()
    if (folder / "checkpoint" / MANIFEST).is_file():
        return folder / "checkpoint"

    data = _material(run, pairs, start, fabric, progress)
    student = new_student(run, start)
    quickest_attention(student.tower, fabric.device)
    optimizer = new_optimizer(run, student)
    model, stepper = fabric.setup(student, optimizer)
    rows = torch.from_numpy(first_queue(run, len(data.keys))).to(fabric.device)
    queue = RingQueue(data.ground[rows], rows)
    done = _restore(folder / "state", student, optimizer, queue)
    total = total_steps(run, len(data.keys))
    share = run.optim.batch // fabric.world_size
    mine = slice(share * fabric.global_rank, share * (fabric.global_rank + 1))

    log = Log(folder / LOG_FILE, done) if fabric.is_global_zero else None
    for step, epoch, rows_drawn in batches(run, len(data.keys), done):
        rows = torch.from_numpy(rows_drawn).to(fabric.device)
        patches = torch.from_numpy(data.overhead[rows_drawn[mine]]).to(fabric.device)
        pixels = augment(patches, run.augment, data.preprocess, augment_seed(run, step, fabric.global_rank))
        keep = kept(run, step)[mine].to(fabric.device)
        factor = lr_factor(run, step, total)
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor

        embedding, scale = model(pixels, data.features[rows[mine]], keep)
        loss = info_nce(
            embedding,
            data.ground[rows],
            queue.embeddings,
            scale,
            run.loss.form,
            own=rows[mine, None] == queue.owners,
            first=mine.start,
        )
        value = float(fabric.all_reduce(loss.detach()))
        if not math.isfinite(value):
            raise JobError(
                _not_a_number(value, step + 1, embedding, [data.keys[row] for row in rows_drawn[mine]])
            )
        fabric.backward(loss)
        if run.optim.clip_norm is not None:
            fabric.clip_gradients(model, stepper, max_norm=run.optim.clip_norm)
        stepper.step()
        stepper.zero_grad()
        student.clamp()
        queue.push(data.ground[rows], rows)

        if log is not None:
            lr = run.optim.lr * factor
            log.write({"step": step + 1, "epoch": epoch, "loss": value, "lr": lr, "scale": scale.item()})
            if (step + 1) % run.output.checkpoint_every == 0 or step + 1 == total:
                _save(run, step + 1, student, optimizer, queue, log)
        progress("training", step + 1, total)

    if log is not None:
        log.close()
        _finish(run, pairs, start, student, data, total, progress)
    fabric.barrier()
    return folder / "checkpoint"


@dataclass(frozen=True, eq=False)
class _Material:
    """What the steps read: all of it on the device, but patches, which stay where they are cached."""

    keys: list[str]
    overhead: NDArray[np.uint8]
    """`[N, P, P, 3]`."""
    ground: Tensor
    """`[N, D]`."""
    features: Tensor
    """`[N, 12]`."""
    preprocess: Preprocess
    years: tuple[int, int]
    """First and last of the photos."""


def _material(run: Run, pairs: Pairs, start: Checkpoint, fabric: Fabric, progress: Progress) -> _Material:
    """Read and decode all pairs once, and embed their photos unless that was done before."""
    cache = Path(run.output.folder) / "cache"
    start.to(fabric.device)
    if start.ground is not None:
        quickest_attention(start.ground, fabric.device)
    pixels = run.augment.source_pixels or start.patch_pixels
    source = replace(start.overhead_preprocess, size=pixels, shortest_edge=None)
    large = pairs.count(run.data.split) * 3 * pixels**2 > run.output.cache_gb * 1e9
    data = read_training_set(
        pairs,
        run.data.split,
        source,
        run.model.encoding,
        progress=progress,
        spill=cache / f"overhead-{fabric.global_rank}.npy" if large else None,
    )
    with fabric.rank_zero_first():  # the others find its cache
        ground = ground_embeddings(
            pairs,
            run.data.split,
            start,
            fallback=cache,
            precision=run.optim.precision,
            progress=progress,
        )
    return _Material(
        data.keys,
        data.overhead,
        torch.from_numpy(ground).to(fabric.device),
        torch.from_numpy(data.features).to(fabric.device),
        overhead_preprocess(run.model.overhead_stats, start.overhead_preprocess, data.overhead),
        data.years,
    )


def _fabric(run: Run) -> Fabric:
    """Devices and precision; starts the other processes when there are several devices."""
    device = run.optim.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise RunFileError('optim.device "cuda" is not there on this machine: use "auto" or "cpu"')
    precision = "bf16-mixed" if run.optim.precision == "bfloat16" else "32-true"
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces its settings otherwise
    strategy = "ddp" if run.optim.devices > 1 else "auto"
    fabric = Fabric(accelerator=device, devices=run.optim.devices, strategy=strategy, precision=precision)
    fabric.launch()
    return fabric


def _opened(path: str) -> Pairs:
    """The pair set of a run file."""
    from sat2cap.pairs.dataset import open_pairs  # here, since it needs geopandas and the loop does not

    return open_pairs(path)


def _check(run: Run, pairs: Pairs) -> None:
    """RunFileError when a split is too small for the run."""
    count, least = pairs.count(run.data.split), max(run.optim.batch, run.loss.queue)
    if count < least:
        raise RunFileError(
            f"split {run.data.split} of {run.data.pairs} has {count} pairs, fewer than optim.batch "
            f"{run.optim.batch} or loss.queue {run.loss.queue}: lower them or build more pairs"
        )


def _restore(folder: Path, student: Student, optimizer: torch.optim.Optimizer, queue: RingQueue) -> int:
    """Put back the newest state, if any; the steps that are done."""
    state = load_state(folder)
    if state is None:
        return 0
    student.load_state_dict(state["student"])
    optimizer.load_state_dict(state["optimizer"])
    queue.restore(state["queue"])
    return int(state["step"])


def _save(
    run: Run, step: int, student: Student, optimizer: torch.optim.Optimizer, queue: RingQueue, log: Log
) -> None:
    """What a killed run goes on from; the log reaches the disk first, since a state needs its lines."""
    _check_finite(student, step)
    log.sync(step, run.optim.batch)
    state = {
        "student": student.state_dict(),
        "optimizer": optimizer.state_dict(),
        "queue": queue.state(),
    }
    save_state(Path(run.output.folder) / "state", step, state, run.output.keep)


def _not_a_number(value: float, step: int, embedding: Tensor, keys: list[str]) -> str:
    """What to say of a loss that is no number: the pairs that made it so, where that can be told."""
    spoilt = (~torch.isfinite(embedding).all(dim=1)).nonzero().flatten().tolist()
    named = [keys[row] for row in spoilt if row < len(keys)] or keys
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return (
        f"loss is {value} at step {step}, with pairs {', '.join(named[:5])}{more}: lower optim.lr or set "
        "optim.clip_norm; states saved before are good"
    )


def _check_finite(student: Student, step: int) -> None:
    """JobError rather than a saved state that is spoilt."""
    for name, value in student.named_parameters():
        if not bool(torch.isfinite(value).all()):
            raise JobError(
                f"weights {name} hold no numbers after step {step}: lower optim.lr or set optim.clip_norm"
            )


def _finish(
    run: Run,
    pairs: Pairs,
    start: Checkpoint,
    student: Student,
    data: _Material,
    steps: int,
    progress: Progress,
) -> None:
    """Write the checkpoint with its figures, then forget the states."""
    folder = Path(run.output.folder)
    metrics: dict[str, Any] = {"loss": mean_loss(folder / LOG_FILE, SMOOTHED)}
    quickest = trained_checkpoint(run, start, student, data.preprocess, {})
    metrics |= validate(run, pairs, start, quickest, folder / "cache", progress)
    done = replace(quickest, card=card(run, pairs, start, data.years, steps, metrics))
    save_checkpoint(done.to("cpu"), folder / "checkpoint")
    remove_states(folder / "state")
