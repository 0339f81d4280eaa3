"""Checkpoints on disk (docs/checkpoint.md): folders of safetensors and JSON, published whole.

::

    sat2cap.json          written last: format, list of parts, preprocessing, encoding, scale, card, hashes
    overhead/             config.json, model.safetensors   an image tower, in transformers' own form
    ground/               the same, unless it is the same network as overhead or absent
    text/                 the same for a text tower, and its tokenizer
    dynamic.safetensors   fc1, fc2 of the Dynamic Encoder
    calibration.safetensors   held-out photos and their places
"""

from pathlib import Path
from typing import Any

import torch

from sat2cap.errors import ModelError
from sat2cap.files import publish_folder
from sat2cap.model.calibration import Calibration, read_calibration
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.file_hashes import check_files, write_sealed_manifest
from sat2cap.model.formats.checkpoint_manifest import (
    CALIBRATION_FILE,
    CHECKPOINT_MANIFEST,
    FORMAT,
    VERSION,
    read_checkpoint_manifest,
)
from sat2cap.model.networks import towers
from sat2cap.model.networks.dynamic_encoder import read_dynamic_encoder
from sat2cap.model.weights import map_tensors


def read_checkpoint(folder: Path) -> Checkpoint:
    """Return the checkpoint that `save_checkpoint` wrote.

    Raises `ModelError`, which names the file, if one is missing, damaged, of another version, or of other
    shapes than its config says.
    """
    manifest = read_checkpoint_manifest(folder)
    check_files(folder, manifest.hashes, lambda name: True)
    parts = manifest.parts
    overhead = towers.load_vision_tower(folder if parts.get("overhead") == "top" else folder / "overhead")
    ground_readers = {
        "own": lambda: towers.load_vision_tower(folder / "ground"),
        "overhead": lambda: overhead,
    }
    return Checkpoint(
        overhead=overhead,
        ground=ground_readers.get(str(parts.get("ground")), lambda: None)(),
        text=towers.load_text_tower(folder / "text", manifest.text_scale) if parts.get("text") else None,
        dynamic=read_dynamic_encoder(
            towers.read_tensors(folder / "dynamic.safetensors"), str(folder / "dynamic.safetensors")
        )
        if parts.get("dynamic")
        else None,
        logit_scale=manifest.logit_scale,
        encoding=manifest.encoding,
        overhead_preprocess=manifest.overhead_preprocess,
        ground_preprocess=manifest.ground_preprocess,
        card=manifest.card,
        calibration=_read_calibration(folder, overhead.config.projection_dim)
        if parts.get("calibration")
        else None,
    )


def save_checkpoint(checkpoint: Checkpoint, folder: Path | str) -> Path:
    """Write a checkpoint and return its folder, which appears at once and whole.

    Raises `ModelError` if `folder` exists and is not a checkpoint, which alone is replaced.
    """
    target = Path(folder)
    check_target(target)
    with publish_folder(target) as temporary:
        _write_parts(checkpoint, temporary)
        write_sealed_manifest(temporary / CHECKPOINT_MANIFEST, _make_manifest(checkpoint))
    return target


def check_target(target: Path) -> None:
    """Raise `ModelError` if `target` is anything but a checkpoint, an empty folder or nothing."""
    if (
        target.exists()
        and not (target / CHECKPOINT_MANIFEST).is_file()
        and (target.is_file() or any(target.iterdir()))
    ):
        raise ModelError(f"{target} exists and is no sat2cap checkpoint: give another folder, or remove it")


def _read_calibration(folder: Path, dim: int) -> Calibration:
    """Return the calibration beside the manifest."""
    path = folder / CALIBRATION_FILE
    return read_calibration(map_tensors(path), int(dim), str(path))


def _write_parts(checkpoint: Checkpoint, folder: Path) -> None:
    """Write every file but the manifest."""
    towers.save_tower(checkpoint.overhead, folder / "overhead")
    if checkpoint.ground is not None and checkpoint.ground is not checkpoint.overhead:
        towers.save_tower(checkpoint.ground, folder / "ground")
    if checkpoint.text is not None:
        towers.save_text_tower(checkpoint.text, folder / "text")
    if checkpoint.dynamic is not None:
        towers.write_tensors(folder / "dynamic.safetensors", checkpoint.dynamic.state_dict())
    if checkpoint.calibration is not None:
        arrays = checkpoint.calibration.as_arrays()
        tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
        towers.write_tensors(folder / CALIBRATION_FILE, tensors)


def _make_manifest(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the content of sat2cap.json."""
    ground = "overhead" if checkpoint.ground is checkpoint.overhead else "own"
    return {
        "format": FORMAT,
        "version": VERSION,
        "identity": checkpoint.identity,
        "dim": checkpoint.dim,
        "parts": {
            "overhead": "own",
            "ground": None if checkpoint.ground is None else ground,
            "text": checkpoint.text is not None,
            "dynamic": checkpoint.dynamic is not None,
            "calibration": checkpoint.calibration is not None,
        },
        "encoding": checkpoint.encoding,
        "logit_scale": checkpoint.logit_scale,
        "text_scale": None if checkpoint.text is None else checkpoint.text.scale,
        "overhead_preprocess": checkpoint.overhead_preprocess.as_dict(),
        "ground_preprocess": checkpoint.ground_preprocess.as_dict(),
        "card": checkpoint.card,
    }
