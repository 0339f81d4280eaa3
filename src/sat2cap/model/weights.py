"""Weights in safetensors files as numpy arrays, mapped from disk, and their hashes.

A mapped file costs nothing until a number in it is used, so of a file with both towers only the text's is
read. The file is a length (8 bytes, little-endian), a JSON header of that length, and the numbers; numpy has
no bfloat16, in which many models are stored, so the library of the format cannot give these to it.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import ModelError
from sat2cap.files import canonical_json, parse_json

Floats = NDArray[np.float32]
Tensors = Mapping[str, NDArray[Any]]
"""Arrays by name; bfloat16 as its bits in `Bfloat16`."""


class _Shaped(Protocol):
    """An array of numpy or a tensor of torch: what weights are before and after torch is needed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size along each dimension."""
        ...

    @property
    def dtype(self) -> Any:
        """The type of its numbers."""
        ...


_FLOATS = re.compile(r"(torch\.)?(float(16|32|64)|bfloat16)|\[\('bfloat16', '<u2'\)\]")
"""Types of weights that are numbers by themselves, as numpy and torch name them."""
_LAYER = re.compile(r"(?P<start>.*\.layers\.)\d+\.(?P<leaf>.+)")

Weight = TypeVar("Weight", bound=_Shaped)

_BFLOAT16 = np.dtype([("bfloat16", "<u2")])
"""Half of a float32: its upper 16 bits, which is what makes it one again."""
_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": _BFLOAT16,
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def map_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Map the tensors of a safetensors file, read-only. Raises `ModelError` if it is missing or damaged."""
    try:
        content = np.memmap(path, mode="r")
        length = int.from_bytes(content[:8].tobytes(), "little")
        header = parse_json(content[8 : 8 + length].tobytes())
        numbers = content[8 + length :]
        header.pop("__metadata__", None)
        return {name: _view(numbers, **entry) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{path} cannot be read ({reason}): save or download the model again") from None


def _view(numbers: NDArray[np.uint8], dtype: str, shape: list[int], data_offsets: list[int]) -> NDArray[Any]:
    """Return one tensor of a file's numbers."""
    start, stop = data_offsets
    kind: np.dtype[Any] = _DTYPES[dtype]
    if not 0 <= start <= stop <= len(numbers) or stop - start != math.prod(shape) * kind.itemsize:
        raise ValueError("the file is cut short")
    tensor: NDArray[Any] = np.asarray(numbers[start:stop]).view(kind).reshape(shape)
    return tensor


def as_float32(tensor: NDArray[Any]) -> Floats:
    """Return a tensor of any shape as float32: itself if it is that already, else a copy.

    bfloat16, which numpy has no type for, is the type that `map_tensors` gives it.
    """
    if tensor.dtype == _BFLOAT16:
        return (tensor["bfloat16"].astype(np.uint32) << 16).view(np.float32)
    return tensor.astype(np.float32, copy=False)


def digest_arrays(weights: Iterable[tuple[str, NDArray[Any]]]) -> str:
    """Return the SHA-256 of weights: names, types, shapes and bytes, in the order given; 64 hex digits.

    `networks.towers.digest_weights` returns the same for tensors, so types are named as torch names them.
    """
    sha = hashlib.sha256()
    for name, array in weights:
        sha.update(canonical_json([name, f"torch.{array.dtype.name}", list(array.shape)]).encode())
        sha.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


def digest_as_float32(weights: Tensors, names: Iterable[str]) -> str:
    """Return the SHA-256 of the named weights in float32, ordered by name, as a loaded tower has them."""
    return digest_arrays((name, as_float32(weights[name])) for name in sorted(names))


def select_weights(
    weights: Mapping[str, Weight],
    shapes: Mapping[str, tuple[int, ...]],
    where: str,
    kind: str,
    prefix: str = "",
) -> dict[str, Weight]:
    """Return the weights of one tower by its own names, after checking that all are there.

    They are arrays or tensors. `weights` may hold more, and its names may begin with `prefix`, as in a file
    of both towers. Raises `ModelError`, which names the file or folder as `where` and the tower as `kind`, if
    one is missing, or has another shape or no float type.
    """
    if prefix and any(name.startswith(prefix) for name in weights):
        weights = {n.removeprefix(prefix): value for n, value in weights.items() if n.startswith(prefix)}
    missing = [name for name in shapes if name not in weights]
    if missing:
        raise ModelError(
            f"{where} lacks {len(missing)} weights of {kind}, {missing[0]} first: "
            "give a model saved whole, projections included"
        )
    other_types = [name for name in shapes if not _FLOATS.fullmatch(str(weights[name].dtype))]
    if other_types:
        name = other_types[0]
        raise ModelError(
            f"{where} has {name} as {weights[name].dtype}, quantised numbers that mean nothing without their "
            "scales: give the model as float32, float16 or bfloat16"
        )
    wrong_shape = [name for name, shape in shapes.items() if weights[name].shape != shape]
    if wrong_shape:
        name = wrong_shape[0]
        raise ModelError(
            f"{where} has {name} of shape {list(weights[name].shape)} but its config "
            f"says {list(shapes[name])}: put back the config.json it was saved with"
        )
    beyond = next(filter(None, (_layer_beyond(name, shapes) for name in weights)), None)
    if beyond is not None:
        raise ModelError(
            f"{where} has {beyond}, a layer more than its config says: "
            "put back the config.json it was saved with"
        )
    return {name: weights[name] for name in shapes}


def _layer_beyond(name: str, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return the name of a weight if it is that of a layer after the last one of the tower in `shapes`."""
    match = _LAYER.fullmatch(name)
    if match is None or name in shapes or f"{match['start']}0.{match['leaf']}" not in shapes:
        return None
    return name
