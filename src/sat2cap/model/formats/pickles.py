"""Files that PyTorch pickled, read as data: what they would run is never run."""

import pickle
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sat2cap.errors import ModelError

_RUNS = re.compile(r"GLOBAL ([\w.]+)")


def read_pickle(path: Path, also: Sequence[type] = ()) -> Any:
    """What a file holds: tensors and plain values, and objects of the classes `also`, which only hold values.

    `ModelError` when it is broken, or would run code.
    """
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(also)):
            warnings.simplefilter("ignore")  # of the age of its format
            return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        runs = _RUNS.search(str(error))
    if runs is not None:
        rule = f"would run code when opened ({runs[1]}), and none of it was run"
        raise ModelError(f"{path} {rule}: give its weights alone, as safetensors")
    raise ModelError(f"{path} is broken, or was not written by PyTorch: save or download it again")


def pickled_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that holds them by name; `ModelError` as `read_pickle`, or when it does not."""
    value = read_pickle(path)
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no weights by name: save the model's state_dict")
    return {name: tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
