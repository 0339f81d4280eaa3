"""Reading files that PyTorch pickled, as data only: code in them is never run."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sat2cap.errors import ModelError

_REFUSED_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def read_pickle(path: Path, allowed: Sequence[type] = ()) -> Any:
    """Return what a file holds: tensors, plain values, and objects of the `allowed` classes.

    Classes in `allowed` must only hold values. Raises `ModelError` if the file is damaged or would run code.
    """
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(allowed)):
            warnings.simplefilter("ignore")  # about old file formats
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of any kind: the unpickler looks up and calls what the bytes say
        refused = _REFUSED_GLOBAL.search(str(error))
    if refused is not None:
        rule = f"would run code when opened ({refused[1]}), and none of it was run"
        raise ModelError(f"{path} {rule}: give its weights alone, as safetensors")
    raise ModelError(f"{path} is broken, or was not written by PyTorch: save or download it again")


def read_pickled_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors, by name, of a pickled dict; other values are left out.

    Raises `ModelError` as `read_pickle` does, or if the file does not hold a dict.
    """
    value = read_pickle(path)
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no weights by name: save the model's state_dict")
    return {name: tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
