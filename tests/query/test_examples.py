import numpy as np
import pytest
from made_model import atlas, embeddings, model
from PIL import Image

from sat2cap.errors import PromptError, WhenError
from sat2cap.geo.grid import cell_lonlat
from sat2cap.geo.when import When
from sat2cap.maps.conditioning import Conditioning, date_warning
from sat2cap.maps.layers import provenance
from sat2cap.query import Scan, score_atlas, score_with_spread
from sat2cap.query.prompts import TEMPLATES

MAY = When(2024, 5, 20, 8.0)


@pytest.fixture
def atlas_and_model(tmp_path):
    checkpoint = model()
    holes = np.zeros((20, 21), bool)
    holes[3, 3] = True
    return atlas(tmp_path / "a.zarr", embeddings(20, 21, 64), checkpoint, holes), checkpoint


def place(opened, row, col):
    lon, lat = cell_lonlat(opened.grid)
    return f"place:{lon[row, col]:.7f},{lat[row, col]:.7f}"


@pytest.mark.parametrize("when", [None, MAY])
def test_a_place_is_most_like_itself(atlas_and_model, when):
    opened, checkpoint = atlas_and_model
    scores = score_atlas(opened, checkpoint, [place(opened, 7, 11)], when=when).values[0]
    assert np.unravel_index(np.nanargmax(scores), scores.shape) == (7, 11)
    assert scores[7, 11] == pytest.approx(1, abs=1e-5)
    assert np.nanmax(np.where(scores == scores[7, 11], np.nan, scores)) < 0.99


def test_examples_combine_with_texts_and_can_be_what_is_not_wanted(atlas_and_model):
    opened, checkpoint = atlas_and_model
    one, other = place(opened, 7, 11), place(opened, 2, 4)
    each = score_atlas(opened, checkpoint, ["snow", one, other]).values
    both = score_atlas(opened, checkpoint, [f"snow + {one}"], templates=["a {}", "the {}"]).values[0]
    texts = score_atlas(opened, checkpoint, ["a snow", "the snow", one]).values
    mean = (texts[0] + texts[1] + 2 * texts[2]) / 4
    assert (
        np.nanmax(np.abs(np.corrcoef(both[opened.wanted][1:60], mean[opened.wanted][1:60])[0, 1] - 1)) < 1e-5
    )
    without = score_atlas(opened, checkpoint, [one], negatives=[other]).values[0]
    np.testing.assert_allclose(without, each[1] - each[2], atol=1e-6)


def test_a_photo_is_what_the_ground_tower_says(atlas_and_model, tmp_path, monkeypatch):
    opened, checkpoint = atlas_and_model
    Image.new("RGB", (9, 9), (1, 2, 3)).save(tmp_path / "a photo.png")
    seen = []
    vector = np.eye(64, dtype=np.float32)[:1]
    monkeypatch.setattr(
        type(checkpoint),
        "embed_ground",
        lambda self, images: seen.append(images[0].getpixel((0, 0))) or vector,
    )
    scores = score_atlas(opened, checkpoint, [f"photo:{tmp_path / 'a photo.png'}"]).values[0]
    stored = opened.read(slice(0, 20), slice(0, 21))
    np.testing.assert_allclose(scores, stored[..., 0] / np.linalg.norm(stored, axis=-1), atol=1e-6)
    assert seen == [(1, 2, 3)]


def test_a_photo_is_turned_as_it_was_held(atlas_and_model, tmp_path, monkeypatch):
    opened, checkpoint = atlas_and_model
    photo = Image.new("RGB", (8, 4))
    about = photo.getexif()
    about[0x0112] = 6  # to be turned by 90 degrees clockwise
    photo.save(tmp_path / "a.jpg", exif=about)
    seen = []
    vector = np.eye(64, dtype=np.float32)[:1]
    monkeypatch.setattr(
        type(checkpoint), "embed_ground", lambda self, images: seen.append(images[0].size) or vector
    )
    score_atlas(opened, checkpoint, [f"photo:{tmp_path / 'a.jpg'}"])
    assert seen == [(4, 8)]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("place:here", "write place:LON,LAT"),
        ("place:inf,1", "write place:LON,LAT"),
        ("place:nan,1", "write place:LON,LAT"),
        ("place:1,2,3", "write place:LON,LAT"),
        ("place:100,10", "outside the atlas"),
        ("{hole}", "has no embedding .*imagery has no pixels"),
        ("photo:no.jpg", "no photo that can be read .no such file"),
        ("photo:{text}", "no photo that can be read"),
    ],
)
def test_an_example_that_cannot_be_used_is_one_line(atlas_and_model, tmp_path, prompt, words):
    opened, checkpoint = atlas_and_model
    (tmp_path / "text.jpg").write_text("no photo")
    prompt = prompt.format(hole=place(opened, 3, 3), text=tmp_path / "text.jpg")
    with pytest.raises(PromptError, match=words) as error:
        score_atlas(opened, checkpoint, [prompt])
    assert "\n" not in str(error.value)


