"""A report of made-up records: all of it there, nothing from elsewhere, and what held."""

import math
import re
from pathlib import Path

import pytest
from PIL import Image

from sat2cap.errors import InputError
from sat2cap.evaluation.metric import Evaluation, Metric
from sat2cap.evaluation.record import RecordPicture, cached_evaluation
from sat2cap.report.claims.claims import judge_claims
from sat2cap.report.paper import TABLE_1
from sat2cap.report.sections import build_section
from sat2cap.report.write import write_report

WAYS = ("overhead2ground", "ground2overhead")


def png() -> bytes:
    import io

    file = io.BytesIO()
    Image.new("RGB", (5, 3), "red").save(file, "png")
    return file.getvalue()


def record(run: Path, kind: str, figures: list[Metric], shown: dict, **names: str):
    return cached_evaluation(
        run,
        kind,
        {"pairs": "f" * 64, "kind": kind, "figures": len(figures)},
        lambda: Evaluation(tuple(figures), shown),
        lambda evaluation: [RecordPicture("p.png", f"a picture | of {kind}", png())],
        names=names,
        command=f"sat2cap evaluate {kind} <here>",
    )


def row(name: str, label: str, *marks: bool | None) -> dict:
    names = ("meta_training", "dropout", "meta_inference")
    return {"name": name, "label": label, **dict(zip(names, marks, strict=True))}


def retrieval(run: Path, best: str = "", lead: tuple[float, float] = (0.1, 0.3)):
    rows = [
        row("", "ours", True, True, True),
        row("no_metadata", "ours, told nothing", True, True, False),
        row("plain", "plain", False, None, False),
        row("rigid", "rigid", True, False, True),
        row("clip", "CLIP", None, None, None),
        row("chance", "chance", None, None, None),
    ]
    figures = [Metric("gallery", 2000.0), Metric("places", 1990.0)]
    for row_data in rows[:-1]:
        for way in WAYS:
            prefix = ".".join(filter(None, (row_data["name"], way)))
            share = 0.9 if row_data["name"] == best else 0.45
            figures.append(Metric(f"{prefix}.r10", share, (share - 0.02, share + 0.02)))
            figures.append(Metric(f"{prefix}.median_rank", 12.5))
    figures += [Metric(f"above_clip.{way}.r10", 0.2, lead) for way in WAYS]
    return record(run, "retrieval", figures, {"rows": rows}, pairs="pairs/<x>", clip="")


def clusters(run: Path, ours: tuple[float, float], clip: tuple[float, float]):
    curves = {"sat2cap": [[v] for v in ours], "clip": [[v] for v in clip]}
    figures = [
        Metric(f"{name}.silhouette.k{k}", v[0], (v[0], v[0]))
        for name, curve in curves.items()
        for k, v in zip((10, 1000), curve, strict=True)
    ]
    shown = {"ks": [10, 1000], "curves": curves, "points": 5000, "sample": 100, "seeds": 1}
    return record(run, "clusters", figures, shown)


def verdicts(*records: object) -> list[str]:
    return [claim.verdict for claim in judge_claims(records)]


def test_the_page_stands_alone_and_the_markdown_says_the_same(tmp_path: Path) -> None:
    run = tmp_path / "run"
    retrieval(run)
    clusters(run, (0.1, 0.4), (0.3, 0.2))
    record(run, "colours", [Metric("clip.mpnet", 0.1560, (0.1, 0.2)), Metric("open", math.nan)], {})
    written = write_report([run, run], tmp_path / "r.html", "What & why")
    page, text = (path.read_text() for path in written[:2])
    assert [path.name for path in written[:2]] == ["r.html", "r.md"]
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert page.count("data:image/png;base64,") == 3, "each record once, though its run was given twice"
    assert "What &amp; why" in page
    assert "pairs/&lt;x&gt;" in page
    assert "&lt;here&gt;" in page
    assert "sat2cap evaluate retrieval <here>" in text
    for row_of_paper in TABLE_1:
        assert f"{100 * row_of_paper.overhead2ground[1]:.1f} %" in page
    assert "transposed" in page
    assert "transposed" in text
    assert "| clip.mpnet | 0.156 (0.100 to 0.200) |" in text, "a kind without a table of its own"
    assert "| open | – |" in text
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (tmp_path / link).read_bytes() == png()
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len(tables) > 20
    heads = [i for i, line in enumerate(tables) if set(line) <= set("|-")]
    for start, stop in zip(heads, [*(h - 1 for h in heads[1:]), len(tables)], strict=True):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in tables[start - 1 : stop]}
        assert len(widths) == 1, "every row of a table has as many cells"
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert titles == ["What held, and what did not", "Finding each other", "Kinds of place", "Colours"]


def test_table_1_has_every_row_and_its_marks(tmp_path: Path) -> None:
    table = build_section(retrieval(tmp_path)).tables[0]
    assert table.rows[0][:4] == ("ours", "yes", "yes", "yes")
    assert table.rows[2][:4] == ("plain", "no", "–", "no")
    assert table.rows[0][6] == "90.0 % (88.0 to 92.0)"
    assert table.rows[0][7] == "12.5"
    assert table.rows[0][4] == "–", "what was not measured is a dash"


