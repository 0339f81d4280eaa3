"""The journal of a build: one JSON line for each finished shard, with the hash of its bytes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sat2cap.errors import PairsError
from sat2cap.files import parse_json
from sat2cap.pairs.shard import ShardResult
from sat2cap.pairs.shard_file import SHARDS, ShardFile
from sat2cap.stores import Store, open_store

NAME = "journal.jsonl"
"""File name of the journal inside the folder of a pair set."""
LOCK = "lock"
"""File name of the lock, which names the process that writes the set."""
UNLOCK = "sat2cap pairs unlock"
"""The command that releases the lock of a pair set in a bucket whose process is gone."""


@contextmanager
def writer_lock(out: Path | str | Store) -> Iterator[Store]:
    """Hold the lock of a pair set, which need not exist yet, for the body of a `with` statement.

    Yields its store. Raises `JobError` if another process holds the lock, `InputError` for all of a bucket,
    and `StoreError` where nothing can be written.
    """
    store = open_store(out)
    _ = store.parent  # which all of a bucket has not: the record of runs lies beside the set
    with store.writer.lock(LOCK, "pair set", UNLOCK):
        yield store


def break_lock(place: Path | str | Store) -> str | None:
    """Release the lock that a process left on a pair set in a bucket, and return who that was.

    None if there is none, and for a folder, whose lock ends with its process. Raises `JobError` if the
    process is known to be running, and `StoreError`.
    """
    return open_store(place).writer.break_lock(LOCK)


def open_journal(out: Store, identity: str) -> dict[str, ShardResult]:
    """Start the journal of a build, or continue it, and return the finished shards by name.

    `identity` is that of the build's plan. A shard counts as finished if its file exists and still has the
    hash in the journal; all of it is read. Raises `PairsError` if `out` holds the journal of another build.
    """
    lines = _read_lines(out.get_lines(NAME))
    if not lines:
        out.writer.append_line(NAME, _as_line({"identity": identity}))
        return {}
    if lines[0].get("identity") != identity:
        raise PairsError(
            f"{out.name} holds a build from other photos, imagery or settings; choose another folder"
        )
    results = {str(line["name"]): ShardResult(**line) for line in lines[1:] if "name" in line}
    intact = set(_find_intact(out, results))
    return {name: result for name, result in results.items() if name in intact}


def append_result(out: Store, result: ShardResult) -> None:
    """Append a finished shard to the journal; call it only after the shard is published."""
    out.writer.append_line(NAME, _as_line(asdict(result)))


def rewrite_journal(out: Store, identity: str, results: list[ShardResult]) -> None:
    """Replace the journal of a finished build by one that names each shard once.

    The result does not depend on how often the build was interrupted.
    """
    lines: list[dict[str, Any]] = [{"identity": identity}, *(asdict(result) for result in results)]
    out.writer.put_lines(NAME, b"".join(map(_as_line, lines)))


def _as_line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _read_lines(data: bytes) -> list[dict[str, Any]]:
    """Return the complete lines. A line that a kill cut short, which can only be the last, is left out."""
    return [parse_json(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def _find_intact(out: Store, results: dict[str, ShardResult]) -> list[str]:
    """Return the names of the shards that exist and have the hash that the journal gives them."""
    shards, intact = out.child(SHARDS), []

    def compare(name: str) -> None:
        with suppress(FileNotFoundError, IsADirectoryError):
            if ShardFile(shards, name).digest() == results[name].sha256:
                intact.append(name)

    out.map(compare, results)
    return intact
