"""Claims of the paper, and verdicts on them from metrics and their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sat2cap.evaluation import Metric


class Verdict(StrEnum):
    """Whether a claim of the paper held in what was measured, in the words of a report."""

    HELD = "held"
    NOT_HELD = "did not hold"
    UNSURE = "cannot be told"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and the verdict on it from the metrics of one record."""

    statement: str
    where: str
    """Section, table or figure of the paper."""
    verdict: Verdict
    evidence: str
    """The metrics that decide, in words."""


def interval_of(metric: Metric) -> tuple[float, float]:
    """Return the interval of a metric or, without one, one around zero, which settles nothing."""
    return metric.interval or (-abs(metric.value), abs(metric.value))


def judge_positive(low: float, high: float) -> Verdict:
    """Return the verdict on a difference that should be above zero, from the interval `low` to `high`."""
    return Verdict.HELD if low > 0 else Verdict.NOT_HELD if high < 0 else Verdict.UNSURE


def judge_all_positive(differences: Sequence[Metric]) -> Verdict:
    """Return the verdict on several differences that should all be above zero.

    Held if every interval lies above zero, not held if every interval lies below it.
    """
    intervals = [interval_of(difference) for difference in differences]
    return judge_positive(min(low for low, _ in intervals), max(high for _, high in intervals))


def judge_greater(greater: Metric, less: Metric) -> Verdict:
    """Return the verdict on one metric being above another: held only if their intervals do not meet.

    A metric without an interval is taken as exact.
    """
    (low, high), (other_low, other_high) = (m.interval or (m.value, m.value) for m in (greater, less))
    return judge_positive(low - other_high, high - other_low)
