"""Metrics, which every evaluation returns: a name, a value and, where it can be computed, an interval."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Interval = tuple[float, float]


class Metric(NamedTuple):
    """One measured number."""

    name: str
    """Words joined by dots, from the general to the specific, as in ``clip.overhead2ground.r10``."""
    value: float
    """NaN where it is not defined."""
    interval: Interval | None = None
    """Lower and upper end: of 95 % of resamples of land, or the range over seeds."""


@dataclass(frozen=True)
class Evaluation:
    """The result of one evaluation."""

    metrics: tuple[Metric, ...]
    table_data: dict[str, Any] = field(default_factory=dict)
    """Plain JSON values that a report's table needs beside the metrics, such as the labels of its rows."""
    material: Any = None
    """Data that pictures are drawn from, such as a `Gallery`; not written to disk."""


def metric_values(metrics: Iterable[Metric]) -> dict[str, float]:
    """Return the values of metrics by name, without the intervals.

    >>> metric_values([Metric("auroc", 0.9)])
    {'auroc': 0.9}
    """
    return {metric.name: metric.value for metric in metrics}


def metric_name(*parts: str) -> str:
    """Join the parts of a metric's name by dots, leaving out empty ones.

    >>> metric_name("", "overhead2ground", "r10"), metric_name("clip", "overhead2ground", "r10")
    ('overhead2ground.r10', 'clip.overhead2ground.r10')
    """
    return ".".join(part for part in parts if part)
