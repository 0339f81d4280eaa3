"""Pictures, by the pixels they have and the artists they are made of."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
import xarray as xr
from affine import Affine
from made_up_scores import made_up, three_months, three_prompts
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from odc.geo.geobox import GeoBox
from PIL import Image

from sat2cap.errors import InputError
from sat2cap.geo.earth import ground_metres, north_degrees
from sat2cap.geo.frame import grid_of, on_grid
from sat2cap.maps.colours import COLOURS
from sat2cap.maps.decoration.elements import draw_places, format_length, round_length_m
from sat2cap.maps.decoration.text import credits_of
from sat2cap.maps.options import MapOptions
from sat2cap.maps.panel import _reduce_cells, draw_map
from sat2cap.maps.picture import draw_page, write_png
from sat2cap.maps.places import read_places

PLACES = [("Old Harbour", 4.9, 52.3), ("Millbrook", 4.6, 52.25), ("Nowhere", 99.0, 9.0)]


@pytest.fixture
def axes() -> Any:
    figure = Figure(figsize=(6, 5), dpi=100)
    FigureCanvasAgg(figure)
    return figure.add_axes((0.05, 0.05, 0.7, 0.8))


def underlay_of(score: xr.DataArray, pixels: int = 4) -> xr.DataArray:
    grid = grid_of(score)
    shape = (grid.shape[0] * pixels, grid.shape[1] * pixels)
    box = GeoBox(shape, grid.affine @ Affine.scale(1 / pixels), grid.crs)
    rgba = np.random.default_rng(0).integers(0, 255, (*shape, 4)).astype(np.uint8)
    return on_grid(rgba, box, ("y", "x", "band"))


CASES = {
    "plain": lambda: made_up(),
    "no gaps": lambda: made_up(gaps=False),
    "one cell": lambda: made_up(1, 1, gaps=False),
    "wide": lambda: made_up(3, 200),
    "tall": lambda: made_up(200, 3),
    "several": three_prompts,
    "empty": lambda: made_up() * np.nan,
    "constant": lambda: made_up() * 0 + 1,
    "degrees": lambda: made_up(crs="EPSG:4326", cell=0.01).assign_coords(made_up_degrees()),
}


def made_up_degrees() -> dict[str, Any]:
    grid = GeoBox((40, 60), Affine(0.01, 0, 178, 0, -0.01, 64.5), "EPSG:4326")
    return dict(on_grid(np.zeros((40, 60)), grid).coords)


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_cut_off(tmp_path: Path, name: str) -> None:
    """A margin all around stays white: no text runs off the page."""
    score = CASES[name]()
    score.attrs = {**made_up().attrs, "attribution": "a long list of those who made the imagery " * 6}
    if "prompt" not in score.dims:
        score.attrs["prompt"] = "people eating $5 ice_cream^2 in the park by the river " * 3
    write_png(score, tmp_path / "out.png", MapOptions(places=PLACES))
    pixels = np.asarray(Image.open(tmp_path / "out.png").convert("L"))
    margin = 6
    inner = np.zeros(pixels.shape, dtype=bool)
    inner[margin:-margin, margin:-margin] = True
    assert (pixels[~inner] == 255).all()
    assert (pixels[inner] < 200).mean() > 0.01
    assert max(pixels.shape) < 3000


def test_the_picture_carries_its_provenance(tmp_path: Path) -> None:
    write_png(made_up(), tmp_path / "out.png", MapOptions(title="Streets"))
    about = Image.open(tmp_path / "out.png").text
    assert about["Title"] == "Streets"
    for words in ("test model", "miniworld:7", "© somebody", "CC0-1.0", "2024-05-20T08:00"):
        assert words in about["Description"]


def test_the_words_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    text = Figure.text

    def record(figure: Figure, x: float, y: float, line: str, **options: Any) -> Any:
        drawn.append(line)
        return text(figure, x, y, line, **options)

    monkeypatch.setattr(Figure, "text", record)
    write_png(made_up(), tmp_path / "out.png")
    page = " ".join(drawn)
    for words in ("a busy street", "20 May 2024, 08:00 local time", "test model", "© somebody", "CC0-1.0"):
        assert words in page


def test_the_colours_are_those_of_the_bar_and_in_the_right_place(axes: Any) -> None:
    score = made_up()
    mappable = draw_map(axes, score, scale_and_north=False, limits=(0.0, 0.3))
    axes.figure.canvas.draw()
    page = np.asarray(axes.figure.canvas.buffer_rgba())[..., :3]
    for row, col in ((10, 45), (30, 50), (5, 20)):
        x, y = axes.transData.transform(grid_of(score).affine @ (col + 0.5, row + 0.5))
        pixel = page[page.shape[0] - 1 - int(y), int(x)]
        expected = np.array(mappable.to_rgba(score.values[row, col])[:3]) * 255
        assert np.abs(pixel - expected).max() <= 2, (row, col)
    x, y = axes.transData.transform(grid_of(score).affine @ (7, 30))
    light = page[page.shape[0] - 1 - int(y) - 5 : page.shape[0] - 1 - int(y) + 5, int(x) - 5 : int(x) + 5]
    assert light.min() > 180, "no data is light, not the colour of a low score"
    assert np.ptp(light.astype(int), axis=-1).max() < 12, "and grey"


def test_a_picture_never_changes_the_scale_of_the_numbers(axes: Any) -> None:
    """The ends of the bar are scores that occur, not 0 and 1."""
    score = made_up()
    norm = draw_map(axes, score).norm
    valid_scores = score.values[np.isfinite(score.values)]
    assert valid_scores.min() <= norm.vmin < norm.vmax <= valid_scores.max()


def test_percentile_and_contrast_have_fixed_ends(axes: Any) -> None:
    score = made_up().assign_attrs(scale="percentile")
    norm = draw_map(axes, score).norm
    assert (norm.vmin, norm.vmax) == (0, 100)
    axes.clear()
    assert draw_map(axes, score.assign_attrs(scale="contrast")).norm.vmin == 0


def test_the_bar_names_scale_and_unit(axes: Any) -> None:
    def label(score: xr.DataArray) -> str:
        axes.figure.clf()
        fresh = axes.figure.add_axes((0.05, 0.05, 0.7, 0.8))
        draw_map(fresh, score)
        bars = [child for child in fresh.child_axes if child.get_ylabel()]
        return str(bars[0].get_ylabel()).replace("\n", " ")

    assert label(made_up()) == "cosine similarity (no unit)"
    assert "%" in label(made_up().assign_attrs(scale="percentile"))
    assert "negatives" in label(made_up().assign_attrs(negatives=["snow"]))


def test_imagery_shows_through_where_scores_are_low(axes: Any) -> None:
    score = made_up(gaps=False)
    draw_map(axes, score, MapOptions(underlay=underlay_of(score)), scale_and_north=False)
    axes.figure.canvas.draw()
    page = np.asarray(axes.figure.canvas.buffer_rgba())[..., :3].astype(int)

    def spread(row: int, col: int) -> float:
        """How much the imagery's noise is seen within 8 x 8 cells."""
        corner = axes.transData.transform(grid_of(score).affine @ (col, row))
        end = axes.transData.transform(grid_of(score).affine @ (col + 8, row + 8))
        (x0, x1), (y0, y1) = sorted((int(corner[0]), int(end[0]))), sorted((int(corner[1]), int(end[1])))
        return float(page[page.shape[0] - y1 : page.shape[0] - y0, x0:x1].std(axis=(0, 1)).mean())

    assert spread(30, 4) > 2 * spread(7, 42) > 0


