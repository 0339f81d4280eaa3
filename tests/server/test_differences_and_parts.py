"""Differences as layers, parts of an atlas, captions, zones to colour, and which atlases are offered."""

import asyncio
import io
import json

import numpy as np
import pytest
import rasterio
from made_model import atlas as make_atlas
from made_model import embeddings
from odc.geo.geobox import GeoBox
from PIL import Image
from served import HEIGHT, MAY, NORTH, WIDTH, make_client

import sat2cap
from sat2cap.errors import InputError
from sat2cap.geo import cell_lonlat
from sat2cap.server.collection import AtlasCollection
from sat2cap.server.parts import Part, part_within, read_bounds

JANUARY = "2024-01-15T12:00"


def read_scores(client, **query):
    answer = client.get(f"{NORTH}/scores", params={"prompt": "snow", **query})
    assert answer.status_code == 200, answer.text
    about = json.loads(answer.headers["x-score"])
    return np.frombuffer(answer.content, np.uint8).reshape(about["shape"]), about


@pytest.mark.parametrize(
    ("query", "ask"),
    [
        ({"when": MAY, "minus_when": JANUARY}, {"when": MAY, "less_when": JANUARY}),
        ({"minus": "a beach"}, {"less": "a beach"}),
        (
            {"when": MAY, "minus": "a beach", "negative": "fog"},
            {"when": MAY, "less": "a beach", "negatives": "fog"},
        ),
    ],
)
def test_a_difference_is_that_of_the_library_on_a_scale_with_0_in_the_middle(client, opened, query, ask):
    levels, about = read_scores(client, **query)
    expected = opened.difference("snow", **ask).values
    largest = np.nanmax(np.abs(expected))
    assert about["centred"]
    assert (about["low"], about["high"]) == pytest.approx((-largest, largest))
    np.testing.assert_array_equal(levels == 0, np.isnan(expected))
    changes = (levels.astype(float) - 128) * largest / 127
    valid = levels > 0
    assert np.abs(changes - expected)[valid].max() <= largest / 250
    assert "difference of cosine" in about["name"]


def test_a_map_is_not_centred(client):
    assert read_scores(client)[1]["centred"] is False


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"minus": "snow"}, "minus itself is 0"),
        ({"minus_when": "spring"}, "this is not a date"),
        ({"minus": "photo:/etc/passwd"}, "the minus names a file of the server"),
        ({"minus": " "}, "the minus is empty"),
    ],
)
def test_a_difference_that_cannot_be(client, query, sentence):
    answer = client.get(f"{NORTH}/scores", params={"prompt": "snow", **query})
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]


def test_tiles_of_a_difference_hold_its_values_and_are_white_in_the_middle(client, opened):
    query = {"prompt": "snow", "minus": "a beach"}
    west, south, east, north = client.get(NORTH).json()["bounds"]
    box = f"{NORTH}/map/bbox/{west},{south},{east},{north}"
    values = client.get(f"{box}.tif", params=query)
    with rasterio.open(io.BytesIO(values.content)) as data:
        numbers = data.read(1)
    expected = opened.difference("snow", "a beach").values
    assert np.nanmin(numbers) >= np.nanmin(expected) - 1e-6
    assert np.nanmax(numbers) <= np.nanmax(expected) + 1e-6
    assert (numbers < 0).any()
    picture = np.asarray(
        Image.open(io.BytesIO(client.get(f"{box}.png", params=query).content)).convert("RGBA")
    )
    shown = picture[picture[..., 3] > 0].astype(int)
    reddest, bluest = (shown[np.argmax(sign * (shown[:, 0] - shown[:, 2]))] for sign in (1, -1))
    assert reddest[0] > reddest[2] + 60
    assert bluest[2] > bluest[0] + 60


def test_a_series_and_a_chance_are_not_those_of_a_difference(client, opened):
    row, col = (int(index) for index in np.argwhere(np.isfinite(opened.map("snow").values))[100])
    lon, lat = cell_lonlat(opened.atlas.grid)
    query = {"prompt": "snow", "minus": "a beach", "lon": float(lon[row, col]), "lat": float(lat[row, col])}
    place = client.get(f"{NORTH}/point", params=query).json()
    assert place["score"] == pytest.approx(
        float(opened.difference("snow", "a beach").values[row, col]), rel=1e-5
    )
    assert place["chance"] is None
    series = client.get(f"{NORTH}/series", params=query | {"over": "months"})
    assert series.status_code == 400
    assert "leave minus" in series.json()["detail"]


def test_a_part_holds_the_levels_of_the_whole_map(client, opened):
    whole, about = read_scores(client)
    lon, lat = cell_lonlat(opened.atlas.grid)
    rows, cols = slice(10, 20), slice(15, 35)
    box = (lon[rows, cols].min(), lat[rows, cols].min(), lon[rows, cols].max(), lat[rows, cols].max())
    part, about_part = read_scores(client, bbox=",".join(f"{edge:.7f}" for edge in box))
    row, col = about_part["offset"]
    height, width = about_part["shape"]
    np.testing.assert_array_equal(part, whole[row : row + height, col : col + width])
    assert row <= 10
    assert row + height >= 20
    assert col <= 15
    assert col + width >= 35
    assert part.size < whole.size / 3
    assert {key: about_part[key] for key in ("low", "high", "p50")} == {
        key: about[key] for key in ("low", "high", "p50")
    }
    assert about["offset"] == [0, 0]


