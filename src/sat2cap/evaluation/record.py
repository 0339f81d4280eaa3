"""Evaluations on disk: a folder of records, each found again by what it depends on.

::

    RUN/
      retrieval-1f0c3a5b7d90/
        record.json      what was asked, with what, the figures, and which pictures there are
        *.png, *.jpg

A record whose inputs have the same hash is read, not made again.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from sat2cap.errors import InputError
from sat2cap.evaluation.metric import Evaluation, Metric
from sat2cap.files import canonical_json, digest, write_bytes, write_json

FORMAT, VERSION = "sat2cap evaluation", 1
"""The version is raised when the same inputs would give other figures, too."""
MANIFEST = "record.json"


@dataclass(frozen=True)
class Picture:
    """A picture of a record."""

    name: str
    """Its file, such as ``top9.png``."""
    caption: str
    data: bytes
    """PNG or JPEG."""


DrawPictures = Callable[[Evaluation], Sequence[Picture]]


@dataclass(frozen=True)
class Record:
    """An evaluation as it is kept."""

    kind: str
    """Such as ``retrieval``."""
    inputs: Mapping[str, Any]
    """What its figures depend on: hashes and options."""
    names: Mapping[str, str]
    """What people call those inputs: paths, models, regions."""
    metrics: tuple[Metric, ...]
    table_data: Mapping[str, Any]
    pictures: tuple[tuple[str, str], ...]
    """File and caption."""
    command: str
    seconds: float
    sat2cap: str
    """Version of the package."""
    folder: Path

    @property
    def values(self) -> dict[str, float]:
        """Name to value."""
        return {figure.name: figure.value for figure in self.metrics}


def cached_evaluation(
    run: Path,
    kind: str,
    inputs: Mapping[str, Any],
    measure: Callable[[], Evaluation],
    draw: DrawPictures,
    *,
    names: Mapping[str, str],
    command: str,
) -> Record:
    """The record of an evaluation in the folder `run`: read if it is there, otherwise measured and drawn.

    Raises what `measure` raises, and `InputError` for a record that cannot be read.
    """
    identity = digest(canonical_json([kind, VERSION, dict(inputs)]))
    folder = run / f"{kind}-{identity[:12]}"
    if (folder / MANIFEST).exists():
        return _read(folder)
    start = perf_counter()
    found = measure()
    seconds = perf_counter() - start
    pictures = draw(found)
    for picture in pictures:
        write_bytes(folder / picture.name, picture.data)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "identity": identity,
        "inputs": dict(inputs),
        "names": dict(names),
        "figures": [_plain(figure) for figure in found.metrics],
        "shown": found.table_data,
        "pictures": [{"file": p.name, "caption": p.caption} for p in pictures],
        "command": command,
        "seconds": round(seconds, 3),
        "sat2cap": version("sat2cap"),
    }
    write_json(folder / MANIFEST, manifest)
    return _read(folder)


def read_run(run: Path) -> list[Record]:
    """Every record of a folder, by kind. Raises `InputError` where there is none, or one that is broken."""
    if not run.is_dir():
        raise InputError(f"{run} is no folder; give one that sat2cap evaluate -o wrote")
    found = [_read(path.parent) for path in sorted(run.glob(f"*/{MANIFEST}"))]
    if not found:
        raise InputError(f"{run} holds no evaluation; make one: sat2cap evaluate retrieval … -o {run}")
    return found


def _plain(figure: Metric) -> dict[str, Any]:
    """JSON has no NaN: what is not defined is null."""
    value = figure.value if math.isfinite(figure.value) else None
    return {"name": figure.name, "value": value, "interval": figure.interval}


def _figure(entry: Mapping[str, Any]) -> Metric:
    value, ends = entry["value"], entry["interval"]
    return Metric(
        str(entry["name"]),
        math.nan if value is None else float(value),
        None if ends is None else (float(ends[0]), float(ends[1])),
    )


def _read(folder: Path) -> Record:
    path = folder / MANIFEST
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept.get("format") != FORMAT or kept.get("version") != VERSION:
            raise InputError(f"{path} is no evaluation of version {VERSION}; remove it and evaluate again")
        return Record(
            kind=str(kept["kind"]),
            inputs=kept["inputs"],
            names=kept["names"],
            metrics=tuple(_figure(entry) for entry in kept["figures"]),
            table_data=kept["shown"],
            pictures=tuple((str(p["file"]), str(p["caption"])) for p in kept["pictures"]),
            command=str(kept["command"]),
            seconds=float(kept["seconds"]),
            sat2cap=str(kept["sat2cap"]),
            folder=folder,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it and evaluate again") from error
