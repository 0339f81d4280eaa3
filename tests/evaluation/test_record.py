"""Evaluations on disk: found again by what they depend on."""

import json
import math
from pathlib import Path

import pytest

from sat2cap.errors import InputError
from sat2cap.evaluation.metric import Evaluation, Metric
from sat2cap.evaluation.record import Record, RecordPicture, cached_evaluation, read_run

FIGURES = (Metric("a.b", 0.25, (0.1, 0.5)), Metric("open", math.nan), Metric("plain", 3.0))


def keep(run: Path, inputs: dict, measured: list) -> Record:
    def measure() -> Evaluation:
        measured.append(inputs)
        return Evaluation(FIGURES, {"rows": [1]}, "material")

    def draw(found: Evaluation) -> list[RecordPicture]:
        assert found.material == "material"
        return [RecordPicture("p.png", "a picture", b"data")]

    return cached_evaluation(
        run, "kind", inputs, measure, draw, names={"pairs": "p"}, command="sat2cap evaluate kind"
    )


def test_the_same_inputs_are_measured_once_and_others_beside_them(tmp_path: Path) -> None:
    measured: list = []
    first = keep(tmp_path, {"model": "a", "draws": 10}, measured)
    again = keep(tmp_path, {"draws": 10, "model": "a"}, measured)
    assert len(measured) == 1
    assert again == first
    other = keep(tmp_path, {"model": "b", "draws": 10}, measured)
    assert len(measured) == 2
    assert sorted(r.folder for r in read_run(tmp_path)) == sorted([first.folder, other.folder])


def test_a_record_is_what_was_measured(tmp_path: Path) -> None:
    record = keep(tmp_path, {"model": "a"}, [])
    assert record.metrics[0] == FIGURES[0]
    assert record.metrics[2] == FIGURES[2]
    assert math.isnan(record.metrics_by_name["open"].value)
    assert (record.folder / "p.png").read_bytes() == b"data"
    assert record.pictures == (("p.png", "a picture"),)
    plain = json.loads((record.folder / "record.json").read_text())
    assert plain["format"] == "sat2cap evaluation"
    assert plain["figures"][1] == {"name": "open", "value": None, "interval": None}


def test_a_failed_measurement_leaves_no_record(tmp_path: Path) -> None:
    def fail() -> Evaluation:
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        cached_evaluation(tmp_path, "kind", {}, fail, lambda found: [], names={}, command="")
    with pytest.raises(InputError, match="holds no evaluation"):
        read_run(tmp_path)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        read_run(tmp_path / "none")
    record = keep(tmp_path, {"model": "a"}, [])
    path = record.folder / "record.json"
    for text, message in (
        ("{", "cannot be read"),
        ('{"format": "x"}', "not an evaluation"),
        ("[]", "cannot"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_run(tmp_path)
