"""The manifest of this package's own checkpoints, ``sat2cap.json`` (docs/checkpoint.md), read and checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat2cap.errors import ModelError
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


def read_checkpoint_manifest(folder: Path) -> CheckpointManifest:
    """Return the manifest in a folder. Raises `ModelError` if it is damaged or of another version."""
    values = read_manifest(folder / CHECKPOINT_MANIFEST, FORMAT, VERSION)
    try:
        encoding, parts, scale = values["encoding"], dict(values["parts"]), float(values["logit_scale"])
        overhead, ground = (
            Preprocess.from_dict(values[f"{side}_preprocess"]) for side in ("overhead", "ground")
        )
        card = dict(values["card"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{folder / CHECKPOINT_MANIFEST} has a missing or wrong field ({error}): "
            "save the checkpoint again"
        ) from error
    if encoding not in ENCODINGS:
        raise ModelError(
            f"{folder} has encoding {encoding!r}, not one of {', '.join(ENCODINGS)}: update sat2cap"
        )
    return CheckpointManifest(parts, encoding, scale, values.get("text_scale"), overhead, ground, card)
