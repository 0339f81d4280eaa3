"""Claims of the paper on captions (section 4.4), judged by a record of the evaluation ``captions``."""

from collections.abc import Iterator, Mapping
from math import isnan

from sat2cap.evaluation import Metric, Record
from sat2cap.formatting import format_value
from sat2cap.report.claims.verdict import Claim, interval_of, judge_all_positive, judge_positive
from sat2cap.report.tables.text import format_points

_TABLE_2 = "section 4.4, table 2"
_FIGURE_6 = "section 4.4, figure 6"


def judge_captions(record: Record) -> Iterator[Claim]:
    """Yield the claims of table 2 and figure 6 that the record has metrics for."""
    metrics = record.metrics_by_name
    yield from _judge_agreement(metrics)
    yield from _judge_truth(metrics)
    yield from _judge_metadata(metrics)
    yield from _judge_months(metrics)


def _judge_agreement(metrics: Mapping[str, Metric]) -> Iterator[Claim]:
    """Yield whether captions from Sat2Cap agree better with those of the photo than captions from CLIP."""
    prefix = "above_clip."
    measures = [name.removeprefix(prefix) for name in metrics if name.startswith(f"{prefix}ground.")]
    if measures:
        evidence = "; ".join(
            f"{name.removeprefix('ground.')} {format_value(metrics[name].value)}, "
            f"CLIP {format_value(metrics[f'clip.{name}'].value)}"
            for name in measures
        )
        yield Claim(
            "Captions from Sat2Cap agree with the photo's caption better than captions from CLIP",
            _TABLE_2,
            judge_all_positive([metrics[prefix + name] for name in measures]),
            evidence,
        )


def _judge_truth(metrics: Mapping[str, Metric]) -> Iterator[Claim]:
    if (lead := metrics.get("above_clip.truth.chance")) is not None:
        yield Claim(
            "Captions from Sat2Cap describe what is on the ground better than captions from CLIP",
            _TABLE_2,
            judge_positive(*interval_of(lead)),
            f"photos from there and then show {100 * metrics['truth.chance'].value:.1f} % of what is stated, "
            f"{100 * metrics['clip.truth.chance'].value:.1f} % from CLIP: above by {format_points(lead)}",
        )


def _judge_metadata(metrics: Mapping[str, Metric]) -> Iterator[Claim]:
    """Yield whether a model without place and time agrees best with the photo's caption."""
    conditioned, static = metrics.get("ground.clip_text"), metrics.get("no_metadata.ground.clip_text")
    if conditioned is not None and static is not None:
        (low, high), (static_low, static_high) = interval_of(conditioned), interval_of(static)
        yield Claim(
            "A model without place and time agrees with the photo's caption best",
            _TABLE_2,
            judge_positive(static_low - high, static_high - low),
            f"CLIP text cosine {format_value(conditioned.value)} with place and time, "
            f"{format_value(static.value)} without; the paper's model is trained without them, "
            "this one is only used without",
        )


def _judge_months(metrics: Mapping[str, Metric]) -> Iterator[Claim]:
    """Yield whether captions change with the month, and whether they change as the truth does."""
    if (changed := metrics.get("months.changed")) is None:
        return
    lead, restated = metrics.get("months.truth_lead"), metrics.get("months.restated")
    evidence = f"{100 * changed.value:.1f} % of places have another caption in July than in January"
    if lead is not None and restated is not None:
        evidence += (
            f", {100 * restated.value:.1f} % state other things, "
            f"which are likelier in their own month by {format_points(lead)}"
        )
    verdict = judge_positive(*interval_of(changed if lead is None else lead))
    yield Claim("Captions change with the month", _FIGURE_6, verdict, evidence)
    leads = [metrics[name] for half in ("north", "south") if (name := f"winter.{half}.lead") in metrics]
    leads = [lead for lead in leads if not isnan(lead.value)]
    if len(leads) == 2:
        yield Claim(
            "Captions have winter in January in the north and in July in the south",
            f"{_FIGURE_6} (d)",
            judge_all_positive(leads),
            f"words of winter, winter less summer: north {format_points(leads[0])}, "
            f"south {format_points(leads[1])}",
        )
