"""Counters of a server, as Prometheus reads them."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_HELP = {
    "requests_total": "Requests by route and status.",
    "request_seconds_sum": "Time spent on requests by route.",
    "score_cache_hits": "Questions answered from memory.",
    "score_cache_bytes": "Memory of the scores that are kept.",
    "overloads": "Requests refused because too many waited.",
    "overtaken_requests": "Requests dropped before their scan because nobody waited any more.",
    "scan_seconds_sum": "Time spent scanning atlases.",
    "scan_seconds_count": "Scans of atlases.",
}
_GAUGES = {"score_cache_bytes"}


class Metrics:
    """Numbers by name and labels; threads may share it.

    Labels are routes and statuses, never what a client wrote.
    """

    def __init__(self) -> None:
        """Begin without counters and gauges."""
        self._values: dict[tuple[str, str], float] = defaultdict(float)
        self._lock = Lock()

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter."""
        with self._lock:
            self._values[name, _write_labels(labels)] += amount

    def set(self, name: str, value: float) -> None:
        """Set a gauge: a number that may rise and fall."""
        with self._lock:
            self._values[name, ""] = value

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Add the time of the block to ``NAME_sum``, and 1 to ``NAME_count``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.count(f"{name}_sum", time.perf_counter() - start)
            self.count(f"{name}_count")

    def as_text(self) -> str:
        """Return all numbers in Prometheus's text format, version 0.0.4."""
        with self._lock:
            values = sorted(self._values.items())
        lines: list[str] = []
        described = ""
        for (name, labels), value in values:
            if name != described:
                lines.append(f"# HELP sat2cap_{name} {_HELP.get(name, name)}")
                lines.append(f"# TYPE sat2cap_{name} {'gauge' if name in _GAUGES else 'counter'}")
                described = name
            lines.append(f"sat2cap_{name}{labels} {value:g}")
        return "\n".join(lines) + "\n"


def _write_labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"
