"""The package as a library, from embedding a region to a classifier on its vectors."""

import inspect
import io
import re

import numpy as np
import pandas as pd
import pytest
import rioxarray  # noqa: F401  (adds .rio)
from PIL import Image
from pyproj import CRS

import sat2cap
from sat2cap.api.display import _imagery_dates
from sat2cap.atlas import CellStatus, create_or_resume
from sat2cap.errors import AtlasError, InputError, PromptError, RegionError, Sat2CapError

REGION = (-70.0, 46.0, -69.95, 46.04)


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    out = tmp_path_factory.mktemp("library") / "country.zarr"
    stages = []
    opened = sat2cap.embed(
        REGION, "miniworld:2", "miniclip", out, progress=lambda stage, done, total: stages.append(stage)
    )
    assert "embedding cells" in stages
    return opened


def test_every_call_is_listed_and_has_help():
    names = {"open", "save", "embed", "build_pairs", "train", "load_model", "open_pairs", "evaluate"}
    assert names | {"Sat2CapError", "write_report"} <= set(dir(sat2cap))
    for name in names - {"evaluate"}:
        assert inspect.getdoc(getattr(sat2cap, name)), name
    assert sat2cap.__version__.count(".") == 2
    assert issubclass(RegionError, sat2cap.Sat2CapError)
    with pytest.raises(AttributeError, match="nonsense"):
        sat2cap.nonsense  # noqa: B018


def test_dates_of_imagery_are_a_day_a_range_or_unknown():
    items = [{"datetime": "2024-06-03T10:56:19Z"}, {"datetime": "2024-06-01T10:56:19Z"}]
    assert _imagery_dates({"items": items}) == "2024-06-01 to 2024-06-03"
    assert _imagery_dates({"items": items[:1]}) == "2024-06-03"
    assert _imagery_dates({"datetime": None}) == "unknown"


def test_help_names_types_as_the_pages_do():
    shown = str(inspect.signature(sat2cap.OpenAtlas.map))
    assert "prompt: 'Prompt | Sequence[Prompt]'" in shown
    assert "ForwardRef" not in "".join(str(inspect.signature(call)) for call in (sat2cap.embed, sat2cap.save))


def test_embedding_again_goes_on_and_is_the_same_atlas(atlas):
    again = sat2cap.embed(REGION, "miniworld:2", "miniclip", atlas.atlas.path)
    assert again.atlas.fingerprint == atlas.atlas.fingerprint


def test_a_plan_says_what_would_be_done_and_writes_nothing(tmp_path):
    plan = sat2cap.plan_embedding(REGION, "miniworld:2", "miniclip", tmp_path / "plan.zarr")
    assert plan.spec.dim == 128
    assert len(plan.pending()) >= 1
    assert not (tmp_path / "plan.zarr").exists()


@pytest.fixture
def hollow(tmp_path):
    """A function that makes an atlas whose cells have no embedding, but for `count` of them."""

    def make(count):
        path = tmp_path / "hollow.zarr"
        writer = create_or_resume(path, sat2cap.plan_embedding(REGION, "miniworld:2", "miniclip", path).spec)
        for chunk in writer.pending():
            status = np.full(chunk.shape, CellStatus.IMAGERY_MISSING, np.uint8)
            status[:1, :count] = CellStatus.OK
            writer.write(chunk, np.ones((*chunk.shape, 128), np.float32), status)
        writer.finish()
        return sat2cap.open(path, "miniclip")

    return make


def test_a_map_of_an_atlas_without_any_embedding_is_refused_with_the_reason(hollow):
    with pytest.raises(AtlasError, match=r"no cell with an embedding \(.*the imagery has no pixels there"):
        hollow(0).map("snow")


def test_a_map_of_a_region_without_any_embedding_is_warned_of(hollow):
    """One cell, the first, has an embedding, so the atlas as a whole has a map."""
    atlas = hollow(1)
    assert np.isfinite(atlas.map("snow")).sum() == 1
    with pytest.warns(UserWarning, match="no cell of region .* has an embedding: the map is empty"):
        assert np.isnan(atlas.map("snow", region=(-69.97, 46.0, -69.95, 46.01))).all()


