"""Resume states, from which a killed run continues, and the log, cut back to the same step."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from sat2cap.errors import JobError, RunFileError
from sat2cap.files import parse_json, publish, write_json

IDENTITY_FILE = "run.json"
LOG_FILE = "log.jsonl"


def claim_folder(folder: Path, identity: str, settings: dict[str, Any]) -> None:
    """Claim `folder` for the run of that identity, whose settings are written to `IDENTITY_FILE`.

    Raises `RunFileError` if the folder holds another run.
    """
    path = folder / IDENTITY_FILE
    try:
        recorded = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        write_json(path, {"identity": identity, **settings})
        return
    except (OSError, ValueError) as error:
        raise RunFileError(
            f"{path} cannot be read ({error}): give another [output] folder or remove it"
        ) from error
    if recorded.pop("identity", None) != identity:
        names = _setting_differences(recorded, settings) or ["other software or data of the same name"]
        raise RunFileError(
            f"{folder} holds another run ({'; '.join(names)}): give another [output] folder or remove it"
        )


def _setting_differences(recorded: Any, current: Any, name: str = "") -> list[str]:
    """Return the settings that differ, as ``name then -> now``."""
    if isinstance(recorded, dict) and isinstance(current, dict):
        keys = sorted(recorded.keys() | current.keys())
        return [
            line
            for key in keys
            for line in _setting_differences(
                recorded.get(key), current.get(key), f"{name}.{key}" if name else key
            )
        ]
    return [] if recorded == current else [f"{name} {recorded} -> {current}"]


def save_state(folder: Path, step: int, state: dict[str, Any], keep: int) -> None:
    """Publish the state after `step` steps and remove all but the newest `keep`."""
    with publish(folder / f"step-{step:09d}.pt") as temporary, temporary.open("wb") as file:
        torch.save({"step": step, **state}, file)  # a file of Python's: its error says that the disk is full
    for path in sorted(folder.glob("step-*.pt"))[:-keep]:
        path.unlink()


def load_state(folder: Path) -> dict[str, Any] | None:
    """Load the newest resume state; return None if there is none. Raises JobError if the file is broken."""
    for leftover in folder.glob(".step-*"):  # from a process that was killed while writing
        leftover.unlink()
    paths = sorted(folder.glob("step-*.pt"))
    if not paths:
        return None
    try:
        state: dict[str, Any] = torch.load(paths[-1], map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file makes the unpickler raise anything
        reason = " ".join(str(error).split())[:200]
        raise JobError(
            f"{paths[-1]} is broken ({reason}): remove it to continue from the state before"
        ) from error
    return state


def remove_states(folder: Path) -> None:
    """Remove all resume states; called once the run is complete."""
    shutil.rmtree(folder, ignore_errors=True)


class Log:
    """Log file with one JSON line per step; each step is in it once, however often the run was killed."""

    def __init__(self, path: Path, after: int) -> None:
        """Open the log to append behind the line of step `after`; lines beyond it are cut off.

        Raises `JobError` if the log has fewer lines.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_bytes().splitlines(keepends=True)[:after] if path.exists() else []
        if len(lines) < after or not all(line.endswith(b"\n") for line in lines):
            raise JobError(
                f"{path} has fewer lines than the {after} steps done: remove the run's folder and start again"
            )
        self._path = path
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._file.truncate(sum(len(line) for line in lines))
        self._file.seek(0, os.SEEK_END)
        self._times = path.with_name("times.jsonl")
        self._since = (after, time.monotonic())

    def write(self, record: dict[str, Any]) -> None:
        """Append one record as a JSON line and flush it to the system. Raises `OSError` on a full disk."""
        try:
            self._file.write(json.dumps(record).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def sync_to_disk(self, step: int, batch: int) -> None:
        """Flush the log to disk; append the speed, which differs between equal runs, to ``times.jsonl``."""
        os.fsync(self._file.fileno())
        now = time.monotonic()
        rate = (step - self._since[0]) * batch / max(now - self._since[1], 1e-9)
        with self._times.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "samples_per_second": round(rate, 1)}) + "\n")
        self._since = (step, now)

    def close(self) -> None:
        """Close the log file."""
        self._file.close()


def mean_loss(path: Path, count: int) -> float:
    """Return the mean loss of the last `count` steps of a log."""
    lines = path.read_text(encoding="utf-8").splitlines()[-count:]
    return sum(float(parse_json(line)["loss"]) for line in lines) / len(lines)