@pytest.mark.parametrize(
    ("best", "lead", "expected"),
    [
        ("", (0.1, 0.3), ["held", "held"]),
        ("rigid", (-0.1, 0.3), ["cannot be told", "did not hold"]),
        ("no_metadata", (-0.3, -0.1), ["did not hold", "did not hold"]),
    ],
)
def test_claims_of_table_1(tmp_path: Path, best: str, lead: tuple, expected: list[str]) -> None:
    assert verdicts(retrieval(tmp_path, best, lead)) == expected


def test_a_figure_without_an_interval_gets_none_and_no_verdict(tmp_path: Path) -> None:
    figures = [
        Metric("gallery", 90.0),
        Metric("places", 90.0),
        *(Metric(f"above_clip.{w}.r10", 0.2) for w in WAYS),
    ]
    bare = record(tmp_path, "retrieval", figures, {"rows": []})
    figures = [Metric("rank_correlation.median", 0.8)]
    timed = record(tmp_path, "time", figures, {"south": {}, "curves": {}})
    made = judge_claims([bare, timed])
    assert [claim.verdict for claim in made] == ["cannot be told", "cannot be told"]
    assert made[0].evidence == "R@10 above CLIP's by 20.0 points and 20.0 points"
    assert made[1].evidence == "median rank correlation with the truth 0.800"


def test_the_ablation_is_not_judged_without_its_other_trainings(tmp_path: Path) -> None:
    whole = retrieval(tmp_path)
    some = [r for r in whole.table_data["rows"] if r["name"] in ("", "no_metadata", "clip", "chance")]
    whole.table_data["rows"][:] = some
    assert verdicts(whole) == ["held", "cannot be told"]


def test_claims_of_figure_4(tmp_path: Path) -> None:
    as_in_the_paper = clusters(tmp_path / "a", (0.1, 0.4), (0.3, 0.2))
    assert verdicts(as_in_the_paper) == ["held", "held", "held"]
    the_other_way = clusters(tmp_path / "b", (0.4, 0.1), (0.2, 0.3))
    assert verdicts(the_other_way) == ["did not hold", "did not hold", "did not hold"]


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no evaluation"):
        write_report([tmp_path], tmp_path / "r.html")


def caption_record(run: Path, lead: tuple[float, float], winter: tuple[float, float]):
    figures = [Metric("captions", 500.0), Metric("months.changed", 0.4, (0.3, 0.5))]
    for name, value in (("ground.rouge_l", 0.6), ("clip.ground.rouge_l", 0.4), ("truth.chance", 0.66)):
        figures.append(Metric(name, value, (value - 0.01, value + 0.01)))
    figures += [Metric("above_clip.ground.rouge_l", sum(lead) / 2, lead), Metric("clip.truth.chance", 0.13)]
    figures.append(Metric("above_clip.truth.chance", 0.5, (0.45, 0.55)))
    figures += [
        Metric("ground.clip_text", 0.8, (0.79, 0.81)),
        Metric("no_metadata.ground.clip_text", 0.76, (0.75, 0.77)),
    ]
    figures += [Metric(f"winter.{half}.lead", sum(winter) / 2, winter) for half in ("north", "south")]
    rows = [{"name": name, "label": name or "ours"} for name in ("", "no_metadata", "clip")]
    example = {"key": "one", "": "a | beach", "clip": "a wood"}
    months = {"heads": ["latitude", "January", "July"], "rows": [["50.0", "snow", "wheat"]]}
    shown = {"rows": rows, "examples": [example], "months": months, "beams": 1, "encoders": [], "bert": None}
    return record(run, "captions", figures, shown)


def test_claims_of_captions(tmp_path: Path) -> None:
    good = caption_record(tmp_path / "a", (0.1, 0.3), (0.05, 0.1))
    assert verdicts(good) == ["held", "held", "did not hold", "held", "held"]
    bad = caption_record(tmp_path / "b", (-0.3, -0.1), (-0.01, 0.1))
    assert verdicts(bad) == ["did not hold", "held", "did not hold", "held", "cannot be told"]


def test_tables_of_captions(tmp_path: Path) -> None:
    tables = {
        table.title: table for table in build_section(caption_record(tmp_path, (0.1, 0.3), (0, 1))).tables
    }
    agreement = tables["Agreement with the photo's caption"]
    assert agreement.rows[0][:4] == ("ours", "–", "–", "0.600 (0.590 to 0.610)")
    assert agreement.rows[1][3] == "0.400 (0.390 to 0.410)"
    assert tables["Some captions"].heads == ("key", "ours", "clip")
    assert tables["Some captions"].rows == (("one", "a | beach", "a wood"),)
    assert tables["Some that change with the month"].rows == (("50.0", "snow", "wheat"),)
    paper = next(table for title, table in tables.items() if "table 2" in title)
    assert paper.rows[1] == ("ours", "no", "no", "no", "0.3334", "0.7969", "0.7692")
