"""What decides the last bits of embeddings: the device, the processor and the versions of libraries."""

from typing import Any

import numpy as np
import torch

from sat2cap.engines import package_versions, processor_name
from sat2cap.model import Checkpoint


def describe_machine(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what decides the last bits of embeddings: device, processor and versions, as JSON values."""
    device = next(checkpoint.overhead.parameters()).device
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        # with the widest instructions that torch uses
        "processor": f"{processor_name()}, {torch.backends.cpu.get_cpu_capability()}",
        "torch": torch.__version__,
        "numpy": np.__version__,
        **package_versions(),
    }
