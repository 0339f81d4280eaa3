"""The kinds of map that the command line makes, as a user types them."""

import json
from datetime import datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from command import run
from conftest import PLANET, REGION
from PIL import Image
from pmtiles.reader import MmapSource, Reader
from rio_cogeo import cog_validate

import sat2cap
from sat2cap.errors import InputError
from sat2cap.geo.frame import grid_of
from sat2cap.geo.when import hours_of, months_of, parse_when

BAD: dict[str, tuple[list[str], str]] = {
    "two whens": (["map", "{atlas}", "x", "--hours", "2024", "--months", "2024", "-o", "{tmp}/m.gif"], "one"),
    "no day": (["map", "{atlas}", "snow", "--hours", "noon", "-o", "{tmp}/m.gif"], "'noon'"),
    "nothing moves": (["map", "{atlas}", "snow", "-o", "{tmp}/m.gif"], "--months, --hours or several --when"),
    "tiles of two": (["map", "{atlas}", "snow", "sea", "-o", "{tmp}/m.pmtiles"], "one map, this score has 2"),
    "two picks": (["map", "{atlas}", "x", "--above", "0", "--best", "3", "-o", "{tmp}/m.parquet"], "the two"),
    "bad outlines": (["map", "{atlas}", "x", "-o", "{tmp}/m.png", "--outlines", "{tmp}/no.gpkg"], "no.gpkg"),
    "same twice": (["difference", "{atlas}", "snow", "-o", "{tmp}/m.tif"], "minus itself is 0"),
    "a moving difference": (["difference", "{atlas}", "snow", "sea", "-o", "{tmp}/m.mp4"], "unknown suffix"),
    "one category": (["classify", "{atlas}", "snow", "-o", "{tmp}/m.tif"], "give 2 to 12"),
    "twice the same": (["classify", "{atlas}", "snow", "snow", "-o", "{tmp}/m.tif"], "category must differ"),
    "no use for a title": (["map", "{atlas}", "x", "--title", "X", "-o", "{tmp}/m.tif"], "use for 'title'"),
    "no use for above": (["difference", "{atlas}", "x", "y", "--above", "0", "-o", "{tmp}/m.png"], "'above'"),
    "no use for imagery": (["classify", "{atlas}", "x", "y", "--underlay", "z", "-o", "{tmp}/m.tif"], "'un"),
    "bands of nothing": (["map", "{atlas}", "x", "--bands", "4,3,2", "-o", "{tmp}/m.png"], "name it as"),
    "no such recipe": (
        ["map", "{atlas}", "x", "--underlay", "miniworld:2", "--recipe", "x", "-o", "{tmp}/m.png"],
        "recipe 'x' does not exist",
    ),
    "no use for bands": (["classify", "{atlas}", "x", "y", "--stretch", "0,1", "-o", "{tmp}/m.tif"], "'stre"),
    "search picture": (["search", "{atlas}", "snow", "-o", "{tmp}/m.png"], ".geojson, .parquet"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clean_line_and_status_2(name: str, atlas: Path, tmp_path: Path) -> None:
    words, expected = BAD[name]
    done = run(*(word.format(atlas=atlas, tmp=tmp_path) for word in words))
    assert (done.status, done.out) == (2, ""), done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert expected in done.err
    assert list(tmp_path.iterdir()) == [], "nothing was written"


def test_several_dates_are_bands(atlas: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.tif"
    done = run("map", atlas, "snow", "--when", "2024-01", "--when", "2024-07-01T08:00", "-o", out)
    assert (done.status, done.out, done.err) == (0, f"{out}\n", "")
    assert cog_validate(out, strict=True)[0]
    with rasterio.open(out) as file:
        assert file.descriptions == ("2024-01-15T12:00", "2024-07-01T08:00")
        summer = sat2cap.open(atlas).map("snow", when="2024-07-01T08:00")
        np.testing.assert_allclose(file.read(2), summer.values, atol=1e-6)
    assert out.with_suffix(".qml").exists()


def test_months_and_hours(atlas: Path, tmp_path: Path) -> None:
    done = run("map", atlas, "snow", "--months", "2024", "-o", tmp_path / "m.gif")
    assert done.status == 0, done.err
    assert "drawing frames: 12 done" in done.err
    assert Image.open(tmp_path / "m.gif").n_frames == 12
    assert run("map", atlas, "snow", "--hours", "2024-05-20", "-o", tmp_path / "h.tif").status == 0
    with rasterio.open(tmp_path / "h.tif") as file:
        assert file.descriptions == tuple(f"2024-05-20T{hour:02d}:00" for hour in range(24))


def test_python_results_are_ordinary_xarray_objects(atlas: Path, tmp_path: Path) -> None:
    import rioxarray  # noqa: F401  adds .rio
    import xarray as xr
    from matplotlib import pyplot

    opened = sat2cap.open(atlas)
    score = opened.map("snow", when=["2024-01", "2024-07"])
    assert score.dims == ("time", "y", "x")
    np.testing.assert_array_equal(
        score.sel(time="2024-07-15T12:00").values, opened.map("snow", "2024-07").values
    )
    assert opened.map(["snow", "sea"], when=months_of(2024)).dims == ("prompt", "time", "y", "x")
    day = opened.map("snow", when=hours_of(parse_when("2024-05-20")))
    assert day.time.dt.hour.values.tolist() == list(range(24))
    far = opened.map("snow", when=["1066-10-14", "9999-01"])
    assert far.time.dt.year.values.tolist() == [1066, 9999]

    score.plot(col="time")
    assert pyplot.gcf().axes[-1].get_ylabel() == "cosine similarity"
    pyplot.close("all")
    score.to_netcdf(tmp_path / "s.nc")
    with xr.open_dataset(tmp_path / "s.nc", decode_coords="all") as back:
        np.testing.assert_array_equal(back["score"].values, score.values)
        assert back["score"].sel(time="2024-07").size == score[1].size
    mercator = score.rio.reproject("EPSG:3857")
    assert mercator.dims == ("time", "y", "x")
    mercator.rio.to_raster(tmp_path / "s.tif")
    with rasterio.open(tmp_path / "s.tif") as file:
        assert (file.crs.to_epsg(), file.count, np.isnan(file.nodata)) == (3857, 2, True)


def test_python_takes_datetimes_and_says_what_it_does_not_take(atlas: Path, tmp_path: Path) -> None:
    opened = sat2cap.open(atlas)
    may = opened.map("snow", when="2024-05-20 08:30")
    assert may.identical(opened.map("snow", when=datetime(2024, 5, 20, 8, 30)))
    asked = {
        "when is 2024": lambda: opened.map("snow", when=2024),
        "region is an int": lambda: opened.map("snow", region=7),
        "categories are a list": lambda: opened.classify("snow"),
        "score is a ndarray": lambda: sat2cap.save(may.values, tmp_path / "m.tif"),
    }
    for rule, ask in asked.items():
        with pytest.raises(InputError, match=rule):
            ask()


def test_a_difference_is_what_two_maps_differ_by(atlas: Path, tmp_path: Path) -> None:
    options = ("--when", "2024-01", "--less-when", "2024-07", "-o", tmp_path / "d.tif")
    done = run("difference", atlas, "snow", *options)
    assert (done.status, done.err) == (0, "")
    opened = sat2cap.open(atlas)
    expected = opened.map("snow", when="2024-01") - opened.map("snow", when="2024-07")
    with rasterio.open(tmp_path / "d.tif") as file:
        np.testing.assert_allclose(file.read(1), expected.values, atol=1e-6)
        assert file.tags()["when"] == "2024-01-15T12:00 minus 2024-07-15T12:00"
        assert file.tags()["scale"] == "difference of cosine"
    assert run("difference", atlas, "snow", "the sea", "-o", tmp_path / "d.png").status == 0
    assert Image.open(tmp_path / "d.png").text["Title"] == "snow minus the sea"


def test_a_difference_of_two_atlases_is_of_the_cells_that_both_have(
    atlas: Path, model: Path, tmp_path: Path
) -> None:
    west, south, east, north = map(float, REGION.split(","))
    shifted, old = f"{west + 0.02},{south},{east + 0.02},{north}", tmp_path / "old.zarr"
    done = run("embed", shifted, "--imagery", "miniworld:8", "--model", model, "-o", old)
    assert done.status == 0, done.err
    done = run("difference", atlas, "snow", "--less-atlas", old, "-o", tmp_path / "d.tif")
    assert (done.status, done.err) == (0, "")
    new_map, old_map = (sat2cap.open(path).map("snow") for path in (atlas, old))
    expected = new_map - old_map  # xarray joins by the coordinates of cells that both have
    assert 0 < expected.size < new_map.size
    with rasterio.open(tmp_path / "d.tif") as file:
        np.testing.assert_allclose(file.read(1), expected.values, atol=1e-6)
        assert file.bounds.left == pytest.approx(float(expected.x[0]) - 240)
        assert file.bounds.top == pytest.approx(float(expected.y[0]) + 240)
        assert file.tags()["imagery"] == "miniworld:7 minus miniworld:8"
    same = run("difference", atlas, "snow", "--less-atlas", atlas, "-o", tmp_path / "d.tif")
    assert "minus itself is 0; give another prompt, date or atlas to subtract" in same.err
    coarse = tmp_path / "coarse.zarr"
    done = run("embed", REGION, "--cell", 960, "--imagery", PLANET, "--model", model, "-o", coarse)
    assert done.status == 0, done.err
    refused = run("difference", atlas, "snow", "--less-atlas", coarse, "-o", tmp_path / "d.tif")
    assert refused.status == 2
    assert "the two maps have different cells (480 m in EPSG:" in refused.err


def test_categories_are_the_greatest_of_the_scores(atlas: Path, tmp_path: Path) -> None:
    prompts = ("snow", "the sea", "a street")
    done = run("classify", atlas, *prompts, "-o", tmp_path / "c.tif")
    assert (done.status, done.err) == (0, "")
    scores = sat2cap.open(atlas).map(list(prompts)).values
    known = np.isfinite(scores[0])
    with rasterio.open(tmp_path / "c.tif") as file:
        assert (file.read(1)[known] == scores[:, known].argmax(axis=0) + 1).all()
        assert (file.read(1)[~known] == 0).all()
    with rasterio.open(tmp_path / "c-confidence.tif") as file:
        confidence = file.read(1)[known]
        assert 1 / 3 <= confidence.min() <= confidence.max() <= 1
    assert {path.name for path in tmp_path.iterdir()} == {
        *("c.tif", "c.qml", "c-confidence.tif", "c-confidence.qml")
    }


def test_maps_of_maps_within_a_region(atlas: Path, tmp_path: Path) -> None:
    part = ("--within", "-10.0,-45.01,-9.97,-44.99")
    assert run("difference", atlas, "snow", "sea", *part, "-o", tmp_path / "d.tif").status == 0
    assert run("classify", atlas, "snow", "sea", *part, "-o", tmp_path / "c.tif").status == 0
    whole = sat2cap.open(atlas).difference("snow", "sea")
    with rasterio.open(tmp_path / "d.tif") as d, rasterio.open(tmp_path / "c.tif") as c:
        assert d.shape == c.shape < whole.shape
        values = d.read(1)
        known = np.isfinite(values)
        x, y = d.transform.c + d.transform.a / 2, d.transform.f + d.transform.e / 2
        same = whole.sel(x=slice(x - 1, None), y=slice(y + 1, None)).values[: d.shape[0], : d.shape[1]]
        np.testing.assert_allclose(values[known], same[known], atol=1e-6)
        assert ((values > 0) == (c.read(1) == 1))[known].all()


def test_outlines_are_drawn(atlas: Path, tmp_path: Path) -> None:
    ring = [[-10.0, -45.02], [-9.96, -45.02], [-9.96, -44.98], [-10.0, -44.98], [-10.0, -45.02]]
    area = {"type": "Polygon", "coordinates": [ring]}
    (tmp_path / "border.geojson").write_text(
        json.dumps({"type": "Feature", "properties": {}, "geometry": area})
    )
    assert run("map", atlas, "snow", "-o", tmp_path / "plain.png").status == 0
    done = run("map", atlas, "snow", "-o", tmp_path / "lined.png", "--outlines", tmp_path / "border.geojson")
    assert done.status == 0, done.err
    plain, lined = (
        np.asarray(Image.open(tmp_path / f"{n}.png").convert("L")).astype(int) for n in ("plain", "lined")
    )
    changed = np.abs(plain - lined) > 20
    assert 0.001 < changed.mean() < 0.05, "a line, not an area"


def test_tiles_page_and_parquet(atlas: Path, tmp_path: Path) -> None:
    for name in ("m.pmtiles", "m.html", "m.parquet"):
        best = ("--best", 5) if name == "m.parquet" else ()
        done = run("map", atlas, "snow", *best, "-o", tmp_path / name)
        assert (done.status, done.err) == (0, "")
    with (tmp_path / "m.pmtiles").open("rb") as file:
        assert Reader(MmapSource(file)).metadata()["sat2cap"]["prompt"] == "snow"
    assert gpd.read_parquet(tmp_path / "m.parquet")["cells"].sum() == 5
    assert run("search", atlas, "snow", "--top", 3, "-o", tmp_path / "s.parquet").status == 0
    assert len(gpd.read_parquet(tmp_path / "s.parquet")) == 3


def test_a_model_without_time_makes_no_months(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.zarr"
    small = ("0,45,0.004,45.004", "--imagery", "miniworld:7", "-o", out, "--model", model.parent / "clip")
    assert run("embed", *small).status == 0
    for words in (
        ("map", out, "snow", "--months", 2024, "-o", tmp_path / "m.gif"),
        ("difference", out, "snow", "--when", "2024-01", "--less-when", "2024-07", "-o", tmp_path / "m.tif"),
    ):
        done = run(*words)
        assert done.status == 2
        assert "no Dynamic Encoder" in done.err
    assert not list(tmp_path.glob("m.*"))


def test_a_full_disk_is_one_line_and_status_1(atlas: Path, tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        done = run("map", atlas, "snow", "-o", tmp_path / "m.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert f"'{tmp_path / 'm.png'}';" in done.err, "the file that was asked for, not a temporary name"
    assert list(tmp_path.iterdir()) == []


def test_imagery_of_many_bands_under_a_map(atlas: Path, tmp_path: Path) -> None:
    grid = grid_of(sat2cap.open(atlas).map("snow"))
    red, rest = np.full(grid.shape, 200, np.uint8), np.full(grid.shape, 40, np.uint8)
    place = {"crs": str(grid.crs), "transform": grid.affine, "height": grid.shape[0], "width": grid.shape[1]}
    with rasterio.open(
        tmp_path / "a.tif", "w", "GTiff", count=5, dtype="uint8", photometric="MINISBLACK", **place
    ) as file:
        file.write(np.stack([rest, rest, red, rest, rest]))
    words = ["map", atlas, "snow", "--underlay", tmp_path / "a.tif"]
    refused = run(*words, "-o", tmp_path / "m.png")
    assert refused.status == 2
    assert "bands" in refused.err
    pictures = []
    for name, options in (("b", ["--bands", "3,2,1"]), ("c", ["--bands", "1,2,5", "--stretch", "0,80"])):
        done = run(*words, *options, "-o", tmp_path / f"{name}.png")
        assert done.status == 0, done.err
        pictures.append(np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"), float))
    assert np.abs(pictures[0] - pictures[1]).max() > 5, "the imagery under the scores is not the same"
