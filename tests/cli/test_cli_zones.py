"""``sat2cap zones``, as a user types it."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from command import run
from PIL import Image

import sat2cap


@pytest.fixture
def towns(atlas, tmp_path):
    """Two towns in the atlas, which together cover it, and one elsewhere."""
    grid = sat2cap.open(atlas).atlas.grid
    left, bottom, right, top = grid.boundingbox
    middle = (left + right) / 2
    boxes = [
        shapely.box(left, bottom, middle, top),
        shapely.box(middle, bottom, right, top),
        shapely.box(0, 0, 9, 9),
    ]
    path = tmp_path / "towns.gpkg"
    gpd.GeoDataFrame({"naam": ["West", "East", "Far"]}, geometry=boxes, crs=str(grid.crs)).to_file(path)
    return path


def test_zones_are_ranked_and_written(atlas, towns, tmp_path):
    out = tmp_path / "z.geojson"
    done = run("zones", atlas, "snow", "--zones", towns, "--stat", "mean", "--stat", "max", "-o", out)
    assert done.status == 0, done.err
    table = gpd.read_file(out)
    score = sat2cap.open(atlas).map("snow")
    assert list(table["naam"]) == ["West", "East", "Far"]
    assert table["mean"][:2].mean() == pytest.approx(float(score.mean()), rel=0.05)
    assert table["max"].max() == pytest.approx(float(score.max()), abs=1e-6)
    assert np.isnan(table["mean"][2])
    first = table["naam"][table["mean"].idxmax()]
    assert done.out.splitlines()[1].split()[:2] == ["1", first]
    assert "1 of 3 zones hold no cell with a score; their statistics are empty" in done.err


def test_a_picture_of_zones_at_two_dates(atlas, towns, tmp_path):
    out = tmp_path / "z.png"
    done = run("zones", atlas, "snow", "--zones", towns, "--when", "2024-01", "--when", "2024-07", "-o", out)
    assert done.status == 0, done.err
    assert min(Image.open(out).size) > 400
    assert "snow, 2024-01" not in done.out, "one prompt is not repeated in each column"
    assert "2024-01-15T12:00, mean" in done.out


def test_the_library_takes_tables_and_saves_them(atlas, towns, tmp_path):
    opened = sat2cap.open(atlas)
    table = opened.zones(gpd.read_file(towns).to_crs("EPSG:3857"), ["snow", "sea"], "share-above=0")
    assert [name for name in table.columns if "share" in name] == [
        "covered_share", "snow, share-above=0", "sea, share-above=0",
    ]  # fmt: skip
    for name in ("z.csv", "z.parquet", "z.gpkg", "z.png"):
        sat2cap.save(table, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 100
    with pytest.raises(sat2cap.Sat2CapError, match="unknown suffix"):
        sat2cap.save(table, tmp_path / "z.shp")


BAD = {
    "suffix": (["--zones", "{towns}", "-o", "z.shp"], "unknown suffix; end it in one of .gpkg"),
    "statistic": (["--zones", "{towns}", "--stat", "p101"], "statistic 'p101' is not known"),
    "column": (["--zones", "{towns}", "--name", "nom"], "no column 'nom'; they have: naam"),
    "file": (["--zones", "none.gpkg"], "zones 'none.gpkg' cannot be read"),
    "layer": (["--zones", "{towns}", "--layer", "roads"], "have no layer 'roads'; choose one"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clean_line(name, atlas, towns):
    words, expected = BAD[name]
    done = run("zones", atlas, "snow", *(word.format(towns=towns) for word in words))
    assert (done.status, done.out) == (2, ""), done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert expected in done.err
