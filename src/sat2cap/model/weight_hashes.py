"""Hashes of weights, remembered beside their files: hashing takes about a second for each gigabyte.

A hash is found again by the files' names, sizes and times of change, which change with their content. The
record is ``.sat2cap-hashes.json`` in the folder of the files, or where that cannot be written, a file in
``~/.cache/sat2cap/hashes`` (or under ``$XDG_CACHE_HOME``). It may be removed at any time.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sat2cap.files import digest, parse_json, write_json

HASHES_FILE = ".sat2cap-hashes.json"
"""Name of the record of hashes in a folder of weights."""


def remembered_hash(files: Sequence[Path], subject: str, compute: Callable[[], str]) -> str:
    """Return the hash of `subject`, which depends on nothing but the content of `files`.

    It is computed unless it is remembered for the files as they are now.
    """
    key = digest(subject)
    try:
        states = {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in files}
    except OSError:
        return compute()
    places = [files[0].parent / HASHES_FILE, _cache_file(files[0].parent)]
    for place in places:
        entry = _read(place).get(key, {})
        if isinstance(entry, dict) and entry.get("files") == states and isinstance(entry.get("hash"), str):
            return str(entry["hash"])
    value = compute()
    for place in places:
        if _write(place, key, {"files": states, "hash": value}):
            break
    return value


def _cache_file(folder: Path) -> Path:
    """Return where hashes are kept for a folder that cannot be written."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "sat2cap" / "hashes" / f"{digest(str(folder.resolve()))[:32]}.json"


def _read(path: Path) -> dict[str, Any]:
    """Return the entries of a record; none if there is no such file, or it holds something else."""
    try:
        value = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(path: Path, key: str, entry: dict[str, Any]) -> bool:
    """Add an entry to a record, without those of other states of its files; return whether that worked."""
    states = entry["files"]

    def is_current(value: Any) -> bool:
        remembered = value.get("files") if isinstance(value, dict) else None
        if not isinstance(remembered, dict):
            return False
        return all(states.get(name, state) == state for name, state in remembered.items())

    entries = {name: value for name, value in _read(path).items() if is_current(value)}
    try:
        write_json(path, {**entries, key: entry})
    except (OSError, ValueError):
        return False
    return True
