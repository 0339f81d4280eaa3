"""What a run did: progress while it goes, and a record beside the atlas when it ends.

The record of ``NAME.zarr`` is ``NAME.runs.jsonl``, a line of JSON for each run, also for one that failed.
"""

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from typing import Any

from sat2cap.embedding.chunk_task import ChunkReceipt
from sat2cap.errors import StoreError
from sat2cap.progress import Progress
from sat2cap.stores import Store

STAGE = "embedding cells"
"""Name of the stage that progress is reported under."""


def record_name(atlas: str) -> str:
    """Return the name of an atlas's record of runs: ``NAME.runs.jsonl`` beside ``NAME.zarr``."""
    return atlas.removesuffix(".zarr") + ".runs.jsonl"


class RunLog:
    """Counts what a run does, and reports its progress in one place; it follows `engines.Listener`."""

    def __init__(self, cells: int, total: int, progress: Progress) -> None:
        """Take the cells to do, the cells of the whole atlas, and who listens."""
        self.workers: dict[str, dict[str, Any]] = {}
        self.retries: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.failure: str | None = None
        self._done, self._total, self._progress = total - cells, total, progress
        progress(STAGE, self._done, total)

    def advance(self, units: int) -> None:
        """Report that so many more cells were tried."""
        self._done += units
        self._progress(STAGE, self._done, self._total)

    def add_machine(self, name: str, machine: dict[str, Any]) -> None:
        """Note the machine of a worker, as `describe_machine` gives it and its ``host``."""
        self.workers[name] = {**machine, "chunks": 0, "cells": 0}

    def add_retry(self, reason: str, tasks: int) -> None:
        """Note that so many chunks are done again, and why."""
        self.retries[reason] += tasks

    def add_receipt(self, receipt: ChunkReceipt) -> None:
        """Count the cells of a chunk that is done."""
        self.statuses.update(receipt.statuses)
        self.failure = self.failure or receipt.failure
        worker = self.workers.setdefault(receipt.worker, {"chunks": 0, "cells": 0})
        worker["chunks"] += 1
        worker["cells"] += sum(receipt.statuses.values())

    @contextmanager
    def recorded(self, atlas: Store, identity: str, engine: str) -> Iterator[None]:
        """Append the record of the run when the body of a `with` statement ends, however it ends.

        A run that had nothing to do leaves no record, nor does one that a bucket ended which takes none.
        """
        started, start_s = datetime.now(UTC), time.perf_counter()
        outcome = "finished"
        try:
            yield
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise
        finally:
            if self.workers:
                seconds = time.perf_counter() - start_s
                times = {"started": started.isoformat(timespec="seconds"), "seconds": round(seconds, 3)}
                head = {"identity": identity, "outcome": outcome, "engine": engine, **times}
                with suppress(StoreError) if outcome != "finished" else nullcontext():
                    _append_record(atlas, {**head, **self._counts(seconds)})

    def _counts(self, seconds: float) -> dict[str, Any]:
        """Return the second half of a record: what was done, by whom, and how often again."""
        cells = sum(self.statuses.values())
        return {
            "host": socket.gethostname(),
            "cells": cells,
            "cells_per_s": round(cells / seconds, 3),
            "statuses": dict(sorted(self.statuses.items())),
            "first_failure": self.failure,
            "retries": dict(sorted(self.retries.items())),
            "workers": list(self.workers.values()),
        }


def _append_record(atlas: Store, record: dict[str, Any]) -> None:
    """Append one line to the record of runs beside an atlas, whose lock this process holds."""
    beside, name = atlas.parent, record_name(atlas.base_name)
    try:
        earlier = beside.get(name)
    except FileNotFoundError:
        earlier = b""
    beside.put(name, earlier + (json.dumps(record, ensure_ascii=False) + "\n").encode())