def test_no_data_is_hatched_over_imagery_too(axes: Any) -> None:
    """As the legend's swatch: a low score lets imagery through as well, and must not look the same."""
    score = made_up()
    grid = grid_of(score)
    dark = underlay_of(score) * 0 + np.array([0, 0, 0, 255], np.uint8)
    draw_map(axes, score, MapOptions(underlay=dark.astype(np.uint8)), scale_and_north=False)
    axes.figure.canvas.draw()
    page = np.asarray(axes.figure.canvas.buffer_rgba())[..., :3].astype(int)

    def around(row: int, col: int) -> np.ndarray:
        x, y = (int(part) for part in axes.transData.transform(grid.affine @ (col + 0.5, row + 0.5)))
        return page[page.shape[0] - y - 12 : page.shape[0] - y + 12, x - 12 : x + 12]

    assert around(30, 7).min() > 140, "faint"
    assert np.ptp(around(30, 7)[..., 0]) > 8, "and hatched"
    assert around(35, 50).max() < 80, "the lowest score: the imagery"


def test_prompts_at_dates_have_a_row_and_a_bar_each(tmp_path: Path) -> None:
    dates = three_months()
    two_prompts = xr.concat([dates, dates * 100], "prompt").assign_coords(prompt=["snow", "ice"])
    figure = draw_page(two_prompts.assign_attrs(dates.attrs))
    maps = figure.axes
    tops = [round(axes.get_position().y1, 3) for axes in maps]
    assert tops[0] == tops[1] == tops[2] > tops[3] == tops[4] == tops[5]
    bars = [[child for child in axes.child_axes if child.get_ylabel()] for axes in maps]
    assert [len(bars_of_map) for bars_of_map in bars] == [0, 0, 1, 0, 0, 1]
    first, second = bars[2][0].get_ylim()[1], bars[5][0].get_ylim()[1]
    assert second == pytest.approx(100 * first)
    turned = draw_page(two_prompts.assign_attrs(dates.attrs).transpose("time", "prompt", "y", "x"))
    assert [axes.get_title("left") for axes in turned.axes] == [axes.get_title("left") for axes in maps]


def test_a_long_title_of_one_map_among_others_ends_in_an_ellipsis() -> None:
    long = "a long prompt about an old man and his dog " * 4
    figure = draw_page(three_prompts().assign_coords(prompt=["snow", long, "市" * 90]))
    _, words, signs = (axes.get_title("left") for axes in figure.axes)
    assert words.count("\n") == 1
    assert words.endswith("…")
    assert words[:30] == long[:30]
    assert signs.endswith("…")


