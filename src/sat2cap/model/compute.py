"""Choice of the device and the precision of a computation: float32, bfloat16 or int8, on a CPU or a GPU.

Measured by ``benchmarks/precision.py``; what was tried and not taken is in docs/LOG.md.
"""

import math
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import torch
from torch import nn

from sat2cap.errors import ModelError

Precision = Literal["float32", "bfloat16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

PrecisionChoice = Literal["auto", "float32", "bfloat16"]
"""Precision of a run file: ``auto`` leaves the choice to `choose_compute`."""

_MIN_SPEEDUP = 1.1
"""How many times faster than float32 a measured bfloat16 must be to be chosen."""

_TIMED_ROUNDS = 3
"""Number of times that a step in each precision is timed; the fastest counts."""


@dataclass(frozen=True)
class Compute:
    """A device and a precision, with the reason for the choice."""

    device: str
    """Torch's name of the device: ``cpu``, ``cuda``, ``xpu`` (Intel) or ``mps`` (Apple silicon)."""
    precision: Precision
    reason: str
    """Reason for the choice, in a few words for people."""

    def __str__(self) -> str:
        return f"{self.precision} on {self.device} ({self.reason})"


def choose_compute(choice: str | None = None, device: str | None = None) -> Compute:
    """Return the device and the precision to compute with.

    `choice` is a `Precision`; with None or ``auto`` it is the fastest one of float32 and bfloat16: by the
    instructions of the processor or GPU or, where these do not tell, by timing a few steps in each. int8 is
    chosen only on request, since its accuracy depends on the weights. `device` is torch's name of a device;
    if None, it is a GPU that runs every operator of a vision transformer, else the processor.

    bfloat16 that is requested where it is emulated causes a warning with the measured ratio. Raises
    `ModelError` if `choice` is no precision, or the device cannot compute in it.
    """
    requested = next((precision for precision in PRECISIONS if precision == choice), None)
    if requested is None and choice not in (None, "auto"):
        raise ModelError(f"precision {choice!r} is not known: give one of auto, {', '.join(PRECISIONS)}")
    device, note = (device, "") if device is not None else _choose_device()
    if requested == "int8" and not (device == "cpu" and has_int8()):
        raise ModelError(
            f"int8 needs a CPU with VNNI instructions, and this runs on {device}: use bfloat16 or float32"
        )
    if requested is None:
        precision, reason = _fastest_precision(device)
        return Compute(device, precision, note + reason)
    if requested == "bfloat16" and not has_bfloat16(device):
        _warn_if_emulated(device)
    return Compute(device, requested, f"{note}as requested")


def _choose_device() -> tuple[str, str]:
    """Return the first GPU that runs a vision transformer, else ``cpu``; and what is to be said of others."""
    if torch.cuda.is_available():
        return "cuda", ""
    for name, is_available in (("xpu", torch.xpu.is_available), ("mps", torch.backends.mps.is_available)):
        if is_available():
            error = find_device_error(name)
            return (name, "") if error is None else ("cpu", f"{name} does not run it: {error}; ")
    return "cpu", ""


def find_device_error(device: str) -> str | None:
    """Return the first line of the error of a training step on a device; None if it runs."""
    try:
        _make_timed_step(device, torch.float32)()
    except (RuntimeError, NotImplementedError, AssertionError) as error:  # an operator that is missing
        return str(error).split("\n")[0][:100]
    return None


def _fastest_precision(device: str) -> tuple[Precision, str]:
    """Return the precision that a device is fastest in, and the reason."""
    processor = "processor" if device == "cpu" else "GPU"
    has_instructions = has_bfloat16(device)
    if has_instructions is not None:
        text = f"this {processor} has {'' if has_instructions else 'no '}bfloat16 instructions"
        return "bfloat16" if has_instructions else "float32", text
    speedup = measure_bfloat16_speedup(device)
    precision: Precision = "bfloat16" if speedup >= _MIN_SPEEDUP else "float32"
    return precision, f"bfloat16 was measured at {speedup:.2g} x the speed of float32 on this {processor}"


def _warn_if_emulated(device: str) -> None:
    """Warn of bfloat16 that is slower than float32 on a device, with the measured ratio."""
    speedup = measure_bfloat16_speedup(device)
    if speedup < 1:
        warnings.warn(
            f"bfloat16 takes {1 / speedup:.2g} times as long as float32 on this "
            f"{'processor' if device == 'cpu' else 'GPU'}, measured now: use precision auto",
            stacklevel=3,
        )


def has_bfloat16(device: str = "cpu") -> bool | None:
    """Return whether a device has bfloat16 instructions; None if only timing can tell.

    Processors without them emulate bfloat16, slower than float32. Those of ARM may have instructions that
    torch's matrix products make no use of, and Apple's GPUs do not say.
    """
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "xpu":
        return torch.xpu.is_bf16_supported(including_emulation=False)
    if device != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def has_int8() -> bool:
    """Return whether the CPU has VNNI instructions, which sum products of bytes without overflow."""
    return torch.cpu._is_vnni_supported() and hasattr(torch.ops.onednn, "qlinear_pointwise")


@cache
def measure_bfloat16_speedup(device: str) -> float:
    """Return how many times as fast a training step is in bfloat16 as in float32 on a device.

    The fastest of a few steps counts, which alternate between the precisions; 0 if the device cannot compute
    in bfloat16. It takes a second or two where bfloat16 is emulated.
    """
    fastest_s = {torch.float32: math.inf, torch.bfloat16: math.inf}
    try:
        steps = {dtype: _make_timed_step(device, dtype) for dtype in fastest_s}
        for _ in range(_TIMED_ROUNDS):
            for dtype, step in steps.items():
                fastest_s[dtype] = min(fastest_s[dtype], step())
    except (RuntimeError, NotImplementedError):  # no bfloat16 on this device
        return 0.0
    return fastest_s[torch.float32] / fastest_s[torch.bfloat16]


def _make_timed_step(device: str, dtype: torch.dtype) -> Callable[[], float]:
    """Return a function that takes a training step of a small vision transformer, and returns its seconds."""
    width = 128
    with torch.random.fork_rng(devices=[]):  # the weights are drawn without a trace in torch's generator
        network = nn.ModuleDict(
            {
                "patches": nn.Conv2d(3, width, 8, 8),
                "norm": nn.LayerNorm(width),
                "attention": nn.Linear(width, 3 * width),
                "up": nn.Linear(width, 4 * width),
                "down": nn.Linear(4 * width, width),
            }
        ).to(device)
        images = torch.randn(32, 3, 48, 48).to(device)

    def take_step() -> float:
        start_s = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16):
            tokens = network["patches"](images).flatten(2).transpose(1, 2)
            query, key, value = network["attention"](network["norm"](tokens)).chunk(3, -1)
            tokens = tokens + (query @ key.transpose(1, 2) / width**0.5).softmax(-1) @ value
            hidden = network["up"](network["norm"](tokens))
            tokens = tokens + network["down"](hidden * torch.sigmoid(1.702 * hidden))
        loss = tokens.float().square().mean()
        loss.backward()
        loss.item()  # waits for a GPU
        return time.perf_counter() - start_s

    return take_step
