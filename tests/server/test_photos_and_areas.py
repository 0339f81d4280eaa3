"""Photos as prompts, and searches within polygons."""

import io

import numpy as np
import pytest
from PIL import Image
from served import NORTH

from sat2cap import extras
from sat2cap.geo import cell_lonlat
from sat2cap.server import photos


def encode(colour, form="PNG", size=(40, 30), mode="RGB", **options):
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, form, **options)
    return buffer.getvalue()


def embed_colours(self, pictures):
    """Stand in for a photo tower: a direction of its own for each mean colour, rounded to be lossless."""
    colours = [np.asarray(picture).mean(axis=(0, 1)).round(-1).astype(int) for picture in pictures]
    rows = [np.random.default_rng(colour.tolist()).normal(size=self.dim) for colour in colours]
    return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


@pytest.fixture
def seeing(checkpoint, monkeypatch):
    """The model of the atlases, which can now embed photos."""
    monkeypatch.setattr(type(checkpoint), "embed_ground", embed_colours)
    monkeypatch.setattr(type(checkpoint), "has_ground_tower", True)
    return checkpoint


def hide_torch(monkeypatch):
    """Let torch look as if it were not installed."""
    find_spec = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "torch" else find_spec(name))


def send(client, content):
    answer = client.post("/api/photos", content=content)
    assert answer.status_code == 200, answer.text
    return answer.json()["prompt"]


def read_npy(client, **query):
    answer = client.get(f"{NORTH}/map/preview.npy", params={"max_size": 2048} | query)
    assert answer.status_code == 200, answer.text
    return np.load(io.BytesIO(answer.content))[0]


@pytest.mark.parametrize("scale", ["cosine", "percentile"])
def test_a_photo_is_scored_as_the_library_scores_its_vector(client, opened, seeing, scale):
    red = Image.open(io.BytesIO(encode("red")))
    prompt = send(client, encode("red"))
    expected = opened.map(seeing.embed_ground([red])[0], "2024-05-20T08:00", scale=scale).values
    scores = read_npy(client, prompt=prompt, scale=scale, when="2024-05-20T08:00")
    np.testing.assert_allclose(scores[np.isfinite(expected)], expected[np.isfinite(expected)], atol=1e-5)


def test_a_photo_and_words_are_averaged_and_a_photo_can_be_taken_off(client, opened, seeing):
    vector = seeing.embed_ground([Image.new("RGB", (4, 4), "red")])[0]
    prompt = send(client, encode("red"))
    mean = vector + seeing.embed_text(["snow"])[0]
    both = opened.map((mean / np.linalg.norm(mean)).astype(np.float32)).values
    valid = np.isfinite(both)
    np.testing.assert_allclose(read_npy(client, prompt=f"snow + {prompt}")[valid], both[valid], atol=1e-5)
    snow, red = opened.map("snow").values, opened.map(vector).values
    taken_off = read_npy(client, prompt="snow", minus=prompt)
    np.testing.assert_allclose(taken_off[valid], (snow - red)[valid], atol=1e-5)


def test_the_same_picture_has_the_same_name_and_a_small_picture(client, seeing):
    content = encode((10, 200, 30), "JPEG", (1200, 800))
    prompt = send(client, content)
    assert prompt == send(client, content)
    answer = client.get(f"/api/photos/{prompt.removeprefix('upload:')}.webp")
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (96, 64)
    assert np.abs(np.asarray(picture.convert("RGB")).mean(axis=(0, 1)) - (10, 200, 30)).max() < 8


def test_point_and_series_know_photos_but_give_no_chance(client, opened, seeing):
    prompt = send(client, encode("red"))
    score = opened.map("snow")
    row, col = np.argwhere(np.isfinite(score.values))[100]
    lon, lat = (float(axis[row, col]) for axis in cell_lonlat(opened.atlas.grid))
    place = {"prompt": prompt, "lon": lon, "lat": lat}
    answer = client.get(f"{NORTH}/point", params=place).json()
    assert answer["chance"] is None
    assert answer["score"] is not None
    series = client.get(f"{NORTH}/series", params=place | {"over": "months"})
    assert len(series.json()["scores"]) == 12
    refused = client.get(f"{NORTH}/scores", params={"prompt": prompt, "scale": "contrast"})
    assert refused.status_code == 400
    assert "use cosine or percentile" in refused.json()["detail"]


