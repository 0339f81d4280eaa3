"""The journal of a build: one JSON line for each finished shard, with the hash of its bytes."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from sat2cap.errors import PairsError
from sat2cap.files import digest_file, parse_json, write_bytes
from sat2cap.pairs.shard import ShardResult

NAME = "journal.jsonl"
"""File name of the journal inside the folder of a pair set."""


def open_journal(out: Path, identity: str) -> dict[str, ShardResult]:
    """Start the journal of a build, or continue it, and return the finished shards by name.

    `identity` is that of the build's plan. A shard counts as finished if its file exists and still has the
    hash in the journal. Raises `PairsError` if `out` holds the journal of another build.
    """
    path = out / NAME
    lines = _read_lines(path) if path.exists() else []
    if not lines:
        out.mkdir(parents=True, exist_ok=True)
        _append_line(path, {"identity": identity})
        return {}
    if lines[0].get("identity") != identity:
        raise PairsError(f"{out} holds a build from other photos, imagery or settings; choose another folder")
    results = {str(line["name"]): ShardResult(**line) for line in lines[1:]}  # type: ignore[arg-type]
    return {name: result for name, result in results.items() if _is_intact(out / "shards" / name, result)}


def append_result(out: Path, result: ShardResult) -> None:
    """Append a finished shard to the journal; call it only after the shard is published."""
    _append_line(out / NAME, asdict(result))


def rewrite_journal(out: Path, identity: str, results: list[ShardResult]) -> None:
    """Replace the journal of a finished build by one that names each shard once.

    The result does not depend on how often the build was interrupted.
    """
    lines: list[dict[str, object]] = [{"identity": identity}, *(asdict(result) for result in results)]
    write_bytes(out / NAME, b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def _append_line(path: Path, record: dict[str, object]) -> None:
    with path.open("ab") as file:
        file.write(json.dumps(record).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _read_lines(path: Path) -> list[dict[str, object]]:
    """Return the complete lines. A line that a kill cut short, which can only be the last, is removed."""
    data = path.read_bytes()
    complete = data[: data.rfind(b"\n") + 1]
    if len(complete) < len(data):
        with path.open("rb+") as file:
            file.truncate(len(complete))
    return [parse_json(line) for line in complete.splitlines()]


def _is_intact(path: Path, result: ShardResult) -> bool:
    """Return whether a shard's file exists and has the hash that the journal gives it."""
    return path.is_file() and digest_file(path) == result.sha256
