"""The manifest of this package's own checkpoints, ``sat2cap.json`` (docs/checkpoint.md), read and checked."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat2cap.errors import ModelError, quote
from sat2cap.model.file_hashes import check_seal
from sat2cap.model.json_files import read_manifest
from sat2cap.model.networks.metadata import ENCODINGS, Encoding
from sat2cap.model.preprocess import Preprocess

CHECKPOINT_MANIFEST = "sat2cap.json"
FORMAT = "sat2cap-checkpoint"
VERSION = 1
CALIBRATION_FILE = "calibration.safetensors"


@dataclass(frozen=True)
class CheckpointManifest:
    """What the manifest of a checkpoint says."""

    parts: dict[str, Any]
    """Which parts there are, by name: ``overhead``, ``ground``, ``text``, ``dynamic``, ``calibration``."""
    encoding: Encoding
    """Encoding of place and time as features of the Dynamic Encoder."""
    logit_scale: float
    """Factor by which the loss multiplies cosines."""
    text_scale: float | None
    """Logit scale of the text tower's CLIP; None if not known."""
    overhead_preprocess: Preprocess
    ground_preprocess: Preprocess
    card: dict[str, Any]
    """name, source, licence, training run, metrics."""
    hashes: dict[str, str]
    """SHA-256 of every other file, by its path in the folder; empty in a checkpoint of an older version."""


def read_checkpoint_manifest(folder: Path) -> CheckpointManifest:
    """Return the manifest in a folder. Raises `ModelError` if it is damaged or of another version."""
    path = folder / CHECKPOINT_MANIFEST
    values = read_manifest(path, FORMAT, VERSION)
    try:
        encoding, parts, scale = values["encoding"], dict(values["parts"]), _as_scale(values["logit_scale"])
        text_scale = None if values.get("text_scale") is None else _as_scale(values["text_scale"])
        overhead, ground = (
            Preprocess.from_dict(values[f"{side}_preprocess"]) for side in ("overhead", "ground")
        )
        card = dict(values["card"])
        is_known = encoding in ENCODINGS
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} has a missing or wrong field ({quote(error)}): save the checkpoint again"
        ) from error
    if not is_known:
        raise ModelError(
            f"{folder} has encoding {encoding!r}, not one of {', '.join(ENCODINGS)}: update sat2cap"
        )
    hashes = check_seal(path, values)
    return CheckpointManifest(parts, encoding, scale, text_scale, overhead, ground, card, hashes)


def _as_scale(value: Any) -> float:
    """Return a scale of cosines. Raises `TypeError` or `ValueError` unless it is a finite number above 0."""
    if isinstance(value, bool) or not 0 < float(value) < math.inf:
        raise ValueError(f"scale {value!r} is no number above 0")
    return float(value)
