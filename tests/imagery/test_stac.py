"""STAC searches: which items are selected, and that they are read where they lie."""

import json
import pickle
from pathlib import Path

import httpx
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from file_server import file_process
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from rasterio.enums import Resampling
from servers import after, file_server, stac_item, stac_server

from sat2cap.catalogue import open_imagery
from sat2cap.errors import ImageryError
from sat2cap.geo.grid import patch_around
from sat2cap.http import Fetcher, FetchPolicy
from sat2cap.imagery.bands import BandRendering
from sat2cap.imagery.raster import open_raster
from sat2cap.imagery.stac.reader import _Signer
from sat2cap.miniworld.world import MiniImagery, World

OVERHEAD = Path(__file__).parents[3] / "shared" / "data" / "overhead"
WORLD = MiniImagery(World(4))
NAMES = ("red", "green", "blue")
HERE = patch_around(12.0, 50.0, 1500, 150)
"""In the middle of two scenes, over their overlap."""


def scene(folder: Path, name: str, left: float, hole: bool = False) -> GeoBox:
    """Three 16-bit files of 10 m, reflectance as ten times the planet's colours, 0 where there is nothing."""
    affine = Affine(10, 0, HERE.affine.c + left, 0, -10, HERE.affine.f + 500)
    grid = GeoBox((250, 200), affine, HERE.crs)
    values = WORLD.read(grid).values.astype(np.uint16) * 10 + 10
    if hole:
        values[100:150, 60:90] = 0
    for band, colour in enumerate(NAMES):
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "nodata": 0, "tiled": True}
        with rasterio.open(
            folder / f"{name}_{colour}.tif",
            "w",
            height=250,
            width=200,
            crs=str(grid.crs),
            transform=affine,
            blockxsize=128,
            blockysize=128,
            **profile,
        ) as file:
            file.write(values[..., band], 1)
            file.build_overviews((2, 4), Resampling.average)
    return grid


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    with stac_server(folder) as (root, server), file_process(folder) as files:
        for name, left, cloud, day in (
            ("west", -600, 8.0, 1),
            ("east", 100, 3.0, 2),
            ("west_cloudy", -600, 60.0, 3),
            ("east_old", 100, 3.0, 1),
        ):
            grid = scene(folder, name, left, hole=name == "east")
            assets = {colour: f"{files}/{name}_{colour}.tif" for colour in NAMES}
            when = f"2024-06-{day:02d}T10:00:00Z"
            server.items.append(stac_item(name, grid, assets, when, **{"eo:cloud_cover": cloud}))
        yield root, server, files


@pytest.fixture
def search_site(running):
    root, server, _ = running
    server.searches.clear()
    server.faults.clear()
    return f"stac:{root}?collection=made&assets=red,green,blue&scale=10,2560", server


def area(box: GeoBox = HERE) -> Geometry:
    return box.extent


def test_the_least_clouded_items_that_cover_a_region_are_kept(search_site):
    spec, server = search_site
    imagery = open_imagery(spec + "&max_cloud=20&datetime=2024-06-01/2024-06-30", region=area())
    assert [item["id"] for item in imagery.info.items] == ["east", "west"]
    assert imagery.info.items[0] == {
        "id": "east",
        "collection": "made",
        "datetime": "2024-06-02T10:00:00Z",
        "cloud_cover": 3.0,
        "href": "",
    }
    assert imagery.info.as_dict()["items"] == list(imagery.info.items)
    search_body = server.searches[0]
    assert search_body["query"] == {"eo:cloud_cover": {"lte": 20.0}}
    assert search_body["datetime"].startswith("2024-06-01T00:00:00Z/2024-06-30T23:59:59Z")
    assert len(server.searches) == 2, "three items meet it, the server gives two at a time"
    june_first = open_imagery(spec + "&datetime=2024-06-01", region=area())
    assert [item["id"] for item in june_first.info.items] == ["east_old", "west"]
    assert june_first.info.identity != imagery.info.identity