def test_a_damaged_chunk_is_repaired_to_the_same_bytes(tmp_path):
    out = tmp_path / "damaged.zarr"
    sat2cap.embed(REGION, "miniworld:2", "miniclip", out)
    chunk = next(
        path
        for path in sorted((out / "embeddings").rglob("*"))
        if path.is_file() and path.name != "zarr.json"
    )
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    result = sat2cap.repair(out)
    assert (result.damaged_chunks, result.failed_cells) == (1, 0)
    assert chunk.read_bytes() == whole


def test_an_atlas_says_what_it_is(atlas):
    assert "\n" not in repr(atlas)
    assert "cells of 480 m" in repr(atlas)
    assert "data:image/png;base64," in atlas._repr_html_()
    assert "imagery of</th><td style='text-align:left'>unknown" in atlas._repr_html_()


def test_embeddings_are_the_stored_ones_and_read_in_part(atlas):
    array = atlas.embeddings()
    height, width = atlas.atlas.grid.shape
    stored = np.moveaxis(atlas.atlas.read(slice(0, height), slice(0, width)), -1, 0)
    assert array.dims == ("embedding", "y", "x")
    assert array.rio.crs == atlas.atlas.grid.crs
    np.testing.assert_array_equal(array.values, stored)
    np.testing.assert_array_equal(array[3:9:2, ::-1, 2].values, stored[3:9:2, ::-1, 2])
    np.testing.assert_array_equal(array.isel(y=-1, x=[0, 2]).values, stored[:, -1, [0, 2]])


def test_reading_part_of_the_embeddings_reads_only_those_cells(atlas, monkeypatch):
    array, blocks = atlas.embeddings(), []
    read = type(atlas.atlas).read
    monkeypatch.setattr(
        type(atlas.atlas),
        "read",
        lambda self, rows, cols: blocks.append((rows, cols)) or read(self, rows, cols),
    )
    assert array[:, 1:3, 2].values.shape == (128, 2)
    assert blocks == [(slice(1, 3), slice(2, 3))]


def test_a_region_cuts_the_embeddings(atlas):
    part = atlas.embeddings((-69.99, 46.01, -69.97, 46.03))
    assert part.sizes["x"] < atlas.embeddings().sizes["x"]
    whole = atlas.embeddings().sel(y=part.y, x=part.x)
    inside = np.isfinite(part.values)
    assert inside.any()
    np.testing.assert_array_equal(part.values[inside], whole.values[inside])
    with pytest.raises(RegionError, match="meets no cell"):
        atlas.embeddings((10, 10, 11, 11))


def test_a_sample_agrees_with_the_map_and_feeds_a_classifier(atlas):
    score = atlas.map("a beach")
    points = [(-69.98, 46.02), (-69.96, 46.03), (0.0, 0.0)]
    table = atlas.sample(points, ["a beach", "a forest"], vectors=True)
    assert list(table["a beach"].notna()) == [True, True, False]
    for row in table.iloc[:2].itertuples():
        at = atlas.sample([(row.lon, row.lat)]).to_crs(score.rio.crs).geometry.iloc[0]
        expected = float(score.sel(x=at.x, y=at.y, method="nearest"))
        assert row[3] == pytest.approx(expected, abs=1e-5)
    vectors = table.filter(regex="^e[0-9]+$").iloc[:2].to_numpy()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    from sklearn.linear_model import LogisticRegression

    assert list(LogisticRegression().fit(vectors, [0, 1]).predict(vectors)) == [0, 1]


def test_several_prompts_in_one_search(atlas):
    table = atlas.search(["a beach", "a forest"], top=2)
    assert list(table.prompt) == ["a beach", "a beach", "a forest", "a forest"]
    pd.testing.assert_frame_equal(
        table[table.prompt == "a forest"].drop(columns="prompt").reset_index(drop=True),
        atlas.search("a forest", top=2),
    )


def test_wrong_arguments_are_named(atlas):
    with pytest.raises(PromptError, match="prompt vector 1 has 512 numbers, and this model's embeddings 128"):
        atlas.map(np.ones(512, np.float32))
    with pytest.raises(PromptError, match="no direction"):
        atlas.map(np.zeros(128))
    with pytest.raises(PromptError, match=r"negatives\[0\] is a float"):
        atlas.map("a beach", negatives=[0.5])
    with pytest.raises(InputError, match="run is an int"):
        sat2cap.train(7)


