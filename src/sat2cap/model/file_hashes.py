"""Hashes of a model's files in its manifest, so that a bit that was turned in any of them is noticed.

A manifest names the SHA-256 of every file beside it (``files``) and of itself (``manifest_sha256``, over all
its other fields), which covers means, scales and the card. Both are written last. A manifest of an older
version has neither, and its files are taken as they are.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sat2cap.errors import ModelError
from sat2cap.files import canonical_json, digest, digest_file, write_json
from sat2cap.model.json_files import read_json
from sat2cap.model.weight_hashes import remembered_hash

FILES, SEAL = "files", "manifest_sha256"
_NOT_HASHED = ("README.md",)
"""Files that nothing is read from, and that people edit."""
_AGAIN = "copy, save or download the model again"


def write_sealed_manifest(path: Path, values: Mapping[str, Any]) -> None:
    """Write a manifest with the hashes of all files below its folder, which are written already."""
    folder = path.parent
    names = sorted(_list_files(folder) - {path.name})
    sealed = {**values, FILES: {name: digest_file(folder / name) for name in names}}
    sealed.pop(SEAL, None)
    write_json(path, {**sealed, SEAL: _digest_fields(sealed)})


def check_seal(path: Path, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each file that a manifest names, by path; empty for one of an older version.

    `values` is the content of the manifest at `path`. Raises `ModelError` if it does not match its own hash.
    """
    if FILES not in values and SEAL not in values:
        return {}
    hashes, fields = values.get(FILES), {name: value for name, value in values.items() if name != SEAL}
    try:
        is_sound = isinstance(hashes, dict) and _digest_fields(fields) == values.get(SEAL)
    except (ValueError, RecursionError):  # NaN, half a pair of letters, endless nesting
        is_sound = False
    if not is_sound:
        raise ModelError(f"{path} does not match its own hash, so it was damaged or edited: {_AGAIN}")
    return {str(name): str(sha) for name, sha in dict(hashes or {}).items()}


def check_files(folder: Path, hashes: Mapping[str, str], is_compared: Callable[[str], bool]) -> None:
    """Compare files with their hashes, of those for whose path `is_compared` is true.

    A file's hash is remembered beside it by size and time of change. Raises `ModelError`, which names the
    file, for one that is missing or does not match.
    """
    for name, expected in hashes.items():
        if not is_compared(name):
            continue
        file = folder / name
        try:
            stored = remembered_hash([file], f"sha256 {file.name}", partial(digest_file, file))
        except OSError as error:
            raise ModelError(f"{file} cannot be read ({error.strerror}): {_AGAIN}") from None
        if stored != expected:
            raise ModelError(f"{file} does not match its hash, so it was damaged or edited: {_AGAIN}")


def find_damaged_files(path: Path) -> tuple[int, list[str]]:
    """Read every file that the manifest at `path` names; what is remembered of them is not believed.

    Returns the number of files and the problems. Raises `ModelError` if the manifest itself is damaged, or of
    an older version, without hashes.
    """
    hashes = check_seal(path, read_json(path))
    if not hashes:
        raise ModelError(
            f"{path} names no hashes, so there is nothing to compare with: write the model again with "
            "sat2cap models convert"
        )
    problems = []
    for name, expected in sorted(hashes.items()):
        try:
            if digest_file(path.parent / name) != expected:
                problems.append(f"{name}: does not match its hash in {path.name}")
        except OSError as error:
            problems.append(f"{name}: cannot be read ({error.strerror})")
    extra = sorted(_list_files(path.parent) - hashes.keys() - {path.name})
    return len(hashes), problems + [f"{name}: is not named in {path.name}" for name in extra]


def _list_files(folder: Path) -> set[str]:
    """Return the paths of a folder's files but hidden ones and those that are not hashed."""
    names = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return {
        name.as_posix()
        for name in names
        if name.name not in _NOT_HASHED and not any(part.startswith(".") for part in name.parts)
    }


def _digest_fields(fields: Mapping[str, Any]) -> str:
    return digest(canonical_json(fields))
