"""A checkpoint on disk (docs/checkpoint.md): a folder of safetensors and JSON, seen whole or not at all.

::

    sat2cap.json          written last: format, what is there, preprocessing, encoding, scale, card
    overhead/             config.json, model.safetensors   an image tower, in transformers' own form
    ground/               the same, unless it is the same network as overhead or absent
    text/                 the same for a text tower, and its tokenizer
    dynamic.safetensors   fc1, fc2 of the Dynamic Encoder
    calibration.safetensors   held-out photos and their places
"""

from pathlib import Path
from typing import Any

from sat2cap.errors import ModelError
from sat2cap.files import publish_folder, write_json
from sat2cap.model.calibration import Calibration, read_calibration
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.networks import towers
from sat2cap.model.networks.dynamic_encoder import read_dynamic
from sat2cap.model.networks.metadata import ENCODINGS
from sat2cap.model.preprocess import Preprocess

CHECKPOINT_MANIFEST = "sat2cap.json"
FORMAT = "sat2cap-checkpoint"
VERSION = 1
_CALIBRATION = "calibration.safetensors"


def read_checkpoint(folder: Path) -> Checkpoint:
    """What `save_checkpoint` wrote."""
    values = towers.read_json(folder / CHECKPOINT_MANIFEST)
    if values.get("format") != FORMAT or values.get("version") != VERSION:
        raise ModelError(
            f"{folder / CHECKPOINT_MANIFEST} is {values.get('format')} version {values.get('version')}, "
            f"not {FORMAT} version {VERSION}: use the sat2cap release that wrote it"
        )
    try:
        encoding, parts, scale = values["encoding"], values["parts"], float(values["logit_scale"])
        seen = [Preprocess.from_dict(values[f"{side}_preprocess"]) for side in ("overhead", "ground")]
        card = dict(values["card"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{folder / CHECKPOINT_MANIFEST} lacks or spoils {error}: save the checkpoint again"
        ) from error
    if encoding not in ENCODINGS:
        raise ModelError(
            f"{folder} has encoding {encoding!r}, not one of {', '.join(ENCODINGS)}: update sat2cap"
        )
    overhead = towers.load_vision_tower(folder if parts.get("overhead") == "top" else folder / "overhead")
    grounds = {"own": lambda: towers.load_vision_tower(folder / "ground"), "overhead": lambda: overhead}
    return Checkpoint(
        overhead=overhead,
        ground=grounds.get(parts.get("ground"), lambda: None)(),
        text=towers.load_text_tower(folder / "text", values.get("text_scale")) if parts.get("text") else None,
        dynamic=read_dynamic(
            towers.read_tensors(folder / "dynamic.safetensors"), str(folder / "dynamic.safetensors")
        )
        if parts.get("dynamic")
        else None,
        logit_scale=scale,
        encoding=encoding,
        overhead_preprocess=seen[0],
        ground_preprocess=seen[1],
        card=card,
        calibration=_calibration(folder, overhead.config.projection_dim)
        if parts.get("calibration")
        else None,
    )


def save_checkpoint(ckpt: Checkpoint, folder: Path | str) -> Path:
    """Write a checkpoint so that nobody sees `folder` half written; replaces only a checkpoint or nothing."""
    target = Path(folder)
    if (
        target.exists()
        and not (target / CHECKPOINT_MANIFEST).is_file()
        and (target.is_file() or any(target.iterdir()))
    ):
        raise ModelError(f"{target} exists and is no sat2cap checkpoint: give another folder, or remove it")
    with publish_folder(target) as temporary:
        _write_parts(ckpt, temporary)
        write_json(temporary / CHECKPOINT_MANIFEST, _manifest(ckpt))
    return target


def _calibration(folder: Path, dim: int) -> Calibration:
    path = folder / _CALIBRATION
    return read_calibration(towers.read_tensors(path), int(dim), str(path))


def _write_parts(ckpt: Checkpoint, folder: Path) -> None:
    """Everything but the manifest."""
    towers.save_tower(ckpt.overhead, folder / "overhead")
    if ckpt.ground is not None and ckpt.ground is not ckpt.overhead:
        towers.save_tower(ckpt.ground, folder / "ground")
    if ckpt.text is not None:
        towers.save_text_tower(ckpt.text, folder / "text")
    if ckpt.dynamic is not None:
        towers.write_tensors(folder / "dynamic.safetensors", ckpt.dynamic.state_dict())
    if ckpt.calibration is not None:
        towers.write_tensors(folder / _CALIBRATION, ckpt.calibration.as_tensors())


def _manifest(ckpt: Checkpoint) -> dict[str, Any]:
    """What sat2cap.json says."""
    ground = "overhead" if ckpt.ground is ckpt.overhead else "own"
    return {
        "format": FORMAT,
        "version": VERSION,
        "identity": ckpt.identity,
        "dim": ckpt.dim,
        "parts": {
            "overhead": "own",
            "ground": None if ckpt.ground is None else ground,
            "text": ckpt.text is not None,
            "dynamic": ckpt.dynamic is not None,
            "calibration": ckpt.calibration is not None,
        },
        "encoding": ckpt.encoding,
        "logit_scale": ckpt.logit_scale,
        "text_scale": None if ckpt.text is None else ckpt.text.scale,
        "overhead_preprocess": ckpt.overhead_preprocess.as_dict(),
        "ground_preprocess": ckpt.ground_preprocess.as_dict(),
        "card": ckpt.card,
    }