def test_items_are_read_as_one_image_where_they_lie(search_site):
    spec, _ = search_site
    imagery = open_imagery(spec, region=area())
    pixels, truth = imagery.read(HERE).values, WORLD.read(HERE).values
    assert pixels[..., 3].all()
    differs = np.abs(pixels.astype(int) - truth.astype(int)) > 1
    assert differs.mean() < 0.005, (
        "on the files' own grid the same, but for how the planet is drawn in blocks"
    )
    for shifted in (np.roll(pixels, 1, 0), np.roll(pixels, 1, 1)):
        assert np.abs(shifted.astype(int) - truth.astype(int)).mean() > 3, "one pixel off would show"
    again = pickle.loads(pickle.dumps(imagery))
    np.testing.assert_array_equal(again.read(HERE).values, pixels)


def test_a_hole_shows_what_lies_below_it_or_nothing(search_site):
    spec, _ = search_site
    single = open_imagery(spec + "&datetime=2024-06-02", region=area())
    assert [item["id"] for item in single.info.items] == ["east"]
    with rasterio.open(single.items[0]["assets"]["red"]["href"]) as file:
        there = file.read(1) > 0
        grid = GeoBox(file.shape, file.transform, HERE.crs)
    np.testing.assert_array_equal(single.read(grid).values[..., 3] > 0, there)
    assert not there.all()
    assert not single.read(patch_around(13.0, 50.0, 480, 32)).values.any()


def test_a_server_that_is_busy_or_fails_is_asked_again(search_site):
    spec, server = search_site
    server.faults[:] = [after(0), 503]
    assert len(open_imagery(spec, region=area()).info.items) == 2
    server.faults[:] = [400]
    with pytest.raises(ImageryError, match=r"the search of .* is refused .400 Bad Request"):
        open_imagery(spec, region=area())


def test_what_cannot_be_had_is_one_clear_line(search_site, running):
    spec, server = search_site
    root, _, _files = running
    for wrong, rule in {
        spec + "&datetime=2023": "no item of 'made' there .*widen the dates",
        spec.replace("made", "other"): "no item of 'other'",
        spec.replace(root, "http://127.0.0.1:9"): "the search of .* failed 4 times",
    }.items():
        with pytest.raises(ImageryError, match=rule) as caught:
            open_imagery(wrong, region=area())
        assert "\n" not in str(caught.value)
    with pytest.raises(
        ImageryError, match=r"2 items failed; the first: item east .* is uint16, not 8-bit .*give a stretch"
    ):
        open_imagery(spec.partition("&scale")[0], region=area()).read(HERE)
    with pytest.raises(ImageryError, match="say where"):
        open_imagery(spec)
    with pytest.raises(
        ImageryError, match=r"no item of 'made'.*4 items left out: without the asset 'nonsense'"
    ):
        open_imagery(spec.replace("red,", "nonsense,"), region=area())
    lost = stac_item("lost", HERE, dict.fromkeys(NAMES, f"{root}/lost.tif"), collection="lost")
    server.items.append(lost)
    try:
        with pytest.raises(ImageryError, match=r"item lost of .* cannot be read"):
            open_imagery(spec.replace("made", "lost"), region=area()).read(HERE)
    finally:
        server.items.remove(lost)


def test_assets_that_must_be_signed_are(search_site, running, tmp_path):
    """Every address that is read has been to the signing service first."""
    spec, server = search_site
    root, _, files = running
    sign = f"{root}/sign?href={{href}}"
    server.signed.clear()
    imagery = open_imagery(f"{spec}&sign={sign.replace('?', '%3F').replace('=', '%3D')}", region=area())
    assert imagery.read(HERE).values[..., 3].all()
    assert len(server.signed) >= 6
    assert all(href.startswith(files) for href in server.signed)
    again = pickle.loads(pickle.dumps(imagery))
    np.testing.assert_array_equal(again.read(HERE), imagery.read(HERE))


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        ([], "no JSON object with an href"),
        ({"href": 7}, "no JSON object with an href"),
        ({"href": "http://169.254.169.254/a.tif"}, "an address inside this network"),
        ({"href": "file:///etc/hostname"}, "no web address"),
    ],
)
def test_a_signer_cannot_lead_anywhere(answer, rule, monkeypatch):
    """It counts as one of the internet here, and its answers as received."""
    fetcher = Fetcher("a search", policy=FetchPolicy(max_attempts=1))
    signer = _Signer("https://8.8.8.8/sign?href={href}", fetcher)
    monkeypatch.setattr(Fetcher, "_receive", lambda *_: (httpx.Response(200), json.dumps(answer).encode()))
    with pytest.raises(ImageryError, match=rule) as error:
        signer.sign("https://8.8.8.8/a.tif")
    assert "\n" not in str(error.value)