WRONG_TYPES = {
    "crs is a list": lambda atlas: atlas.map("snow", crs=[3857]),
    "top is 0": lambda atlas: atlas.search("snow", top=0),
    "top is 2.5": lambda atlas: atlas.search("snow", top=2.5),
    "apart_m is a str": lambda atlas: atlas.search("snow", apart_m="1 km"),
    "apart_m is -1": lambda atlas: atlas.search("snow", apart_m=-1),
    "points must be": lambda atlas: atlas.score_at("west", 46.02, "snow"),
    "beams is 0": lambda atlas: atlas.caption([(-69.98, 46.02)], beams=0),
    "when 'yesterday'": lambda atlas: atlas.map("snow", when="yesterday"),
    "path is None": lambda atlas: sat2cap.open(None),
    "path is an int": lambda atlas: sat2cap.open_pairs(5),
    "model is an int": lambda atlas: sat2cap.load_model(5),
    "photos is an int": lambda atlas: sat2cap.open_photos(5),
    "imagery is an int": lambda atlas: sat2cap.embed(REGION, 5, "miniclip", "x.zarr"),
    "model is a list": lambda atlas: sat2cap.embed(REGION, "miniworld:2", [], "x.zarr"),
    "out is an int": lambda atlas: sat2cap.plan_embedding(REGION, "miniworld:2", "miniclip", 5),
    "cell_m is a str": lambda atlas: sat2cap.embed(REGION, "miniworld:2", "miniclip", "x.zarr", cell_m="big"),
    "path is a float": lambda atlas: sat2cap.save(atlas.search("snow"), 0.5),
    "atlas is an int": lambda atlas: sat2cap.repair(5),
    "folder is an int": lambda atlas: sat2cap.publish("x.zarr", 5),
    "bands is an int": lambda atlas: sat2cap.open_imagery("a.tif", bands=5),
    "a number of stretch is a str": lambda atlas: sat2cap.open_imagery("a.tif", stretch=["0", "3000"]),
    "stretch is empty": lambda atlas: plan_other(stretch=[]),
    "recipe is a list": lambda atlas: sat2cap.open_imagery("a.tif", recipe=["sentinel2"]),
    "cache is a bool": lambda atlas: sat2cap.open_imagery("a.tif", cache=True),
    "holds a null character": lambda atlas: sat2cap.open("x\0.zarr"),
    "where is a str": lambda atlas: plan_other(where="a=b"),
    "max_missing is None": lambda atlas: plan_other(max_missing=None),
    "dtype is a type": lambda atlas: plan_other(dtype=np.int8),
    "are for imagery by name": lambda atlas: plan_other(sat2cap.open_imagery("miniworld:2"), bands="3,2,1"),
    "engine 'dask' does not exist": lambda atlas: sat2cap.repair("x.zarr", engine="dask"),
    "scale is a DataFrame": lambda atlas: atlas.map("snow", scale=pd.DataFrame()),
    "prompts is an int": lambda atlas: atlas.classify(7),
    "less is a DataFrame": lambda atlas: atlas.difference("snow", pd.DataFrame()),
    "less_atlas is a str": lambda atlas: atlas.difference("snow", less_atlas="x.zarr"),
    "captioner is an int": lambda atlas: atlas.caption([(-69.98, 46.02)], captioner=5),
    "when is a list without a date": lambda atlas: atlas.caption([(-69.98, 46.02)], when=[]),
    "title is an int": lambda atlas: sat2cap.save(atlas.map("snow"), "x.png", title=5),
    "above is a list": lambda atlas: sat2cap.save(atlas.map("snow"), "x.geojson", above=[]),
    "model is None": lambda atlas: sat2cap.export_model(None, "x"),
    "runs is an int": lambda atlas: sat2cap.write_report(5, "x.html"),
    "atlases is a str": lambda atlas: sat2cap.evaluate.time("x.zarr"),
}


def plan_other(imagery="miniworld:2", **settings):
    return sat2cap.plan_embedding(REGION, imagery, "miniclip", "x.zarr", **settings)


@pytest.mark.parametrize("words", WRONG_TYPES)
def test_a_value_of_a_wrong_type_is_refused_in_one_line_that_names_the_argument(atlas, words):
    with pytest.raises(Sat2CapError, match=re.escape(words)) as refused:
        WRONG_TYPES[words](atlas)
    assert "\n" not in str(refused.value)


def test_a_crs_is_a_code_a_number_or_an_object(atlas):
    mercator = atlas.map("a beach", crs="EPSG:3857")
    for crs in (3857, np.int64(3857), CRS.from_epsg(3857)):
        np.testing.assert_array_equal(atlas.map("a beach", crs=crs).values, mercator.values)


