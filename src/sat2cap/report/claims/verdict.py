"""A sentence of the paper against figures: what a verdict is made of."""

from dataclasses import dataclass

from sat2cap.evaluation import Metric

HELD, NOT_HELD, UNSURE = "held", "did not hold", "cannot be told"


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper against figures of one record."""

    statement: str
    where: str
    """In the paper."""
    verdict: str
    evidence: str


def interval(figure: Metric) -> tuple[float, float]:
    """Its interval, or, without one, nothing that could be told from zero."""
    return figure.interval or (-abs(figure.value), abs(figure.value))


def verdict(low: float, high: float) -> str:
    """Of a difference that should be above zero."""
    return HELD if low > 0 else NOT_HELD if high < 0 else UNSURE


def apart(greater: Metric, less: Metric) -> str:
    """Whether the first is above the second, whatever the seed."""
    (low, high), (other_low, other_high) = (f.interval or (f.value, f.value) for f in (greater, less))
    return verdict(low - other_high, high - other_low)
