"""The record of runs beside what a job writes: a line of JSON for each run, also for one that failed.

The record of ``NAME.zarr``, or of the pair set ``NAME``, is ``NAME.runs.jsonl``.
"""

import json
from typing import Any

from sat2cap.stores.protocol import Store


def record_name(name: str) -> str:
    """Return the name of the record of runs: ``NAME.runs.jsonl`` of ``NAME.zarr`` and of ``NAME``."""
    return name.removesuffix(".zarr") + ".runs.jsonl"


def append_record(store: Store, record: dict[str, Any]) -> None:
    """Append one line to the record of runs beside a store, whose lock this process holds.

    Raises `OSError` or `StoreError` where nothing can be written.
    """
    beside, name = store.parent, record_name(store.base_name)
    try:
        earlier = beside.get(name)
    except FileNotFoundError:
        earlier = b""
    beside.put(name, earlier + (json.dumps(record, ensure_ascii=False) + "\n").encode())