def test_both_sides_of_a_difference_may_be_vectors(atlas):
    first, second = np.eye(128)[:2]
    expected = atlas.map(first) - atlas.map(second)
    np.testing.assert_allclose(atlas.difference(first, second).values, expected.values, atol=1e-6)
    with pytest.raises(PromptError, match="minus itself"):
        atlas.difference(first, first.copy())


def test_one_negative_may_be_plain_text(atlas):
    np.testing.assert_array_equal(
        atlas.map("a beach", negatives="the sea").values, atlas.map("a beach", negatives=["the sea"]).values
    )


def test_evaluations_are_tables(atlas, tmp_path):
    """A map held against itself as the truth: every cell is ranked rightly."""
    score = atlas.map("a beach")
    sat2cap.save(score, tmp_path / "truth.tif")
    case = f'[[case]]\nprompt = "a beach"\ntruth = "truth.tif"\nthreshold = {float(score.median())}\n'
    (tmp_path / "cases.toml").write_text(case)
    table = sat2cap.evaluate.maps(atlas, tmp_path / "cases.toml", draws=20)
    assert list(table.columns) == ["value", "low", "high"]
    assert table.value["auroc.1"] == 1.0
    assert np.isnan(table.high["auroc.1"]), "one block of land has no interval"


def test_a_model_and_a_pair_set_say_what_they_are(tmp_path):
    from sat2cap.pairs import PatchSpec

    model = sat2cap.load_model("miniclip")
    assert "128 numbers" in repr(model)
    assert "overhead, ground, text" in model._repr_html_()
    pairs = sat2cap.build_pairs(
        "miniworld:3", "miniworld:3", tmp_path / "p", count=20, patch=PatchSpec(480, 32)
    )
    assert "\n" not in repr(pairs)
    assert str(tmp_path) in repr(pairs)
    assert "data:image/png;base64," in pairs._repr_html_()


def test_the_models_known_by_name_are_a_table():
    table = sat2cap.list_models()
    assert table.dim["openai/clip-vit-base-patch32"] == 512


def test_an_image_and_a_vector_are_prompts_like_others(atlas, tmp_path):
    from sat2cap.miniworld import MiniPhotos, World

    image = next(iter(MiniPhotos(World(2), 1).photos()))
    picture = Image.open(io.BytesIO(MiniPhotos(World(2), 1).read_image(image)))
    path = tmp_path / "photo.png"
    picture.save(path)
    vector = sat2cap.load_model("miniclip").embed_ground([picture])[0]
    maps = atlas.map([path, picture, 3 * vector])
    assert list(maps.prompt.values) == [f"photo:{path}", "image 2", "vector 3"]
    np.testing.assert_allclose(maps.values[1], maps.values[0], atol=1e-5)
    np.testing.assert_allclose(maps.values[2], maps.values[1], atol=1e-5)
    text = sat2cap.load_model("miniclip").embed_text(["a beach"])[0]
    np.testing.assert_allclose(atlas.map(text).values, atlas.map("a beach").values, atol=1e-5)
    with pytest.raises(PromptError, match="with contrast"):
        atlas.map(picture, scale="contrast")
    assert list(atlas.search([picture, "a beach"], top=1).prompt) == ["image 1", "a beach"]


def test_places_in_words(atlas):
    with pytest.warns(UserWarning, match="0,0 has no embedding"):
        table = atlas.caption([(-69.98, 46.02), (0.0, 0.0)], beams=1)
    assert list(table.columns) == ["lon", "lat", "when", "geometry", "caption"]
    assert len(table.caption[0]) > 5
    assert table.caption[1] is None
    with pytest.warns(UserWarning, match="the date is ignored"):
        near = atlas.phrases([(-69.98, 46.02)], ["2024-01", "2024-07"], bank=["a beach", "a forest"], top=1)
    assert list(near.when) == ["2024-01-15T12:00", "2024-07-15T12:00"]
    cosines = {text: atlas.sample([(-69.98, 46.02)], text)[text][0] for text in ("a beach", "a forest")}
    (best,) = near.phrases[0]
    assert best.phrase == max(cosines, key=cosines.get)
    assert best.cosine == pytest.approx(cosines[best.phrase], abs=1e-5)
