"""JSON that is nested without end is a `ValueError`, and one line where a file of this package holds it."""

import json
from pathlib import Path

import pytest

from sat2cap.atlas.plan import read_plan
from sat2cap.errors import AtlasError, ModelError, PairsError, Sat2CapError
from sat2cap.evaluation.record import read_run
from sat2cap.files import parse_json
from sat2cap.model.json_files import read_json
from sat2cap.pairs.dataset import open_pairs
from sat2cap.stores.local import LocalStore

NESTED = "[" * 100_000 + "]" * 100_000


def test_values_come_out_as_of_the_standard_library() -> None:
    text = '{"a": [1, 2.5, null, "\\u00fc"]}'
    assert parse_json(text) == parse_json(text.encode()) == json.loads(text)
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json(NESTED)


def test_files_of_ours_with_nested_values_are_refused_in_one_line(tmp_path: Path) -> None:
    for name in ("_sat2cap/plan.json", "pairs.json", "retrieval/record.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(NESTED)
    cases = (
        (lambda: read_plan(LocalStore(tmp_path)), AtlasError),
        (lambda: read_json(tmp_path / "pairs.json"), ModelError),
        (lambda: open_pairs(tmp_path), PairsError),
        (lambda: read_run(tmp_path), Sat2CapError),
    )
    for read, kind in cases:
        with pytest.raises(kind) as error:
            read()
        assert "nested too deep" in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("change", [{"version": "1"}, {"version": None}, {"parts": [1]}, {"parts": 1}])
def test_a_plan_with_other_kinds_of_values_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    whole = {"format": "sat2cap-atlas", "version": 1, "parts": {}, "provenance": {}, "identity": ""}
    (tmp_path / "_sat2cap").mkdir()
    (tmp_path / "_sat2cap/plan.json").write_text(json.dumps(whole | change))
    with pytest.raises(AtlasError, match="embed anew"):
        read_plan(LocalStore(tmp_path))
