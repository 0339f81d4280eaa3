"""Device and precision of a run: chosen before the first step, and kept when the run is resumed."""

from dataclasses import replace
from pathlib import Path

import torch

from sat2cap.errors import RunFileError
from sat2cap.files import parse_json
from sat2cap.model import Compute, choose_compute
from sat2cap.training.output.resume_state import IDENTITY_FILE
from sat2cap.training.run import Optim, Run

_TRAINING_DEVICES = ("cpu", "cuda", "mps")
"""Devices that Fabric trains on."""


def settle_compute(run: Run) -> tuple[Run, Compute]:
    """Return the run with its precision settled in place of ``auto``, and the device and precision to use.

    A run that is resumed keeps the precision that it began with, which `run.json` in its folder records, so
    that its identity and its log stay those of one run. The reason in `Compute` says if this machine would
    choose another. Raises `RunFileError` if the device is not available.
    """
    recorded = _recorded_precision(Path(run.output.folder))
    if run.optim.precision != "auto" or recorded is None:
        compute = choose_training_compute(run.optim)
    else:
        own_choice = choose_training_compute(run.optim)
        compute = choose_training_compute(run.optim.model_copy(update={"precision": recorded}))
        reason = "as the run began"
        if own_choice.precision != recorded:
            reason += f"; this machine would take {own_choice.precision}: {own_choice.reason}"
        compute = replace(compute, reason=reason)
    optim = run.optim.model_copy(update={"precision": compute.precision})
    return run.model_copy(update={"optim": optim}), compute


def choose_training_compute(optim: Optim) -> Compute:
    """Return the device and precision that the section ``[optim]`` asks for or leaves to the machine.

    Raises `RunFileError` if the device is not available.
    """
    if optim.device == "auto":
        compute = choose_compute(optim.precision)
        if compute.device in _TRAINING_DEVICES:
            return compute
        on_processor = choose_compute(optim.precision, "cpu")
        note = f"training does not run on {compute.device}; "
        return replace(on_processor, reason=note + on_processor.reason)
    is_available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not is_available[optim.device]:
        raise RunFileError(
            f'optim.device "{optim.device}" is not available on this machine: use "auto" or "cpu"'
        )
    return choose_compute(optim.precision, optim.device)


def _recorded_precision(folder: Path) -> str | None:
    """Return the precision that a run in the folder began with; None without one that can be read."""
    try:
        recorded = parse_json((folder / IDENTITY_FILE).read_text(encoding="utf-8"))["optim"]["precision"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return recorded if recorded in ("float32", "bfloat16") else None
