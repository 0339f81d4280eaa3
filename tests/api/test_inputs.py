"""What people pass to the library: every accepted form gives the same value, all else is one line."""

from datetime import date, datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from odc.geo.geobox import GeoBox

from sat2cap.api.imagery import open_imagery, rendering_texts, reopen_imagery
from sat2cap.api.inputs import to_moment, to_moments, to_places, to_prompts, to_region
from sat2cap.api.reporting import listening
from sat2cap.errors import ImageryError, InputError, PromptError, RegionError, WhenError
from sat2cap.geo import When, parse_region
from sat2cap.geo.region import lonlat_bounds

EDGES = (4.85, 52.35, 4.95, 52.40)
BOX = shapely.box(*EDGES)


@pytest.mark.parametrize(
    "region",
    [
        "4.85,52.35,4.95,52.40",
        EDGES,
        list(EDGES),
        np.array(EDGES),
        BOX,
        gpd.GeoSeries([BOX], crs="EPSG:4326"),
        gpd.GeoDataFrame(geometry=[BOX], crs="EPSG:4326"),
    ],
)
def test_every_form_of_a_region_is_the_same_area(region):
    assert lonlat_bounds(to_region(region).geometry) == pytest.approx(EDGES)


def test_a_table_in_metres_is_turned_into_degrees():
    metres = gpd.GeoSeries([BOX], crs="EPSG:4326").to_crs("EPSG:32631")
    west, south, east, north = lonlat_bounds(to_region(metres).geometry)
    assert (west, south, east, north) == pytest.approx(EDGES, abs=1e-6)


def test_a_grid_is_the_region_that_it_covers():
    grid = GeoBox.from_bbox(EDGES, crs="EPSG:4326", shape=(10, 20))
    assert lonlat_bounds(to_region(grid).geometry) == pytest.approx(EDGES, abs=1e-6)


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (7, "region is an int"),
        ((1, 2, 3), "region is a tuple"),
        (gpd.GeoSeries([BOX]), "without a CRS"),
        (shapely.Point(4, 52), "without an area"),
        (shapely.box(600_000, 5_800_000, 610_000, 5_810_000), "not in degrees"),
    ],
)
def test_what_is_no_region_is_refused_in_one_line(region, words):
    with pytest.raises(RegionError, match=words) as refused:
        to_region(region)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "when",
    [
        "2024-05-20T08:30",
        datetime(2024, 5, 20, 8, 30),
        pd.Timestamp("2024-05-20 08:30"),
        np.datetime64("2024-05-20T08:30"),
        When(2024, 5, 20, 8.5),
    ],
)
def test_every_form_of_a_date_is_the_same_moment(when):
    assert to_moment(when) == When(2024, 5, 20, 8.5)


def test_a_day_is_its_noon_and_a_month_its_fifteenth():
    assert to_moment(date(2024, 5, 20)) == When(2024, 5, 20, 12.0)
    assert to_moment(np.datetime64("2024-05-20")) == When(2024, 5, 20, 12.0)
    assert to_moment(np.datetime64("2024-05")) == When(2024, 5, 15, 12.0)


def test_several_dates_are_a_list():
    assert to_moments(pd.date_range("2024-01-01", periods=2)) == [
        When(2024, 1, 1, 0.0),
        When(2024, 1, 2, 0.0),
    ]
    assert to_moments("2024-05") == When(2024, 5, 15, 12.0)
    assert to_moments(None) is None


@pytest.mark.parametrize("when", [7, pd.NaT, np.datetime64("NaT"), np.datetime64("2024"), None])
def test_what_is_no_date_is_refused(when):
    with pytest.raises(WhenError, match="when is"):
        to_moment(when)


def test_a_path_is_an_example_and_text_is_text(tmp_path):
    image = tmp_path / "market.jpg"
    image.write_bytes(b"")
    assert to_prompts("a beach").names == ["a beach"]
    assert to_prompts(["a beach", image]).names == ["a beach", f"photo:{image}"]


@pytest.mark.parametrize(
    "prompt", [np.zeros(512), np.ones((2, 2)), np.array([1, 2]), 7, ["a beach", 0.0], {"a": 1}]
)
def test_what_is_no_prompt_names_the_argument(prompt):
    with pytest.raises(PromptError, match="negatives"):
        to_prompts(prompt, "negatives")


def test_a_missing_image_is_no_prompt(tmp_path):
    with pytest.raises(PromptError, match="is no file"):
        to_prompts(tmp_path / "no.jpg")


def test_points_may_be_a_table_in_any_crs():
    table = gpd.GeoSeries([shapely.Point(4.9, 52.37)], crs="EPSG:4326")
    assert to_places(table.to_crs("EPSG:32631"))[0] == pytest.approx((4.9, 52.37))
    assert to_places([(4.9, 52.37)]) == [(4.9, 52.37)]
    assert to_places(np.array([[4.9, 52.37]])) == [(4.9, 52.37)]


@pytest.mark.parametrize(
    "points", [(4.9, 52.37), "4.9,52.37", [(52.37, 190.0)], [(np.nan, 0)], gpd.GeoSeries([BOX])]
)
def test_what_are_no_points_are_refused(points):
    with pytest.raises(InputError, match="points"):
        to_places(points)


def test_progress_is_silence_a_bar_or_a_call(capsys):
    calls = []
    with listening(lambda *given: calls.append(given)) as report:
        report("embedding cells", 1, 2)
    with listening(True) as report:
        report("embedding cells", 1, 2)
        report("embedding cells", 2, 2)
    with listening(None) as report:
        report("embedding cells", 1, 2)
    assert calls == [("embedding cells", 1, 2)]
    assert "embedding cells" in capsys.readouterr().err
    with pytest.raises(InputError, match="progress is an int"), listening(7):
        pass


def test_an_atlas_that_does_not_name_its_imagery_says_so() -> None:
    """As atlases of numbers from elsewhere do, which a server then has no ground to draw under."""
    with pytest.raises(ImageryError, match="does not say what its imagery was called; give it with"):
        reopen_imagery({"identity": "numbers"}, parse_region("5,52,6,53"))


@pytest.mark.parametrize("bands", ["3,1,2", (3, 1, 2), [3, 1, 2], np.array([3, 1, 2]), np.float32([3, 1, 2])])
@pytest.mark.parametrize("stretch", ["0,0.5", (0, 0.5), np.array([0, 0.5])])
def test_bands_and_stretch_are_text_or_numbers(tmp_path, bands, stretch):
    values = np.broadcast_to(np.float32([0.1, 0.2, 0.4])[:, None, None], (3, 8, 8))
    place = rasterio.transform.from_origin(500_000, 5_800_000, 10, 10)
    profile = {"driver": "GTiff", "count": 3, "height": 8, "width": 8, "dtype": "float32"}
    with rasterio.open(tmp_path / "a.tif", "w", crs="EPSG:32631", transform=place, **profile) as file:
        file.write(values)
    imagery = open_imagery(tmp_path / "a.tif", bands=bands, stretch=stretch)
    pixels = imagery.read(GeoBox((8, 8), place, "EPSG:32631")).values
    assert pixels[4, 4].tolist() == [204, 51, 102, 255], "bands 3, 1 and 2, of 0.5 for white"


def test_an_atlas_keeps_bands_and_stretch_as_text():
    """So that the same call, by numbers or by text, continues it."""
    assert rendering_texts((4, 3, 2), np.array([0, 3000.5]), None) == {
        "bands": "4,3,2",
        "stretch": "0,3000.5",
        "recipe": None,
    }
