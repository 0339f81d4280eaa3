"""What the server answers about an atlas: scores that are those of a map, places, zones and files."""

import io
import json

import numpy as np
import pytest
import rasterio
from served import HEIGHT, MAY, NORTH, WIDTH, cell_with_data, place

import sat2cap
from sat2cap.maps import few_photos_warning
from sat2cap.query import photo_support
from sat2cap.server.scores import quantise_scores


def test_atlases_are_listed_and_a_broken_one_takes_no_other_down(client, folder):
    atlases = {entry["id"]: entry for entry in client.get("/api/atlases").json()}
    assert set(atlases) == {"the-north", "the-north-2", "broken"}
    assert "its plan cannot be read" in atlases["broken"]["problem"]
    assert str(folder) not in json.dumps(atlases), "paths of the server stay there"
    assert atlases["the-north"]["knows_time"]
    assert atlases["the-north"]["cells"] == HEIGHT * (WIDTH - 1)
    answer = client.get("/api/atlases/broken/scores", params={"prompt": "snow"})
    assert answer.status_code == 400
    assert "its plan cannot be read" in answer.json()["detail"]


def test_the_mesh_places_cells_in_web_mercator(client, opened):
    described = client.get(NORTH).json()
    mesh = np.array(described["mesh"]["xy"]).reshape(17, 17, 2)
    assert described["grid"]["shape"] == [HEIGHT, WIDTH]
    x, y = opened.atlas.grid.affine @ (WIDTH, HEIGHT)
    xs, ys = rasterio.warp.transform(opened.atlas.grid.crs.to_wkt(), "EPSG:3857", [x], [y])
    half = 20037508.342789244
    expected = [(xs[0] + half) / (2 * half), (half - ys[0]) / (2 * half)]
    np.testing.assert_allclose(mesh[-1, -1], expected, atol=1e-9)


@pytest.mark.parametrize("scale", ["cosine", "percentile", "contrast"])
@pytest.mark.parametrize("when", [None, MAY])
def test_scores_are_those_of_a_map_within_a_level(client, opened, scale, when):
    query = {"prompt": "snow", "scale": scale} | ({"when": when} if when else {})
    answer = client.get(f"{NORTH}/scores", params=query)
    about = json.loads(answer.headers["x-score"])
    levels = np.frombuffer(answer.content, np.uint8).reshape(about["shape"])
    expected = opened.map("snow", when, scale=scale).values
    np.testing.assert_array_equal(levels == 0, np.isnan(expected))
    scores = about["low"] + (levels.astype(float) - 1) * (about["high"] - about["low"]) / 254
    valid = levels > 0
    assert np.abs(scores - expected)[valid].max() <= (about["high"] - about["low"]) / 500
    assert about["low"] == pytest.approx(float(np.nanmin(expected)))
    assert about["p50"] == pytest.approx(np.nanmedian(expected), abs=(about["high"] - about["low"]) / 120)


def test_scores_carry_the_notice_of_chances_that_few_photos_speak_for(client, opened, monkeypatch):
    def read_notice(**query):
        answer = client.get(f"{NORTH}/scores", params=query)
        return json.loads(answer.headers["x-score"])["few_photos"]

    assert read_notice(prompt="skiers", scale="contrast") is None
    monkeypatch.setattr(photo_support, "FEWEST_PHOTOS", 500)  # more than the model has
    expected = few_photos_warning(opened.map("skaters", scale="contrast").attrs)
    assert expected.startswith("few held-out photos fit (skaters: about ")
    assert read_notice(prompt="skaters", scale="contrast") == expected
    assert read_notice(prompt="skaters", scale="cosine") is None
    both = read_notice(prompt="skaters", minus="swimmers", scale="contrast")
    assert "skaters: about" in both
    assert "swimmers: about" in both


def test_a_map_without_data_and_one_of_equal_scores(opened):
    score = opened.map("snow")
    empty = quantise_scores(score.where(False))
    assert not empty.levels.any()
    assert np.isnan(empty.low)
    assert set(np.unique(quantise_scores(score * 0 + 2).levels)) == {0, 1}


