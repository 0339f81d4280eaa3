"""docs/classifier.ipynb, cell by cell, as a reader runs it."""

import json
from pathlib import Path

import numpy as np

NOTEBOOK = Path(__file__).parents[2] / "docs" / "classifier.ipynb"


def test_every_cell_runs_and_the_classifier_beats_guessing(tmp_path, monkeypatch):
    import matplotlib as mpl

    mpl.use("Agg")
    document = json.loads(NOTEBOOK.read_text())
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert len(code) >= 4
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"]] == []
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in code:
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert names["accuracy"] > names["guessing"] + 0.1
    chance = names["chance"]
    assert chance.shape == names["country"].atlas.grid.shape
    assert 0 <= float(chance.min()) <= float(chance.max()) <= 1
    embedded = np.isfinite(names["country"].map("a forest").values)
    assert embedded.mean() > 0.9
    np.testing.assert_array_equal(np.isfinite(chance.values), embedded)
