"""Comparing all files of a model with the hashes that its manifest, or the cache of the hub, has of them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sat2cap.errors import ModelError
from sat2cap.files import digest_file
from sat2cap.model.file_hashes import find_damaged_files
from sat2cap.model.formats.checkpoint_manifest import CHECKPOINT_MANIFEST
from sat2cap.model.formats.hub import find_in_hub_cache, is_hub_name

_MANIFESTS = (CHECKPOINT_MANIFEST, "captioner.json")
_SHA256_DIGITS, _GIT_DIGITS = 64, 40


@dataclass(frozen=True)
class ModelVerification:
    """What reading all files of a model gave."""

    folder: Path
    files: int
    """Number of files that were compared."""
    problems: list[str]
    """One line for each file that is damaged, missing or not named; empty if the model is sound."""


def verify_model(spec: str | Path) -> ModelVerification:
    """Read all files of a model and compare them with their hashes; nothing remembered is believed.

    `spec` is a folder that this package saved, whose manifest has the hashes, or the name of a model in the
    cache of the Hugging Face hub, whose files are named after theirs. Raises `ModelError` if there is no such
    model, or it has no hashes.
    """
    folder = Path(spec)
    for name in _MANIFESTS:
        if (folder / name).is_file():
            return ModelVerification(folder, *find_damaged_files(folder / name))
    if folder.exists():
        raise ModelError(
            f"{folder} has no hashes, as it was not saved by sat2cap: write it as a checkpoint with "
            "sat2cap models convert"
        )
    cached = find_in_hub_cache(str(spec)) if is_hub_name(str(spec)) else None
    if cached is None:
        raise ModelError(
            f"model {str(spec)!r} is neither a folder here nor in the cache of the hub: "
            f"check the name, or run: sat2cap models fetch {spec}"
        )
    compared = [(file, _matches_its_name(file)) for file in sorted(cached.rglob("*")) if file.is_file()]
    problems = [
        f"{file.relative_to(cached)}: does not match the hash that the hub gave"
        for file, is_sound in compared
        if is_sound is False
    ]
    return ModelVerification(cached, sum(is_sound is not None for _, is_sound in compared), problems)


def _matches_its_name(file: Path) -> bool | None:
    """Return whether a file of the hub's cache has the hash that it is named after; None without such a name.

    Large files are named after their SHA-256, others after git's hash of a blob.
    """
    name = file.resolve().name
    if len(name) == _SHA256_DIGITS:
        return digest_file(file) == name
    if len(name) != _GIT_DIGITS:
        return None
    data = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == name
