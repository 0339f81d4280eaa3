"""docs/python.md: its code runs as printed, from top to bottom."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 4
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert (tmp_path / "beach.tif").is_file()
    assert list(names["places"].prompt) == ["a beach"] * 3 + ["a forest"] * 3
    assert names["corner"].shape == (128, 2, 2)
    assert len(names["kinds"]) == int(names["beach"].notnull().sum())
    assert set(names["kinds"]) <= {"shore", "inland"}
