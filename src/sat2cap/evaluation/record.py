"""Evaluations on disk: a folder of records, each named after the hash of its inputs.

::

    RUN/
      retrieval-1f0c3a5b7d90/
        record.json      the inputs, the command, the metrics, and a list of the pictures
        *.png, *.jpg

A record whose inputs have the same hash is read instead of being measured again.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from sat2cap.errors import InputError
from sat2cap.evaluation.metric import Evaluation, Metric
from sat2cap.files import canonical_json, digest, parse_json, write_bytes, write_json
from sat2cap.redaction import redact_secrets

FORMAT, VERSION = "sat2cap evaluation", 1
"""The version is also raised when the same inputs would give other metrics."""
MANIFEST = "record.json"


@dataclass(frozen=True)
class RecordPicture:
    """A picture that goes into a record's folder."""

    name: str
    """Name of its file, such as ``top9.png``."""
    caption: str
    data: bytes
    """Bytes of a PNG or JPEG file."""


DrawPictures = Callable[[Evaluation], Sequence[RecordPicture]]


@dataclass(frozen=True)
class Record:
    """An evaluation as it is stored on disk."""

    kind: str
    """Name of the evaluation, such as ``retrieval``."""
    inputs: Mapping[str, Any]
    """Everything that the metrics depend on, as hashes and options; their hash is the record's identity."""
    names: Mapping[str, str]
    """The inputs by the names that people know: paths, models, regions."""
    metrics: tuple[Metric, ...]
    table_data: Mapping[str, Any]
    pictures: tuple[tuple[str, str], ...]
    """File name and caption of each picture."""
    command: str
    seconds: float
    sat2cap: str
    """Version of the package that measured it."""
    folder: Path

    @property
    def metrics_by_name(self) -> dict[str, Metric]:
        """The metrics, with their intervals, by name."""
        return {metric.name: metric for metric in self.metrics}


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
    """Return the record of an evaluation in the folder `run`: read if it exists, else measured and drawn.

    The folder of the record is named after `kind` and the hash of `inputs`, so equal inputs find the same
    record. `measure` returns the evaluation; `draw` returns its pictures. `names` and `command` are stored
    for readers and are not part of the identity. Raises what `measure` raises, and `InputError` for a record
    that cannot be read.
    """
    identity = digest(canonical_json([kind, VERSION, dict(inputs)]))
    folder = run / f"{kind}-{identity[:12]}"
    if (folder / MANIFEST).exists():
        return _read_record(folder)
    start = perf_counter()
    evaluation = measure()
    seconds = perf_counter() - start
    pictures = draw(evaluation)
    for picture in pictures:
        write_bytes(folder / picture.name, picture.data)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "identity": identity,
        "inputs": dict(inputs),
        "names": {name: redact_secrets(value) for name, value in names.items()},
        "figures": [_metric_to_json(metric) for metric in evaluation.metrics],
        "shown": evaluation.table_data,
        "pictures": [{"file": p.name, "caption": p.caption} for p in pictures],
        "command": redact_secrets(command),
        "seconds": round(seconds, 3),
        "sat2cap": version("sat2cap"),
    }
    write_json(folder / MANIFEST, manifest)
    return _read_record(folder)


def read_run(run: Path) -> list[Record]:
    """Read every record of a folder, sorted by kind.

    Raises `InputError` if `run` is no folder or holds no record, or if a record cannot be read.
    """
    if not run.is_dir():
        raise InputError(f"{run} is not a folder; give one that sat2cap evaluate -o wrote")
    records = [_read_record(path.parent) for path in sorted(run.glob(f"*/{MANIFEST}"))]
    if not records:
        raise InputError(f"{run} holds no evaluation; make one: sat2cap evaluate retrieval … -o {run}")
    return records


def _metric_to_json(metric: Metric) -> dict[str, Any]:
    """Return a metric as plain JSON values, with null for NaN, which JSON does not have."""
    value = metric.value if math.isfinite(metric.value) else None
    return {"name": metric.name, "value": value, "interval": metric.interval}


def _metric_from_json(entry: Mapping[str, Any]) -> Metric:
    """Return the metric that `_metric_to_json` wrote, with NaN for null."""
    value, ends = entry["value"], entry["interval"]
    return Metric(
        str(entry["name"]),
        math.nan if value is None else float(value),
        None if ends is None else (float(ends[0]), float(ends[1])),
    )


def _read_record(folder: Path) -> Record:
    """Read the record of one folder. Raises `InputError` if it is broken or of another version."""
    path = folder / MANIFEST
    try:
        manifest = parse_json(path.read_text(encoding="utf-8"))
        if manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
            raise InputError(
                f"{path} is not an evaluation of version {VERSION}; remove it and evaluate again"
            )
        return Record(
            kind=str(manifest["kind"]),
            inputs=manifest["inputs"],
            names=manifest["names"],
            metrics=tuple(_metric_from_json(entry) for entry in manifest["figures"]),
            table_data=manifest["shown"],
            pictures=tuple((str(p["file"]), str(p["caption"])) for p in manifest["pictures"]),
            command=str(manifest["command"]),
            seconds=float(manifest["seconds"]),
            sat2cap=str(manifest["sat2cap"]),
            folder=folder,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it and evaluate again") from error
