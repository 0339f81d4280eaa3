"""The page of the format says how to read it: that reader is run as printed."""

import re
from pathlib import Path

import pytest
from made_up import build_small

PAGE = Path(__file__).parents[2] / "docs" / "pairs.md"


def test_the_three_line_reader_of_the_page_reads_a_set(tmp_path):
    pytest.importorskip("webdataset")
    made = build_small(tmp_path / "PAIRS")
    reader = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert reader is not None
    assert len(reader[1].strip().splitlines()) == 3
    names: dict[str, object] = {}
    exec(reader[1].replace("PAIRS/", f"{made.path}/"), names)
    samples = list(names["pairs"])
    assert [sample["__key__"] for sample in samples] == names["index"].key.tolist() == made.index.key.tolist()
    assert samples[0]["overhead.jpg"].shape == (8, 8, 3)
    assert samples[0]["metadata.json"]["latitude"] == names["index"].lat[0]


def test_the_page_names_every_field_and_column(tmp_path):
    made = build_small(tmp_path / "pairs")
    page = PAGE.read_text()
    for name in [*made.manifest, *made.manifest["provenance"], *made.index.columns]:
        assert f"`{name}`" in page
