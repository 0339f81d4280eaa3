"""Decoded patches in a file: for splits whose patches do not fit in memory, decoded once for all runs.

Beside the shards, in the pair set's folder of caches::

    patches-train-3f0c….npy       uint8 [N, P, P, 3], memory-mapped by all processes of a machine
    patches-train-3f0c….npz       keys and moments; written last, so the patches are whole if it exists
    patches-train-3f0c….progress  number of patches that are decoded, while they are
    patches-train-3f0c….lock      held by the process that decodes; the others wait for it

The name holds a hash of the pairs' fingerprint and of the preprocessing. All bytes are allocated before
the first patch is decoded: a write to a memory-mapped file on a full disk would kill the process instead
of raising an error.
"""

import errno
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import JobError, PairsError
from sat2cap.files import canonical_json, digest, publish, write_bytes
from sat2cap.formatting import format_bytes
from sat2cap.locks import wait_for_lock
from sat2cap.lookahead import count_cores, map_ahead
from sat2cap.model import Preprocess
from sat2cap.progress import Progress
from sat2cap.training.data.patches import CHUNK, Pairs, TrainingSet, calendar_columns, decode_patch

_CHUNKS_PER_NOTE = 20
"""A killed decoding loses at most this many chunks."""


def open_decoded_file(
    pairs: Pairs, split: str, preprocess: Preprocess, folder: Path, progress: Progress
) -> TrainingSet:
    """Return a split whose patches are in a file of `folder`, decoding them unless that was done before.

    Processes that call this at once share one file: the first decodes, the others wait. An interrupted
    decoding goes on where it was. Raises `JobError`, before any work, if the file does not fit on the
    disk, and `PairsError` if an image is broken or pairs are missing.
    """
    shape = (pairs.count(split), preprocess.size, preprocess.size, 3)
    path = _decoded_path(pairs, split, preprocess, folder)
    with wait_for_lock(path.with_suffix(".lock")):
        if not path.with_suffix(".npz").exists():
            _decode_split(pairs, split, preprocess, path, shape, progress)
    return _open_file(path)


def find_decoded_file(pairs: Pairs, split: str, preprocess: Preprocess, folder: Path) -> TrainingSet | None:
    """Return a split whose patches another run has decoded to a file of `folder`; None if none has, yet.

    Raises `PairsError` if the file cannot be read.
    """
    path = _decoded_path(pairs, split, preprocess, folder)
    return _open_file(path) if path.with_suffix(".npz").exists() else None


def _decoded_path(pairs: Pairs, split: str, preprocess: Preprocess, folder: Path) -> Path:
    """Return the file in `folder` for these pairs and this preprocessing, but for the colours' statistics."""
    settings = {name: value for name, value in asdict(preprocess).items() if name not in ("mean", "std")}
    identity = digest(pairs.fingerprint, split, canonical_json(settings))[:24]
    return folder / f"patches-{split}-{identity}.npy"


def _open_file(path: Path) -> TrainingSet:
    """Return the split in the decoded file at `path`."""
    try:
        with np.load(path.with_suffix(".npz")) as index:
            keys, moments = [key.decode() for key in index["keys"].tolist()], index["moments"]
        return TrainingSet(keys, np.load(path, mmap_mode="r"), moments)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise PairsError(
            f"{path} cannot be read ({reason}): remove it and its .npz, so that it is made again"
        ) from error


def _decode_split(
    pairs: Pairs, split: str, preprocess: Preprocess, path: Path, shape: tuple[int, ...], progress: Progress
) -> None:
    """Decode the patches of a split that `path` lacks, each read by itself, and write its index last."""
    note = path.with_suffix(".progress")
    array, finished = _allocate_array(path, shape)
    try:
        locations = pairs.locate(split, path.parent, progress)

        def decode_row(row: int) -> NDArray[np.uint8]:
            return decode_patch(locations.read_patch(row), locations.key(row), preprocess)

        rows = range(finished, shape[0])
        progress("decoding overhead patches", finished, shape[0])
        for row, patch in enumerate(
            map_ahead(decode_row, rows, ahead=CHUNK, threads=count_cores()), finished
        ):
            array[row] = patch
            if (row + 1 - finished) % (CHUNK * _CHUNKS_PER_NOTE) == 0:
                array.flush()  # first the patches, then that they are there
                write_bytes(note, str(row + 1).encode())
            if (row + 1) % CHUNK == 0 or row + 1 == shape[0]:
                progress("decoding overhead patches", row + 1, shape[0])
    except PairsError:  # the pairs must be built again, and will be others
        path.unlink(missing_ok=True)
        note.unlink(missing_ok=True)
        raise
    array.flush()
    with publish(path.with_suffix(".npz")) as temporary:
        names = np.array([locations.key(row).encode() for row in range(shape[0])], np.bytes_)
        moments = calendar_columns(locations.lat, locations.lon, locations.taken)
        np.savez(temporary, keys=names, moments=moments)
    note.unlink(missing_ok=True)


def _allocate_array(path: Path, shape: tuple[int, ...]) -> tuple["np.memmap[Any, np.dtype[np.uint8]]", int]:
    """Return the array in `path`, all of it allocated on the disk, and how many of its patches are decoded.

    Raises `JobError` if it does not fit.
    """
    note = path.with_suffix(".progress")
    if path.exists() and note.exists():
        array = np.lib.format.open_memmap(path, mode="r+")
        if array.shape == shape:
            return array, int(note.read_text())
    size = int(np.prod(shape)) + 128  # the header of .npy files
    path.unlink(missing_ok=True)
    note.unlink(missing_ok=True)
    try:
        if shutil.disk_usage(path.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        path.unlink(missing_ok=True)
        free = shutil.disk_usage(path.parent).free
        raise JobError(
            f"decoded patches of {shape[0]:,} pairs need {format_bytes(size)} in {path.parent}, which has "
            f"{format_bytes(free)} free ({error.strerror}): make room, lower augment.source_pixels, or set "
            'output.decode = "always"'
        ) from error
    write_bytes(note, b"0")
    return array, 0
