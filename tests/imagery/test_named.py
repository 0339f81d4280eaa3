"""Names, source files and options: what people write is found, or refused in one line."""

import numpy as np
import pytest
from servers import tile_server

from sat2cap.catalogue import open_imagery
from sat2cap.errors import ImageryError
from sat2cap.geo.grid import patch_around
from sat2cap.imagery.bands import RECIPES, BandRendering, parse_rendering
from sat2cap.imagery.description import may_be_described
from sat2cap.imagery.named import find_source, named_sources, usage_caveats
from sat2cap.imagery.tiles.template import TileTemplate
from sat2cap.miniworld.world import MiniImagery, World

HERE = patch_around(70.1, 46.1, 480, 224)
GROUND = MiniImagery(World(2))


def test_every_named_source_says_what_may_be_done(monkeypatch):
    for name in ("MAPBOX_TOKEN", "AZURE_MAPS_KEY", "ARCGIS_TOKEN"):
        monkeypatch.setenv(name, "x")
    sources = named_sources()
    assert len(sources) >= 10
    assert {"tiles", "stac"} <= {source.kind for source in sources.values()}
    for name, source in sources.items():
        assert source.title, name
        assert source.attribution, name
        assert source.terms.startswith("https://"), name
        assert source.licence, name
        assert source.machine_use != "unknown", name
        if source.kind == "tiles":
            assert TileTemplate(source.url).url_of((10, 5, 6)).startswith("https://"), name
            assert open_imagery(name).info.licence == source.licence
        else:
            assert source.collection, name
    assert sum(source.machine_use == "allowed" for source in sources.values()) >= 5


def test_what_terms_want_said_is_said():
    assert usage_caveats("pdok-ortho-25cm") == []
    assert usage_caveats("photo.tif") == []
    assert "agreement with the provider" in usage_caveats("mapbox-satellite")[0]
    assert "unknown" in usage_caveats("https://tiles.example/{z}/{x}/{y}.png")[0]
    assert len(usage_caveats("stac:https://stac.example?collection=a")) == 2


def test_a_file_of_ones_own_is_a_source(tmp_path, monkeypatch):
    with tile_server(GROUND, size=512, suffix="jpg") as server:
        source_file = tmp_path / "mine.toml"
        source_file.write_text(
            f'kind = "tiles"\nurl = "{server.url}"\nzooms = [0, 15]\ntile_pixels = 512\nat_once = 2\n'
            'licence = "mine"\nattribution = "me"\nmachine_use = "allowed"\n'
            'headers = { Authorization = "Bearer ${MY_TOKEN}" }\n'
        )
        with pytest.raises(ImageryError, match="MY_TOKEN"):
            open_imagery(str(source_file))
        monkeypatch.setenv("MY_TOKEN", "t")
        imagery = open_imagery(str(source_file))
        truth = GROUND.read(HERE).values.astype(int)
        assert np.abs(imagery.read(HERE).values.astype(int) - truth).mean() < 5
        assert {zoom for zoom, _, _ in server.asked} == {15}
        assert server.headers[0]["Authorization"] == "Bearer t"
        assert (imagery.info.licence, imagery.info.attribution) == ("mine", "me")
        assert usage_caveats(str(source_file)) == []


def test_what_comes_after_the_question_mark_changes_the_source():
    source = find_source("sentinel-2-l2a?datetime=2024-06-01/2024-08-31&max_cloud=5&assets=nir,red,green")
    assert source.datetime == "2024-06-01/2024-08-31"
    assert source.max_cloud == 5
    assert source.assets == ("nir", "red", "green")
    assert source.licence == named_sources()["sentinel-2-l2a"].licence
    written = find_source(
        "stac:https://stac.example/v1?collection=c&assets=visual&bounds=1,2,3,4&scale=0,3000"
    )
    assert (written.kind, written.url, written.collection) == ("stac", "https://stac.example/v1", "c")
    assert (written.bounds, written.scale) == ((1, 2, 3, 4), (0, 3000))
    assert find_source("usgs-imagery?zooms=0,14").zooms == (0, 14)
    assert find_source("ortho.tif") is None


def test_bands_stretch_and_recipes():
    assert parse_rendering() == BandRendering()
    assert parse_rendering("4,3,2", "0,3000") == BandRendering((4, 3, 2), (0, 3000))
    assert parse_rendering(recipe="sentinel2") == BandRendering((4, 3, 2), (0, 3000), heed_alpha=False)
    wider = parse_rendering(stretch="0,10000", recipe="sentinel2")
    assert wider == BandRendering((4, 3, 2), (0, 10000), heed_alpha=False)
    assert parse_rendering("1") == BandRendering((1,))
    for recipe in RECIPES:
        assert parse_rendering(recipe=recipe).bands


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"bands": "4,3"}, "three numbers"),
        ({"bands": "0,1,2"}, "three numbers"),
        ({"bands": "red"}, "three numbers"),
        ({"stretch": "3000,0"}, "such as 0,3000"),
        ({"stretch": "0,nan"}, "such as 0,3000"),
        ({"stretch": "3000"}, "such as 0,3000"),
        ({"recipe": "nonsense"}, "bgrn, landsat, rgbn, sentinel2"),
    ],
)
def test_wrong_options_are_one_clear_line(options, rule):
    with pytest.raises(ImageryError, match=rule):
        parse_rendering(**options)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("kind = 'tiles'", "url is missing"),
        ("kind = 'tiles'\nurl = 'https://a/{z}/{x}/{y}'\ncolour = 1", "colour"),
        ("kind = 'magic'\nurl = 'x'", "kind"),
        ("url = 'x.tif'\nscale = [0, 9]", "kind is missing"),
        ("kind = ", "is not TOML"),
        ("[a]\nkind='raster'\nurl='a'\n[b]\nkind='raster'\nurl='b'", "has 2 sources"),
    ],
)
def test_wrong_source_files_are_one_clear_line(tmp_path, text, rule):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(ImageryError, match=rule) as caught:
        open_imagery(str(tmp_path / "s.toml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "options", "rule"),
    [
        ("nonsense", BandRendering(), "neither a file nor a known name; the names are .*pdok"),
        ("none.toml", BandRendering(), "cannot be read"),
        ("ftp://a/{z}/{x}/{y}.png", BandRendering(), "give one with https://"),
        ("sheets.zip", BandRendering(), "name a file in it: /vsizip/sheets.zip/FILE"),
        ("https://a/{z}/{x}/{y}.png", BandRendering((3, 2, 1)), "pictures"),
        ("pdok-ortho-25cm", BandRendering(stretch=(0, 9)), "pictures"),
        ("sentinel-2-l2a?cloudy=1", BandRendering(), "cloudy"),
        ("sentinel-2-l2a", BandRendering(), "say where"),
        ("sentinel-2-l2a", BandRendering((4, 3, 2)), "assets, not bands"),
    ],
)
def test_wrong_specs_are_one_clear_line(spec, options, rule):
    with pytest.raises(ImageryError, match=rule) as caught:
        open_imagery(spec, options)
    assert "\n" not in str(caught.value)


def test_a_name_with_a_dot_or_a_slash_is_no_described_source():
    names = named_sources()
    assert names
    assert all(may_be_described(name) for name in names)
    described = ["stac:https://example.org/api", "my.toml", "folder/my.toml?max_cloud=5"]
    assert all(map(may_be_described, described))
    plain = ["a.tif", "folder/a", "https://example.org/{z}/{x}/{y}.png", "GPKG:a.gpkg:t"]
    assert not any(map(may_be_described, plain))
    assert all(find_source(spec) is None for spec in plain)
