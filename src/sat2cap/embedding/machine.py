"""What decides the last bits of embeddings: the device, the processor and the versions of libraries."""

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sat2cap.model import Checkpoint


def describe_machine(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what decides the last bits of embeddings: device, processor and versions, as JSON values."""
    device = next(checkpoint.overhead.parameters()).device
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processor": _processor_name(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "sat2cap": metadata.version("sat2cap"),
    }


def _processor_name() -> str:
    """Return the name of the processor with the widest instructions that torch uses."""
    name = platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or a processor that has no name
        pass
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
