"""What the paper claims of captions, and whether it held."""

from collections.abc import Iterator, Mapping

from sat2cap.evaluation import Metric, Record
from sat2cap.formatting import format_value
from sat2cap.report.claims.verdict import Claim, interval_of, judge_positive
from sat2cap.report.tables.text import format_points

_WHERE = "section 4.4, table 2"
_DYNAMIC = "section 4.4, figure 6"


def caption_claims(record: Record) -> Iterator[Claim]:
    """Of table 2 and figure 6."""
    known = {figure.name: figure for figure in record.metrics}
    yield from _agree(known)
    yield from _truth(known)
    yield from _metadata(known)
    yield from _months(known)


def _agree(known: Mapping[str, Metric]) -> Iterator[Claim]:
    leading = "above_clip."
    measures = [name.removeprefix(leading) for name in known if name.startswith(f"{leading}ground.")]
    if measures:
        leads = [known[leading + name] for name in measures]
        listed = "; ".join(
            f"{name.removeprefix('ground.')} {format_value(known[name].value)}, "
            f"CLIP {format_value(known[f'clip.{name}'].value)}"
            for name in measures
        )
        ends = [interval_of(figure) for figure in leads]
        yield Claim(
            "Captions from Sat2Cap agree with the photo's caption better than captions from CLIP",
            _WHERE,
            judge_positive(min(low for low, _ in ends), max(high for _, high in ends)),
            listed,
        )


def _truth(known: Mapping[str, Metric]) -> Iterator[Claim]:
    if (lead := known.get("above_clip.truth.chance")) is not None:
        yield Claim(
            "Captions from Sat2Cap describe what is on the ground better than captions from CLIP",
            _WHERE,
            judge_positive(*interval_of(lead)),
            f"photos from there and then show {100 * known['truth.chance'].value:.1f} % of what is stated, "
            f"{100 * known['clip.truth.chance'].value:.1f} % from CLIP: above by {format_points(lead)}",
        )


def _metadata(known: Mapping[str, Metric]) -> Iterator[Claim]:
    told, untold = known.get("ground.clip_text"), known.get("no_metadata.ground.clip_text")
    if told is not None and untold is not None:
        (low, high), (other_low, other_high) = interval_of(told), interval_of(untold)
        yield Claim(
            "A model that is told no place and time agrees with the photo's caption best",
            _WHERE,
            judge_positive(other_low - high, other_high - low),
            f"CLIP text cosine {format_value(told.value)} told, {format_value(untold.value)} told nothing; "
            "the paper's is a model trained without, this one is only asked without",
        )


def _months(known: Mapping[str, Metric]) -> Iterator[Claim]:
    if (changed := known.get("months.changed")) is None:
        return
    lead, restated = known.get("months.truth_lead"), known.get("months.restated")
    evidence = f"{100 * changed.value:.1f} % of places have another caption in July than in January"
    if lead is not None and restated is not None:
        evidence += (
            f", {100 * restated.value:.1f} % state other things, "
            f"which are likelier in their own month by {format_points(lead)}"
        )
    held = judge_positive(*interval_of(changed if lead is None else lead))
    yield Claim("Captions change with the month", _DYNAMIC, held, evidence)
    halves = [known[name] for half in ("north", "south") if (name := f"winter.{half}.lead") in known]
    halves = [half for half in halves if half.value == half.value]
    if len(halves) == 2:
        ends = [interval_of(half) for half in halves]
        yield Claim(
            "Captions have winter in January in the north and in July in the south",
            f"{_DYNAMIC} (d)",
            judge_positive(min(low for low, _ in ends), max(high for _, high in ends)),
            f"words of winter, winter less summer: north {format_points(halves[0])}, "
            f"south {format_points(halves[1])}",
        )
