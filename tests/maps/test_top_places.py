"""Places and areas against what the formula of the made-up score says."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from made_up_scores import made_up, three_prompts
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer

from sat2cap.errors import InputError
from sat2cap.geo.frame import grid_of, on_grid
from sat2cap.maps.places import areas_above, top_places, write_geojson


def test_the_best_place_is_the_peak() -> None:
    score = made_up()
    places = top_places(score, 3)
    x, y = grid_of(score).affine @ (45.5, 10.5)
    lon, lat = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True).transform(x, y)
    assert places["rank"].tolist() == [1, 2, 3]
    assert (places.lon[0], places.lat[0]) == pytest.approx((lon, lat), abs=1e-9)
    assert (places.geometry.x[0], places.geometry.y[0]) == pytest.approx((lon, lat), abs=1e-9)
    assert places.score.tolist() == pytest.approx(np.sort(score.values[np.isfinite(score.values)])[::-1][:3])
    assert places.attrs["prompt"] == "a busy street"


@pytest.mark.parametrize("apart_m", [600.0, 5_000.0])
def test_places_keep_their_distance_and_none_better_was_passed_over(apart_m: float) -> None:
    score = made_up()
    places = top_places(score, 12, apart_m)
    geod = Geod(ellps="WGS84")

    def metres(i: int, lon: float, lat: float) -> float:
        return float(geod.inv(places.lon[i], places.lat[i], lon, lat)[2])

    for i in range(len(places)):
        for j in range(i):
            assert metres(j, places.lon[i], places.lat[i]) >= apart_m * 0.99
    every = top_places(score, score.size)
    for place in every[every.score > places.score.iloc[-1]].itertuples():
        assert min(metres(i, place.lon, place.lat) for i in range(len(places))) <= apart_m * 1.01


def test_blocks_of_cells_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = top_places(made_up(), 30, 2000)
    monkeypatch.setattr("sat2cap.maps.ranking._BLOCK", 7)
    assert top_places(made_up(), 30, 2000).equals(whole)


def test_fewer_places_where_there_are_no_more() -> None:
    assert len(top_places(made_up(), 10, 1e6)) == 1
    assert len(top_places(made_up(4, 4), 100)) == 16 - 2
    nothing = made_up()
    nothing.values[:] = np.nan
    assert len(top_places(nothing, 5)) == len(top_places(nothing, 5, 100)) == 0


def test_areas_hold_exactly_the_cells_above() -> None:
    score = made_up(gaps=False)
    score.values[:] = 0
    score.values[2:4, 5:9] = [[0.5, 0.6, 0.7, 0.8], [0.5, 0.5, 0.5, 0.5]]
    score.values[4, 9] = 0.9  # touches at a corner only: an area of its own
    score.values[30, 30] = np.nan
    areas = areas_above(score, 0.5)
    assert areas["cells"].tolist() == [1, 8]
    assert areas["mean"].tolist() == pytest.approx([0.9, 4.6 / 8])
    assert areas["max"].tolist() == pytest.approx([0.9, 0.8])
    assert areas["km2"].tolist() == pytest.approx([0.48**2, 8 * 0.48**2], rel=2e-3)
    assert areas.crs == "EPSG:4326"
    x, y = grid_of(score).affine @ (7, 3)
    lon, lat = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True).transform(x, y)
    assert (areas.geometry[1].centroid.x, areas.geometry[1].centroid.y) == pytest.approx((lon, lat), abs=1e-5)
    assert len(areas_above(score, 1.0)) == 0


def test_areas_across_the_antimeridian_are_in_two_parts() -> None:
    """RFC 7946, 3.1.9; a ring that jumps from 180 to -180 is drawn around the Earth."""
    lon, lat = np.meshgrid(np.array([179.97, 179.99, -179.99]), np.array([-16.98, -17.0, -17.02]))
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32760", always_xy=True).transform(lon, lat)
    grid = GeoBox((4, 16), Affine(480, 0, x.min() - 480, 0, -480, y.max()), "EPSG:32760")
    values = np.zeros((4, 16), np.float32)
    values[1:3, 1:15] = 1
    (area,) = areas_above(on_grid(values, grid), 0.5).itertuples()
    assert area.cells == 28
    assert area.km2 == pytest.approx(28 * 0.48**2, rel=0.01)
    parts = sorted(part.bounds for part in area.geometry.geoms)
    assert (parts[0][0], parts[-1][2]) == (-180, 180)
    assert sum(east - west for west, _, east, _ in parts) == pytest.approx(14 * 0.00451, rel=0.05)


def test_geojson_that_others_read(tmp_path: Path) -> None:
    import geopandas

    places = top_places(made_up(), 4, 1000)
    write_geojson(places, tmp_path / "out.geojson")
    back = geopandas.read_file(tmp_path / "out.geojson")
    assert back.crs == "EPSG:4326"
    assert back["score"].tolist() == pytest.approx(places.score.tolist())
    assert back.geometry.x.tolist() == pytest.approx(places.lon.tolist(), abs=1e-7)
    document = json.loads((tmp_path / "out.geojson").read_text())
    assert document["sat2cap"]["attribution"] == "somebody"


def test_empty_geojson_is_valid(tmp_path: Path) -> None:
    write_geojson(areas_above(made_up(), 9), tmp_path / "out.geojson")
    assert json.loads((tmp_path / "out.geojson").read_text())["features"] == []


def test_what_cannot_be_asked() -> None:
    with pytest.raises(InputError, match="this score has 3"):
        top_places(three_prompts(), 5)
    with pytest.raises(InputError, match="at least 1 place"):
        top_places(made_up(), 0)
    with pytest.raises(InputError, match="inf m apart"):
        top_places(made_up(), 5, math.inf)
    with pytest.raises(InputError, match="nan m apart"):
        top_places(made_up(), 1, float("nan"))