def test_examples_have_no_contrast(atlas_and_model):
    opened, checkpoint = atlas_and_model
    for asking in (
        {"prompts": [place(opened, 1, 1)]},
        {"prompts": ["p"], "negatives": [place(opened, 1, 1)]},
    ):
        with pytest.raises(PromptError, match=r"with contrast: .*use cosine or percentile"):
            score_atlas(opened, checkpoint, scale="contrast", **asking)


def test_spread_over_hours_is_the_deviation_over_a_day(atlas_and_model):
    opened, checkpoint = atlas_and_model
    scores = score_with_spread(Scan(opened, "cyclic"), checkpoint, ["p", "q"], "hours", when=MAY)
    assert list(scores.coords["prompt"]) == ["p", "q", "p (spread over hours)", "q (spread over hours)"]
    assert scores.attrs["prompt"] == list(scores.coords["prompt"])
    np.testing.assert_array_equal(
        scores.values[:2], score_atlas(opened, checkpoint, ["p", "q"], when=MAY).values
    )
    day = [
        score_atlas(opened, checkpoint, ["p", "q"], when=When(2024, 5, 20, float(hour))).values
        for hour in range(0, 24, 3)
    ]
    np.testing.assert_allclose(scores.values[2:], np.std(np.array(day, np.float64), axis=0), atol=1e-6)
    assert np.nanmin(scores.values[2:]) > 1e-4


def test_spread_over_templates_and_years(atlas_and_model, monkeypatch):
    opened, checkpoint = atlas_and_model
    scan = Scan(opened, "cyclic")
    worded = [score_atlas(scan, checkpoint, ["p"], templates=[template]).values[0] for template in TEMPLATES]
    scores = score_with_spread(scan, checkpoint, ["p"], "templates").values
    np.testing.assert_allclose(scores[1], np.std(np.array(worded, np.float64), axis=0), atol=1e-6)
    checkpoint.card["training"] = {"years": [2018, 2021]}
    years = [
        score_atlas(scan, checkpoint, ["p"], when=When(y, 2, 28, 8.0)).values[0] for y in range(2018, 2022)
    ]
    scores = score_with_spread(scan, checkpoint, ["p"], "years", when=When(2024, 2, 29, 8.0)).values
    np.testing.assert_allclose(scores[1], np.std(np.array(years, np.float64), axis=0), atol=1e-6)


@pytest.mark.parametrize("over", ["hours", "years"])
def test_there_is_no_spread_over_time_without_time(atlas_and_model, over):
    opened, checkpoint = atlas_and_model
    with pytest.raises(WhenError, match="no date is given; use templates"):
        score_with_spread(Scan(opened, "cyclic"), checkpoint, ["p"], over)
    with pytest.raises(PromptError, match="templates, hours, years"):
        score_with_spread(Scan(opened, "cyclic"), checkpoint, ["p"], "luck")


@pytest.mark.parametrize(
    ("year", "conditioning"),
    [
        (2017, Conditioning.YEAR_OUT_OF_RANGE),
        (2018, Conditioning.CONDITIONED),
        (2022, Conditioning.YEAR_OUT_OF_RANGE),
    ],
)
def test_a_year_outside_the_training_photos_is_reported(atlas_and_model, year, conditioning):
    opened, checkpoint = atlas_and_model
    checkpoint.card["training"] = {"years": [2018, 2021]}
    scores = score_atlas(opened, checkpoint, ["p"], when=When(year, 5, 20, 8.0))
    assert scores.attrs["dynamic"] == conditioning
    is_outside = conditioning is Conditioning.YEAR_OUT_OF_RANGE
    assert scores.attrs.get("training_years") == ([2018, 2021] if is_outside else None)
    warning = "outside the years of the training photos, 2018 to 2021: the model guesses"
    assert date_warning(scores.attrs) == (warning if is_outside else "")
    assert provenance(scores)["dynamic"] == (warning if is_outside else "dynamic")
    assert scores.attrs["when"] == f"{year}-05-20T08:00"
    assert np.isfinite(scores.values).sum() == 399