def test_folders_are_not_published() -> None:
    score = made_up()
    assert "imagery /data" not in credits_of(score.assign_attrs(imagery="/data/mine/town.tif"))
    assert "imagery town.tif" in credits_of(score.assign_attrs(imagery="/data/mine/town.tif"))
    address = "https://example.org/a/{z}/{x}/{y}.png"
    assert f"imagery {address}" in credits_of(score.assign_attrs(imagery=address))


def test_imagery_on_another_crs_is_refused(axes: Any) -> None:
    other = underlay_of(made_up(crs="EPSG:32632"))
    with pytest.raises(InputError, match="EPSG:32632, the score in EPSG:32631"):
        draw_map(axes, made_up(), MapOptions(underlay=other))


def test_places_are_drawn_where_they_fit(axes: Any) -> None:
    score = made_up()
    draw_map(axes, score, scale_and_north=False, legend=False)
    lon, lat = 4.7, 52.25
    same_spot = [(f"Twin Town {i}", lon, lat) for i in range(20)]
    drawn = draw_places(axes, grid_of(score), [*same_spot, *PLACES])
    assert drawn[0] == "Twin Town 0"
    assert 1 < len([name for name in drawn if name.startswith("Twin")]) < 12
    assert "Nowhere" not in drawn
    axes.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == len(drawn)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_place_without_a_name_is_a_point_alone(axes: Any, tmp_path: Path) -> None:
    score = made_up()
    points = [shapely.Point(4.6, 52.25), shapely.Point(4.8, 52.25), shapely.Point()]
    frame = gpd.GeoDataFrame({"name": ["Mill", None, "Void"]}, geometry=points, crs=4326)
    frame.to_file(tmp_path / "places.gpkg")
    places = read_places(tmp_path / "places.gpkg")
    assert places == [("Mill", 4.6, 52.25), ("", 4.8, 52.25)]
    draw_map(axes, score, scale_and_north=False, legend=False)
    lines = len(axes.lines)
    assert draw_places(axes, grid_of(score), places) == ["Mill", ""]
    assert len(axes.lines) == lines + 2


@pytest.mark.parametrize(
    ("metres", "length", "label"),
    [
        (999, 500, "500 m"),
        (1000, 1000, "1 km"),
        (4999, 2000, "2 km"),
        (70_000, 50_000, "50 km"),
        (1.4, 1, "1 m"),
    ],
)
def test_scale_bars_have_round_lengths(metres: float, length: float, label: str) -> None:
    assert round_length_m(metres) == length
    assert format_length(round_length_m(metres)) == label


@pytest.mark.parametrize(
    ("crs", "x", "y", "cell", "metres"),
    [
        ("EPSG:32631", 500_000, 5_800_000, 480, 1 / 0.9996),  # the zone's central meridian
        ("EPSG:3857", 500_000, 0, 480, 1),  # Mercator is true at the equator …
        ("EPSG:3857", 500_000, 8_399_738, 480, 0.5010),  # … and half of that at 60 degrees
        ("EPSG:4326", 5, 0, 0.01, 111_320),
        ("EPSG:4326", 5, 60, 0.01, 55_800),
    ],
)
def test_metres_are_metres_on_the_ground_in_any_crs(
    crs: str, x: float, y: float, cell: float, metres: float
) -> None:
    grid = GeoBox((2, 2), Affine(cell, 0, x, 0, -cell, y), crs)
    assert ground_metres(grid) == pytest.approx(metres, rel=2e-3)


def test_the_arrow_points_to_true_north() -> None:
    utm = GeoBox((10, 10), Affine(480, 0, 495_200, 0, -480, 5_800_000), "EPSG:32631")
    assert north_degrees(utm) == pytest.approx(0, abs=0.05)
    # Greenland in polar stereographic, 45 W straight down from the pole: east of it north leans to the left.
    east = GeoBox((10, 10), Affine(480, 0, 1_000_000, 0, -480, -1_000_000), "EPSG:3413")
    assert north_degrees(east) == pytest.approx(45, abs=0.5)
    west = GeoBox((10, 10), Affine(480, 0, -1_000_000, 0, -480, -1_000_000), "EPSG:3413")
    assert north_degrees(west) == pytest.approx(-45, abs=0.5)


def test_large_maps_are_averaged_not_sampled() -> None:
    values = np.zeros((5000, 3), np.float32)
    values[::2] = 1
    values[:100] = np.nan
    thin = _reduce_cells(values)
    assert thin.shape == (1667, 1)
    assert np.isnan(thin[:33]).all()
    assert np.nanmean(thin) == pytest.approx(0.5, abs=0.01)


def test_lightness_rises_with_the_score() -> None:
    colour = COLOURS(np.linspace(0, 1, 64))[:, :3]
    assert (np.diff(colour @ [0.2126, 0.7152, 0.0722]) > 0).all()


def test_options_still_unread_are_refused() -> None:
    with pytest.raises(InputError, match="still a name or a path"):
        draw_page(made_up(), MapOptions(underlay="planet"))
