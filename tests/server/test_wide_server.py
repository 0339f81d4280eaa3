"""A wide atlas on a server: the same addresses, across the edge of two UTM zones."""

import io
import json

import numpy as np
import pytest
import shapely
from made_model import calibrated
from PIL import Image
from served import make_client
from wide_world import make_wide_atlas

import sat2cap
from sat2cap.geo import cell_lonlat, grid_of

WIDE = "/api/atlases/wide"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    checkpoint = calibrated(400)
    path = tmp_path_factory.mktemp("served") / "wide.zarr"
    make_wide_atlas(path, checkpoint, "5.6,51.9,6.4,52.2")
    return sat2cap.open(path, checkpoint)


@pytest.fixture(scope="module")
def client(opened):
    with make_client(opened.atlas.path, opened.model) as client:
        yield client


def test_it_is_described_on_the_grid_of_its_maps(client, opened):
    described = client.get(WIDE).json()
    score = opened.map("snow", crs="EPSG:3857")
    assert described["grid"]["crs"] == "EPSG:3857"
    assert tuple(described["grid"]["shape"]) == score.shape
    assert described["grid"]["cell_m"] == pytest.approx(2000, abs=0.5), (
        "of its cells, not of the map's pixels"
    )
    assert described["cells"] == int(opened.atlas.wanted.sum())
    west, south, east, north = described["bounds"]
    assert west < 5.61 and east > 6.39 and south < 51.91 and north > 52.19  # noqa: PT018
    x = np.array(described["mesh"]["xy"])[:, 0]
    assert x.min() == pytest.approx(west / 360 + 0.5, abs=1e-4)


def test_scores_are_those_of_the_map(client, opened):
    answer = client.get(f"{WIDE}/scores", params={"prompt": "snow"})
    about = json.loads(answer.headers["X-Score"])
    levels = np.frombuffer(answer.content, np.uint8).reshape(about["shape"])
    score = opened.map("snow", crs="EPSG:3857").values
    shown = np.isfinite(score)
    assert ((levels > 0) == shown).all()
    step = (about["high"] - about["low"]) / 254
    np.testing.assert_allclose(about["low"] + (levels[shown] - 1.0) * step, score[shown], atol=step)


def test_tiles_cross_the_edge_without_a_gap(client):
    tile = client.get(f"{WIDE}/map/tiles/WebMercatorQuad/9/264/168.png", params={"prompt": "snow"})
    assert tile.status_code == 200
    alpha = np.asarray(Image.open(io.BytesIO(tile.content)).convert("RGBA"))[..., 3]
    seam = round((6.0 / 360 + 0.5) * 512 % 1 * 256)
    rows = np.flatnonzero((alpha > 0).sum(1) > 100)
    assert len(rows) > 20
    assert (alpha[rows[2] : rows[-2], seam - 20 : seam + 20] > 0).all()


def test_places_on_both_sides_are_described_and_followed(client, opened):
    for lon in (5.99, 6.01):
        place = {"prompt": "snow", "lon": lon, "lat": 52.0}
        point = client.get(f"{WIDE}/point", params=place).json()
        chance = float(opened.score_at(lon, 52.0, "snow", scale="contrast"))
        assert point["chance"] == pytest.approx(chance)
        assert point["score"] == pytest.approx(float(opened.score_at(lon, 52.0, "snow")), abs=0.05)
        assert len(point["phrases"]) == 5
        series = client.get(f"{WIDE}/series", params={**place, "over": "months"}).json()
        months = [f"2024-{month:02d}-15 12:00" for month in range(1, 13)]
        np.testing.assert_allclose(series["scores"], opened.score_at(lon, 52.0, "snow", months), atol=1e-6)
    outside = client.get(f"{WIDE}/point", params={"prompt": "snow", "lon": 20, "lat": 52})
    assert outside.status_code == 400


def test_search_zones_and_files(client, opened):
    found = client.get(f"{WIDE}/search", params={"prompt": "snow", "top": 3}).json()["features"]
    best = opened.search("snow", top=1)
    assert found[0]["properties"]["score"] == pytest.approx(best["score"][0], abs=1e-6)
    nearest = client.get(f"{WIDE}/search", params={"prompt": "snow", "top": 40, "apart_m": 0}).json()[
        "features"
    ]
    scores = [feature["properties"]["score"] for feature in nearest]
    cells = opened.search("snow", top=45, apart_m=0)["score"].to_numpy()
    assert len(set(scores)) == 40  # a cell is found once, though several pixels show it
    assert scores[-1] >= cells[-1]
    zone = {"type": "Feature", "properties": {"name": "across"}}
    zone["geometry"] = shapely.geometry.mapping(shapely.box(5.9, 52, 6.1, 52.1))
    body = {"type": "FeatureCollection", "features": [zone]}
    answer = client.post(f"{WIDE}/zones", params={"prompt": "snow"}, json=body).json()
    properties = answer["features"][0]["properties"]
    assert properties["covered_share"] == pytest.approx(1, abs=1e-3)
    score = opened.map("snow", region="5.9,52,6.1,52.1")
    lon, lat = cell_lonlat(grid_of(score))
    held = (np.abs(lon - 6) < 0.1) & (np.abs(lat - 52.05) < 0.05)
    assert properties["mean"] == pytest.approx(float(score.values[held].mean()), abs=0.01)
    assert client.get(f"{WIDE}/wmts", params={"prompt": "snow"}).status_code == 200


def test_a_part_that_changes_is_picked_up(client, opened):
    version = client.get(WIDE).json()["version"]
    journal = opened.atlas.members[1].path / "_sat2cap" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes())
    assert client.get(WIDE).json()["version"] != version


def test_around_the_antimeridian_tiles_lie_on_both_sides(tmp_path):
    checkpoint = calibrated(400)
    make_wide_atlas(tmp_path / "wide.zarr", checkpoint, "179.2,-17.5,-179.3,-16.9")
    with make_client(tmp_path / "wide.zarr", checkpoint) as client:
        described = client.get(WIDE).json()
        west, _, east, _ = described["bounds"]
        assert west > 179 and east < -179  # noqa: PT018
        assert max(described["grid"]["shape"]) < 200
        x = np.array(described["mesh"]["xy"])[:, 0]
        assert x.max() - x.min() < 0.01
        for column in (0, 511):
            tile = client.get(
                f"{WIDE}/map/tiles/WebMercatorQuad/9/{column}/280.png", params={"prompt": "snow"}
            )
            assert tile.status_code == 200, tile.text
            alpha = np.asarray(Image.open(io.BytesIO(tile.content)).convert("RGBA"))[..., 3]
            assert (alpha > 0).mean() > 0.5
        point = client.get(f"{WIDE}/point", params={"prompt": "snow", "lon": -179.9, "lat": -17.2}).json()
        assert point["score"] is not None