def test_a_static_catalogue_is_walked(search_site, running, tmp_path):
    import json

    spec, server = search_site
    with file_server(tmp_path) as (root, _):
        links = []
        for item in server.items:
            (tmp_path / f"{item['id']}.json").write_text(json.dumps(item))
            links.append({"rel": "item", "href": f"./{item['id']}.json"})
        head = {"type": "Catalog", "id": "c", "stac_version": "1.0.0", "description": "d"}
        (tmp_path / "catalog.json").write_text(json.dumps({**head, "links": links}))
        query = spec.partition("?")[2]
        static = f"stac:{root}/catalog.json?{query}&max_cloud=20"
        imagery = open_imagery(f"{static}&datetime=2024-06", region=area())
        assert [item["id"] for item in imagery.info.items] == ["east", "west"]
        with pytest.raises(ImageryError, match="no item"):
            open_imagery(f"{static}&datetime=2024-07", region=area())
        searched = open_imagery(f"{spec}&max_cloud=20", region=area())
        np.testing.assert_array_equal(imagery.read(HERE).values, searched.read(HERE).values)


def test_a_long_outline_is_searched_by_its_box(search_site):
    spec, server = search_site
    west, south, east, north = HERE.extent.to_crs("EPSG:4326").boundingbox.bbox
    circle = shapely.Point((west + east) / 2, (south + north) / 2).buffer((north - south) / 2, quad_segs=300)
    imagery = open_imagery(spec, region=Geometry(circle, "EPSG:4326"))
    assert [item["id"] for item in imagery.info.items] == ["east"]
    assert len(server.searches[0]["intersects"]["coordinates"][0]) == 5


@pytest.mark.skipif(not OVERHEAD.exists(), reason="the shared real rasters are not here")
def test_real_scenes_of_one_asset_with_three_bands(tmp_path):
    with stac_server(OVERHEAD) as (root, server), file_process(OVERHEAD) as files:
        truths = {}
        for name in ("mosaic_cog1", "mosaic_cog2"):
            truths[name] = open_raster(str(OVERHEAD / f"{name}.tif"), stretch=(0, 20000))
            bands = [{"name": colour} for colour in NAMES]
            asset = {"href": f"{files}/{name}.tif", "eo:bands": bands}
            server.items.append(stac_item(name, truths[name].grid, {"visual": asset}))
        for name, lon in (("mosaic_cog1", -75.0), ("mosaic_cog2", -72.3)):
            box = patch_around(lon, 46.0, 60_000, 200)
            imagery = open_imagery(
                f"stac:{root}?collection=made", BandRendering(stretch=(0, 20000)), region=area(box)
            )
            assert [item["id"] for item in imagery.info.items] == [name]
            pixels, truth = imagery.read(box).values.astype(int), truths[name].read(box).values.astype(int)
            np.testing.assert_array_equal(pixels[..., 3] > 0, truth[..., 3] > 0)
            assert np.abs(pixels - truth)[..., :3].mean() < 0.5
            off = np.abs(np.roll(pixels, 1, 1) - truth)[..., :3].mean()
            assert off > 0.5, "300 m a pixel read at 300 m: one off would show"


def test_the_region_decides_how_many_items_are_needed(search_site):
    spec, _ = search_site
    west = shapely.box(*patch_around(11.99, 50.0, 80, 8).extent.to_crs("EPSG:4326").boundingbox.bbox)
    imagery = open_imagery(spec, region=Geometry(west, "EPSG:4326"))
    assert [item["id"] for item in imagery.info.items] == ["west"]
