"""What every evaluation yields: a name, a value, and where it can be had how sure it is."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Interval = tuple[float, float]


class Metric(NamedTuple):
    """One measured number."""

    name: str
    """Words joined by dots, from the general to the particular: ``clip.overhead2ground.r10``."""
    value: float
    """NaN where it is not defined."""
    interval: Interval | None = None
    """Least and greatest; the evaluation says of what: resamples of land, or seeds."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured in one go."""

    metrics: tuple[Metric, ...]
    table_data: dict[str, Any] = field(default_factory=dict)
    """What a table needs beside the figures, such as the labels of its rows: plain JSON values."""
    material: Any = None
    """What pictures are drawn from; not kept."""


def metric_values(figures: Iterable[Metric]) -> dict[str, float]:
    """Name to value, without the intervals."""
    return {figure.name: figure.value for figure in figures}