BOMB = encode(0, size=(12_000, 12_000), mode="1")  # of one bit a pixel, as more take seconds to encode
BAD_PICTURES = {
    "nothing": (b"", "the body is empty"),
    "text": (b"<script>alert(1)</script>", "not JPEG, PNG, WebP"),
    "torn": (encode("red", "JPEG", (400, 300))[:300], "broken (Truncated"),
    "too many pixels": (BOMB, "12000 x 12000 pixels; at most 67 million"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_what_is_no_picture_is_refused(client, name):
    content, sentence = BAD_PICTURES[name]
    answer = client.post("/api/photos", content=content)
    assert answer.status_code == 400, answer.text
    assert "\n" not in answer.json()["detail"]
    assert sentence in answer.json()["detail"]
    assert answer.json()["detail"].startswith("the photo cannot be used: " if content else sentence)


def test_a_photo_that_is_gone_or_joined_with_a_place_is_one_sentence(client, seeing):
    for prompt, sentence in (
        ("upload:0000", "photo '0000' is not here"),
        ("upload:../../etc/passwd", "is not here"),
        (send(client, encode("red")) + " + place:3,52", "a photo and a place cannot be joined"),
    ):
        answer = client.get(f"{NORTH}/scores", params={"prompt": prompt})
        assert answer.status_code == 400
        assert sentence in answer.json()["detail"]
    assert client.get("/api/photos/0000.webp").status_code == 400


def test_an_atlas_says_whether_a_photo_can_be_a_prompt(client, seeing, monkeypatch):
    assert client.get(NORTH).json()["photos"] is True
    hide_torch(monkeypatch)
    assert client.get(NORTH).json()["photos"] is False
    answer = client.post("/api/photos", content=encode("red"))
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("a photo as a prompt needs torch")


def test_a_model_without_a_tower_for_photos_takes_none(client):
    assert client.get(NORTH).json()["photos"] is False


def test_photos_are_kept_within_a_bound(monkeypatch):
    pictures = [encode((shade, 0, 0), "BMP", (100, 100)) for shade in range(4)]
    monkeypatch.setattr(photos, "_MAX_BYTES", 2 * len(pictures[0]))
    store = photos.PhotoPrompts()
    names = [store.add(content).removeprefix("upload:") for content in pictures]
    assert list(store._photos) == names[-2:]


def box(opened, rows, cols):
    """A polygon whose edges run between the centres of cells of the rows and columns that are in it."""
    lon, lat = cell_lonlat(opened.atlas.grid)
    corners = [(rows[0], cols[0]), (rows[0], cols[1]), (rows[1], cols[1]), (rows[1], cols[0])]
    ring = [[float(lon[corner]), float(lat[corner])] for corner in [*corners, corners[0]]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_a_search_within_polygons_finds_their_best_cells(client, opened):
    from shapely import contains_xy
    from shapely.geometry import shape

    score = opened.map("snow").values
    lon, lat = cell_lonlat(opened.atlas.grid)
    polygons = [box(opened, (3, 9), (4, 12)), box(opened, (20, 26), (30, 41))]
    inside = contains_xy(shape(polygons[0]), lon, lat) | contains_xy(shape(polygons[1]), lon, lat)
    assert 20 < inside.sum() < 200
    ranked = np.sort(score[inside & np.isfinite(score)])[::-1][:5]
    body = {"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {}, "geometry": geometry} for geometry in polygons
    ]}  # fmt: skip
    answer = client.post(f"{NORTH}/search", params={"prompt": "snow", "top": 5, "apart_m": 0}, json=body)
    features = answer.json()["features"]
    scores = [feature["properties"]["score"] for feature in features]
    assert scores == pytest.approx(ranked.tolist(), abs=1e-5)
    both = shape(polygons[0]).union(shape(polygons[1]))
    assert all(contains_xy(both, *feature["geometry"]["coordinates"]) for feature in features)
    far = {"type": "Polygon", "coordinates": [[[100, 0], [101, 0], [101, 1], [100, 0]]]}
    nothing = client.post(f"{NORTH}/search", params={"prompt": "snow"}, json=far)
    assert nothing.status_code == 200, nothing.text
    assert nothing.json()["features"] == []