def test_a_part_beside_the_atlas_is_empty(client):
    levels, about = read_scores(client, bbox="100,10,101,11")
    assert levels.size == 0
    assert 0 in about["shape"]


@pytest.mark.parametrize("bbox", ["1,2,3", "a,b,c,d", "0,80,10,70", "0,0,nan,1", "1,2,3,4,5", "/etc/passwd"])
def test_a_box_that_is_none(client, bbox):
    answer = client.get(f"{NORTH}/scores", params={"prompt": "snow", "bbox": bbox})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("bbox")


def test_boxes_cross_the_antimeridian():
    grid = GeoBox((10, 40), rasterio.Affine(0.5, 0, 170, 0, -0.5, 5), "EPSG:4326")  # 170 E to 170 W
    assert asyncio.run(read_bounds("179,0,-179,1")) == (179, 0, 181, 1)
    for text in ("179,0,-179,1", "179,0,181,1", "-181,0,-179,1"):
        part = part_within(grid, asyncio.run(read_bounds(text)))
        assert part.cols.start in (15, 16, 17)
        assert part.cols.stop in (23, 24, 25)
    assert part_within(grid, (-200, -80, 200, 80)) == Part(slice(0, 10), slice(0, 40))


def test_a_part_holds_every_cell_in_view_where_edges_are_curves():
    grid = GeoBox((300, 400), rasterio.Affine(10_000, 0, 2_500_000, 0, -10_000, 5_400_000), "EPSG:3035")
    lon, lat = cell_lonlat(grid)
    for west, south, east, north in ((-10, 60, 40, 71), (5, 50, 6, 51), (-5, 36, 3, 44)):
        part = part_within(grid, (west, south, east, north))
        inside = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
        rows, cols = np.nonzero(inside)
        assert part.rows.start <= rows.min()
        assert rows.max() < part.rows.stop
        assert part.cols.start <= cols.min()
        assert cols.max() < part.cols.stop


def test_a_model_without_captioner_says_so(client, opened):
    assert client.get(NORTH).json()["captions"] is False
    west, south, east, north = client.get(NORTH).json()["bounds"]
    query = {"lon": (west + east) / 2, "lat": (south + north) / 2}
    answer = client.get(f"{NORTH}/caption", params=query)
    assert answer.status_code == 400
    assert "no captioner" in answer.json()["detail"]


def test_captions_are_those_of_the_library(tmp_path):
    model = sat2cap.load_model("miniclip")
    make_atlas(tmp_path / "a.zarr", embeddings(8, 9, model.dim), model, np.eye(8, 9, dtype=bool))
    opened = sat2cap.open(tmp_path / "a.zarr", model)
    lon, lat = cell_lonlat(opened.atlas.grid)
    with make_client(tmp_path, model) as client:
        assert client.get("/api/atlases/a").json()["captions"] is True
        place = {"lon": float(lon[2, 5]), "lat": float(lat[2, 5])}
        answer = client.get("/api/atlases/a/caption", params=place).json()
        hole = {"lon": float(lon[3, 3]), "lat": float(lat[3, 3])}
        assert client.get("/api/atlases/a/caption", params=hole).json()["caption"] is None
    expected = opened.caption([(place["lon"], place["lat"])])["caption"].iloc[0]
    assert answer["caption"] == expected
    assert len(expected.split()) > 1


def test_zones_come_with_the_range_to_colour_them_by(client):
    west, south, east, north = client.get(NORTH).json()["bounds"]
    middle = (west + east) / 2

    def box(west, east):
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        return {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}

    body = {
        "type": "FeatureCollection",
        "features": [box(west, middle), box(middle, east), box(east + 1, east + 2)],
    }
    answer = client.post(f"{NORTH}/zones", params={"prompt": "snow", "stat": ["mean", "p90"]}, json=body)
    document = answer.json()
    means = [feature["properties"]["mean"] for feature in document["features"]]
    assert means[2] is None
    assert document["statistics"]["mean"] == pytest.approx({"low": min(means[:2]), "high": max(means[:2])})
    assert set(document["statistics"]) == {"mean", "p90"}
    assert document["scale"] == {"name": "cosine similarity", "unit": "", "centred": False}


def test_folders_of_a_demo_are_looked_into(tmp_path, checkpoint):
    values, holes = embeddings(4, 5, 64), np.zeros((4, 5), bool)
    for name in ("atlas/north.zarr", "atlas/north-clip.zarr", "train/deep/er.zarr"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        make_atlas(tmp_path / name, values, checkpoint, holes)
    assert AtlasCollection([tmp_path], checkpoint).slugs == ["north", "north-clip"]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="no atlas in"):
        AtlasCollection([tmp_path / "nothing"], checkpoint)


def test_sizes_of_the_atlases(client):
    assert read_scores(client)[0].shape == (HEIGHT, WIDTH)