def test_search_is_that_of_the_library(client, opened):
    answer = client.get(f"{NORTH}/search", params={"prompt": "snow", "top": 3, "apart_m": 0})
    features = answer.json()["features"]
    expected = opened.search("snow", top=3, apart_m=0)
    assert [feature["properties"]["rank"] for feature in features] == [1, 2, 3]
    np.testing.assert_allclose([f["properties"]["score"] for f in features], expected["score"], rtol=1e-6)


def test_a_point_has_score_percentile_chance_and_phrases(client, opened):
    score = opened.map("snow", MAY)
    row, col = cell_with_data(score)
    answer = client.get(
        f"{NORTH}/point", params={"prompt": "snow", "when": MAY, **place(opened, row, col)}
    ).json()
    assert answer["score"] == pytest.approx(float(score.values[row, col]), rel=1e-6)
    assert answer["percentile"] == pytest.approx(
        float((score.values <= score.values[row, col]).sum() / np.isfinite(score.values).sum() * 100)
    )
    assert answer["chance"] == pytest.approx(
        float(opened.map("snow", MAY, scale="contrast").values[row, col]), abs=1e-5
    )
    assert len(answer["phrases"]) == 5
    row, col = (int(index) for index in np.argwhere(np.isnan(score.values[:, :-1]))[0])
    assert (
        client.get(f"{NORTH}/point", params={"prompt": "snow", **place(opened, row, col)}).json()["score"]
        is None
    )


def test_a_series_through_the_year(client, opened):
    row, col = cell_with_data(opened.map("snow"))
    query = {"prompt": "snow", "over": "months", "when": "2021", **place(opened, row, col)}
    answer = client.get(f"{NORTH}/series", params=query | {"when": "2021-03"}).json()
    assert answer["when"][0] == "2021-01-15T12:00"
    expected = [float(opened.map("snow", when).values[row, col]) for when in answer["when"]]
    np.testing.assert_allclose(answer["scores"], expected, rtol=1e-5)
    day = client.get(f"{NORTH}/series", params=query | {"when": "2021-03-04", "over": "hours"}).json()
    assert len(day["scores"]) == 24


def test_posted_zones_get_statistics(client, opened):
    west, south, east, north = client.get(NORTH).json()["bounds"]
    middle = (west + east) / 2
    ring = [[west, south], [middle, south], [middle, north], [west, north], [west, south]]
    feature = {"type": "Feature", "properties": {"name": "half", "nested": {"a": 1}},
               "geometry": {"type": "Polygon", "coordinates": [ring]}}  # fmt: skip
    answer = client.post(f"{NORTH}/zones", params={"prompt": "snow", "stat": ["mean", "max"]}, json=feature)
    properties = answer.json()["features"][0]["properties"]
    import geopandas
    import shapely

    expected = opened.zones(geopandas.GeoDataFrame(geometry=[shapely.Polygon(ring)], crs="EPSG:4326"), "snow")
    assert properties["mean"] == pytest.approx(float(expected["mean"][0]))
    assert properties["name"] == "half"


@pytest.mark.parametrize("suffix", ["tif", "png", "geojson", "pmtiles"])
def test_exports_are_the_files_of_the_command_line(client, opened, suffix, tmp_path):
    answer = client.get(f"{NORTH}/export", params={"prompt": "snow", "format": suffix})
    assert answer.status_code == 200
    path = tmp_path / f"m.{suffix}"
    sat2cap.save(opened.map("snow"), path)
    assert f"sat2cap.{suffix}" in answer.headers["content-disposition"]
    if suffix == "tif":
        with rasterio.open(io.BytesIO(answer.content)) as got, rasterio.open(path) as expected:
            np.testing.assert_array_equal(got.read(), expected.read())
    elif suffix == "geojson":
        assert json.loads(answer.content)["features"] == json.loads(path.read_text())["features"]
