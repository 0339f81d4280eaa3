"""The notebook that ships, cell by cell, as a reader runs it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401  adds .rio
import xarray as xr

NOTEBOOK = Path(__file__).parents[1] / "docs" / "maps.ipynb"


def cells() -> list[tuple[str, str]]:
    """``(id, code)`` of every cell that runs."""
    document = json.loads(NOTEBOOK.read_text())
    return [
        (cell["id"], "".join(cell["source"])) for cell in document["cells"] if cell["cell_type"] == "code"
    ]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names that all cells leave behind, run in an empty folder."""
    import matplotlib as mpl

    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("notebook"))
        mpl.use("Agg")
        for name, code in cells():
            exec(compile(code, f"{NOTEBOOK.name}, cell {name}", "exec"), names)
        names["folder"] = Path.cwd()
    return names


def test_every_cell_runs_and_leaves_its_files(ran: dict[str, Any]) -> None:
    assert len(cells()) >= 8, "the walk missed cells"
    left = {path.name for path in ran["folder"].iterdir()}
    assert left >= {
        "sea.tif",
        "sea.qml",
        "sea.png",
        "sea.html",
        "classes.png",
        "streets.parquet",
        "scores.nc",
    }
    assert 0.05 < ran["share"] <= 0.11


def test_no_output_is_stored() -> None:
    document = json.loads(NOTEBOOK.read_text())
    stored = [cell["id"] for cell in document["cells"] if cell.get("outputs") or cell.get("execution_count")]
    assert stored == [], "clear the outputs before committing"


def test_what_others_save_holds_the_same_scores(ran: dict[str, Any]) -> None:
    scores = ran["scores"]
    with rasterio.open(ran["folder"] / "scores.tif") as file:
        np.testing.assert_array_equal(file.read(), scores.values)
        assert np.isnan(file.nodata)
        assert file.crs.to_epsg() == int(scores.rio.crs.to_epsg())
    with xr.open_dataset(ran["folder"] / "scores.nc", decode_coords="all") as back:
        np.testing.assert_array_equal(back["score"].values, scores.values)
        assert list(back["prompt"].values) == ["the sea", "a forest", "a city street"]
        assert back.rio.crs == scores.rio.crs
        assert back["score"].attrs["licence"] == "CC0-1.0"


def test_reprojecting_keeps_no_data_and_the_range(ran: dict[str, Any]) -> None:
    mercator, scores = ran["mercator"], ran["scores"]
    assert mercator.rio.crs.to_epsg() == 3857
    assert np.isnan(mercator.values).any(), "the corners of a turned grid"
    assert np.nanmin(scores) <= np.nanmin(mercator)
    assert np.nanmax(mercator) <= np.nanmax(scores)
