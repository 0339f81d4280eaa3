"""The claims of the paper, each with a verdict from the records of a run."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from sat2cap.evaluation import Metric, Record
from sat2cap.formatting import format_value
from sat2cap.report.claims.captions import judge_captions
from sat2cap.report.claims.verdict import (
    Claim,
    Verdict,
    interval_of,
    judge_all_positive,
    judge_greater,
    judge_positive,
)
from sat2cap.report.tables.text import format_metric, format_points

_DIRECTIONS = ("overhead2ground", "ground2overhead")


def judge_claims(records: Sequence[Record]) -> list[Claim]:
    """Return every claim that some record has metrics for, in the order of the paper."""
    judges: tuple[tuple[str, Callable[[Record], Iterator[Claim]]], ...] = (
        ("retrieval", _judge_retrieval),
        ("clusters", _judge_clusters),
        ("captions", judge_captions),
        ("landcover", _judge_landcover),
        ("time", _judge_time),
    )
    return [
        claim
        for kind, judge in judges
        for record in records
        if record.kind == kind
        for claim in judge(record)
    ]


def _judge_retrieval(record: Record) -> Iterator[Claim]:
    """Yield the claims of table 1, and those on retrieval at two times."""
    metrics = record.metrics_by_name
    leads = [metrics[name] for way in _DIRECTIONS if (name := f"above_clip.{way}.r10") in metrics]
    if leads:
        yield Claim(
            "Sat2Cap finds the photo of a place, and the place of a photo, far more often than CLIP",
            "table 1",
            judge_all_positive(leads),
            "R@10 above CLIP's by " + " and ".join(format_points(lead) for lead in leads),
        )
    yield from _judge_best_row(record, metrics)
    yield from _judge_moments(metrics)


def _judge_best_row(record: Record, metrics: Mapping[str, Metric]) -> Iterator[Claim]:
    """Yield whether metadata in training, with dropout, and at inference is the best row of table 1.

    The verdict is open unless the rows include a model trained without metadata and one without dropout.
    """
    rows = [
        row
        for row in record.table_data["rows"]
        if row["meta_training"] is not None and row["name"] != "location"
    ]
    if len(rows) < 2:
        return
    recalls = {
        row["label"]: sum(
            metrics[".".join(filter(None, (row["name"], way, "r10")))].value for way in _DIRECTIONS
        )
        / 2
        for row in rows
    }
    best = max(rows, key=lambda row: recalls[row["label"]])
    full_models = [row for row in rows if row["meta_training"] and row["meta_inference"] and row["dropout"]]
    trainings = {(row["meta_training"], row["dropout"]) for row in rows}
    complete = full_models and (True, False) in trainings and any(not meta for meta, _ in trainings)
    verdict = (Verdict.HELD if best in full_models else Verdict.NOT_HELD) if complete else Verdict.UNSURE
    listed = "; ".join(f"{label}: {100 * recall:.1f} %" for label, recall in recalls.items())
    yield Claim(
        "Metadata in training, dropped at random, and metadata at inference together are best",
        "table 1",
        verdict,
        f"mean R@10 of both directions: {listed}",
    )


def _judge_moments(metrics: Mapping[str, Metric]) -> Iterator[Claim]:
    """Yield whether the photos that are retrieved for a place follow date and hour."""
    leads = [
        metric
        for name, metric in metrics.items()
        if name.startswith("times.") and name.endswith("above_told_nothing")
    ]
    if leads:
        evidence = "; ".join(
            f"{lead.name.split('.')[1]} {lead.name.split('.')[2]}: {format_points(lead)}" for lead in leads
        )
        yield Claim(
            "The photos that are retrieved for a place change with the date and hour that are asked for",
            "section 4.1, supplement",
            judge_all_positive(leads),
            f"more of the nine nearest photos are from near the time asked for, by {evidence}",
        )


def _judge_clusters(record: Record) -> Iterator[Claim]:
    """Yield the claims of figure 4: how silhouettes fall with the number of clusters."""
    metrics, cluster_counts = record.metrics_by_name, record.table_data["ks"]
    if "clip" not in record.table_data["curves"] or len(cluster_counts) < 2:
        return
    few, many = cluster_counts[0], cluster_counts[-1]
    ours_few, ours_many = (metrics[f"sat2cap.silhouette.k{k}"] for k in (few, many))
    clip_few, clip_many = (metrics[f"clip.silhouette.k{k}"] for k in (few, many))
    yield Claim(
        "CLIP's clusters worsen as their number grows",
        "section 4.2, figure 4",
        judge_greater(clip_few, clip_many),
        f"silhouette {format_value(clip_few.value)} at k = {few:,}, "
        f"{format_value(clip_many.value)} at k = {many:,}",
    )
    yield Claim(
        "For few clusters Sat2Cap is behind CLIP",
        "section 4.2, figure 4",
        judge_greater(clip_few, ours_few),
        f"at k = {few:,}: {format_value(ours_few.value)}, CLIP {format_value(clip_few.value)}",
    )
    yield Claim(
        "For many clusters Sat2Cap is ahead of CLIP",
        "section 4.2, figure 4",
        judge_greater(ours_many, clip_many),
        f"at k = {many:,}: {format_value(ours_many.value)}, CLIP {format_value(clip_many.value)}",
    )


def _judge_landcover(record: Record) -> Iterator[Claim]:
    """Yield whether maps agree with the land cover better than CLIP's."""
    metrics = record.metrics_by_name
    if (lead := metrics.get("above_clip.auroc.mean")) is not None:
        ours, clip = (format_value(metrics[name].value) for name in ("auroc.mean", "clip.auroc.mean"))
        yield Claim(
            "Maps of prompts agree with the land cover better than CLIP's",
            "section 4.3, figures 1 and 5",
            judge_positive(*interval_of(lead)),
            f"mean AUROC {ours}, CLIP {clip}, against {record.table_data['reference']}",
        )


def _judge_time(record: Record) -> Iterator[Claim]:
    """Yield whether scores follow months and hours, and seasons turn with the hemisphere."""
    metrics = record.metrics_by_name
    if (median := metrics.get("rank_correlation.median")) is not None:
        yield Claim(
            "Scores follow the months and the hours",
            "section 3.3",
            judge_positive(*interval_of(median)),
            f"median rank correlation with the truth {format_metric(median)}",
        )
    if (error := metrics.get("months_apart.mean_error")) is not None:
        yield Claim(
            "Seasons turn with the hemisphere",
            "section 4.4, figure 6 (d)",
            Verdict.HELD if error.value <= 1.5 else Verdict.NOT_HELD,
            f"the years of north and south are off by {format_value(error.value)} months in the mean over "
            f"{metrics['months_apart.prompts'].value:.0f} prompts with a season (held: at most 1.5; "
            "guessing: 3)",
        )
