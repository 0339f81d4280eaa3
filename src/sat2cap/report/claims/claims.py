"""What the paper claims, and whether it held in what was measured."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from sat2cap.evaluation import Metric, Record
from sat2cap.formatting import format_value
from sat2cap.report.claims.captions import caption_claims
from sat2cap.report.claims.verdict import Claim, Verdict, interval_of, judge_greater, judge_positive
from sat2cap.report.tables.text import format_metric, format_points


def claims(records: Sequence[Record]) -> list[Claim]:
    """Every claim that some record can judge, in the order of the paper."""
    judges: tuple[tuple[str, Callable[[Record], Iterator[Claim]]], ...] = (
        ("retrieval", _retrieval),
        ("clusters", _clusters),
        ("captions", caption_claims),
        ("landcover", _landcover),
        ("time", _time),
    )
    return [
        claim
        for kind, judge in judges
        for record in records
        if record.kind == kind
        for claim in judge(record)
    ]


def _retrieval(record: Record) -> Iterator[Claim]:
    known = {figure.name: figure for figure in record.metrics}
    lead = [known[name] for way in _WAYS if (name := f"above_clip.{way}.r10") in known]
    if lead:
        ends = [interval_of(figure) for figure in lead]
        evidence = "R@10 above CLIP's by " + " and ".join(format_points(figure) for figure in lead)
        yield Claim(
            "Sat2Cap finds the photo of a place, and the place of a photo, far more often than CLIP",
            "table 1",
            judge_positive(min(low for low, _ in ends), max(high for _, high in ends)),
            evidence,
        )
    yield from _best_row(record, known)
    yield from _moments(known)


_WAYS = ("overhead2ground", "ground2overhead")


def _best_row(record: Record, known: Mapping[str, Metric]) -> Iterator[Claim]:
    """Metadata in training, with dropout, and at inference is best: judged where the other trainings are."""
    rows = [
        row
        for row in record.table_data["rows"]
        if row["meta_training"] is not None and row["name"] != "location"
    ]
    if len(rows) < 2:
        return
    scores = {
        row["label"]: sum(known[".".join(filter(None, (row["name"], way, "r10")))].value for way in _WAYS) / 2
        for row in rows
    }
    best = max(rows, key=lambda row: scores[row["label"]])
    whole = [row for row in rows if row["meta_training"] and row["meta_inference"] and row["dropout"]]
    others = {(row["meta_training"], row["dropout"]) for row in rows}
    complete = whole and (True, False) in others and any(not trained for trained, _ in others)
    verdict = (Verdict.HELD if best in whole else Verdict.NOT_HELD) if complete else Verdict.UNSURE
    listed = "; ".join(f"{label}: {100 * value:.1f} %" for label, value in scores.items())
    yield Claim(
        "Metadata in training, dropped at random, and metadata at inference together are best",
        "table 1",
        verdict,
        f"mean R@10 of both directions: {listed}",
    )


def _moments(known: Mapping[str, Metric]) -> Iterator[Claim]:
    lead = [
        f for name, f in known.items() if name.startswith("times.") and name.endswith("above_told_nothing")
    ]
    if lead:
        evidence = "; ".join(
            f"{figure.name.split('.')[1]} {figure.name.split('.')[2]}: {format_points(figure)}"
            for figure in lead
        )
        ends = [interval_of(figure) for figure in lead]
        yield Claim(
            "The photos that a place calls up change with the date and hour it is told",
            "section 4.1, supplement",
            judge_positive(min(low for low, _ in ends), max(high for _, high in ends)),
            f"more of the nine nearest photos are from near the time asked for, by {evidence}",
        )


def _clusters(record: Record) -> Iterator[Claim]:
    known, ks = {figure.name: figure for figure in record.metrics}, record.table_data["ks"]
    if "clip" not in record.table_data["curves"] or len(ks) < 2:
        return
    ours, clip = ([known[f"{name}.silhouette.k{k}"] for k in ks] for name in ("sat2cap", "clip"))
    yield Claim(
        "CLIP's clusters worsen as their number grows",
        "section 4.2, figure 4",
        judge_greater(clip[0], clip[-1]),
        f"silhouette {format_value(clip[0].value)} at k = {ks[0]:,}, "
        f"{format_value(clip[-1].value)} at k = {ks[-1]:,}",
    )
    yield Claim(
        "For few clusters Sat2Cap is behind CLIP",
        "section 4.2, figure 4",
        judge_greater(clip[0], ours[0]),
        f"at k = {ks[0]:,}: {format_value(ours[0].value)}, CLIP {format_value(clip[0].value)}",
    )
    yield Claim(
        "For many clusters Sat2Cap is ahead of CLIP",
        "section 4.2, figure 4",
        judge_greater(ours[-1], clip[-1]),
        f"at k = {ks[-1]:,}: {format_value(ours[-1].value)}, CLIP {format_value(clip[-1].value)}",
    )


def _landcover(record: Record) -> Iterator[Claim]:
    known = {figure.name: figure for figure in record.metrics}
    lead = known.get("above_clip.auroc.mean")
    if lead is not None:
        ours, clip = (format_value(known[name].value) for name in ("auroc.mean", "clip.auroc.mean"))
        evidence = f"mean AUROC {ours}, CLIP {clip}"
        yield Claim(
            "Maps of prompts agree with the land cover better than CLIP's",
            "section 4.3, figures 1 and 5",
            judge_positive(*interval_of(lead)),
            f"{evidence}, against {record.table_data['reference']}",
        )


def _time(record: Record) -> Iterator[Claim]:
    known = {figure.name: figure for figure in record.metrics}
    if (median := known.get("rank_correlation.median")) is not None:
        yield Claim(
            "Scores follow the months and the hours",
            "section 3.3",
            judge_positive(*interval_of(median)),
            f"median rank correlation with the truth {format_metric(median)}",
        )
    if (error := known.get("months_apart.mean_error")) is not None:
        yield Claim(
            "Seasons turn with the hemisphere",
            "section 4.4, figure 6 (d)",
            Verdict.HELD if error.value <= 1.5 else Verdict.NOT_HELD,
            f"the years of north and south are off by {format_value(error.value)} months in the mean over "
            f"{known['months_apart.prompts'].value:.0f} prompts with a season (held: at most 1.5; "
            "guessing: 3)",
        )
