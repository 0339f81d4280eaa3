"""What a build has finished: one line a shard, each naming the hash of the bytes it vouches for."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from sat2cap.errors import PairsError
from sat2cap.files import digest_file, write_bytes
from sat2cap.pairs.shard import ShardResult

NAME = "journal.jsonl"


def _append(path: Path, record: dict[str, object]) -> None:
    with path.open("ab") as file:
        file.write(json.dumps(record).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _lines(path: Path) -> list[dict[str, object]]:
    """The whole lines; a line torn by a kill, which can only be the last, is cut off."""
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("rb+") as file:
            file.truncate(len(whole))
    return [json.loads(line) for line in whole.splitlines()]


def begin(out: Path, identity: str) -> dict[str, ShardResult]:
    """Start the journal of a build, or go on with it: the finished shards that still match their hash.

    Raises `PairsError` if `out` holds the journal of another build.
    """
    path = out / NAME
    lines = _lines(path) if path.exists() else []
    if not lines:
        out.mkdir(parents=True, exist_ok=True)
        _append(path, {"identity": identity})
        return {}
    if lines[0].get("identity") != identity:
        raise PairsError(f"{out} holds a build from other photos, imagery or settings; choose another folder")
    results = {str(line["name"]): ShardResult(**line) for line in lines[1:]}  # type: ignore[arg-type]
    return {name: result for name, result in results.items() if _matches(out / "shards" / name, result)}


def _matches(path: Path, result: ShardResult) -> bool:
    return path.is_file() and digest_file(path) == result.sha256


def record(out: Path, result: ShardResult) -> None:
    """Note that a shard is finished; call it only once the shard is published."""
    _append(out / NAME, asdict(result))


def tidy(out: Path, identity: str, results: list[ShardResult]) -> None:
    """Rewrite the journal of a finished build with each shard once: interruptions leave no trace."""
    lines: list[dict[str, object]] = [{"identity": identity}, *(asdict(result) for result in results)]
    write_bytes(out / NAME, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
