"""Scores over several UTM zones, against those of each zone alone and against the truth of each place."""

import json
from functools import partial

import geopandas as gpd
import numpy as np
import pytest
import shapely
from file_server import RangeHandler, running
from made_model import model
from wide_world import make_wide_atlas, vectors

import sat2cap
from sat2cap.api.atlas import OpenAtlas
from sat2cap.api.wide_atlas import WideOpenAtlas
from sat2cap.atlas import WideAtlas, open_atlas
from sat2cap.errors import AtlasError, PromptError, RegionError
from sat2cap.geo import cell_at, cell_lonlat, grid_of, utm_codes

REGION = "5.4,51.8,6.5,52.3"
"""Across the edge of zones 31 and 32, at 6 degrees east."""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    checkpoint = model(32)
    atlas = make_wide_atlas(tmp_path_factory.mktemp("wide") / "wide.zarr", checkpoint, REGION)
    return WideOpenAtlas(atlas, checkpoint)


def truth(opened, prompt, lon, lat):
    text = opened.query_model.embed_text([prompt])[0]
    return vectors(lon, lat, opened.atlas.dim) @ text


def inside(lon, lat, margin_deg=0.0):
    west, south, east, north = map(float, REGION.split(","))
    within = (lon > west + margin_deg) & (lon < east - margin_deg)
    return within & (lat > south + margin_deg) & (lat < north - margin_deg)


@pytest.mark.parametrize("crs", ["EPSG:6933", "EPSG:3857", "EPSG:3035", "EPSG:32631"])
def test_every_pixel_of_a_map_shows_the_cell_that_holds_its_centre(opened, crs):
    score = opened.map("a harbour", crs=crs)
    lon, lat = cell_lonlat(grid_of(score))
    codes, expected = utm_codes(lon, lat), np.full(score.shape, np.nan, np.float32)
    for part in opened.atlas.parts:
        alone = OpenAtlas(part.atlas, opened.model).map("a harbour").values
        here = codes == part.zone.epsg
        row, col = cell_at(part.atlas.grid, lon[here], lat[here])
        expected[here] = np.where(row >= 0, alone[row, col], np.nan)
    np.testing.assert_array_equal(score.values, expected)
    assert str(grid_of(score).crs) == crs


@pytest.mark.parametrize("crs", [None, "EPSG:3857"])
def test_the_seam_has_no_gap_and_no_step(opened, crs):
    score = opened.map("a harbour", crs=crs)
    lon, lat = cell_lonlat(grid_of(score))
    assert np.isfinite(score.values[inside(lon, lat)]).all()
    shown, error = np.isfinite(score.values), np.abs(score.values - truth(opened, "a harbour", lon, lat))
    at_seam = shown & (np.abs(lon - 6) < 0.03)
    away = shown & ~at_seam
    assert at_seam.sum() > 30
    assert error[at_seam].max() < 1.2 * error[away].max()  # a cell is at most half a diagonal off


def test_every_cell_is_shown(opened):
    """Pixels are nowhere larger than cells: of the cells that lie whole in their zone none is left out."""
    for crs in ("EPSG:6933", "EPSG:3857"):
        shown = set(np.unique(opened.map("a harbour", crs=crs).values))
        for part in opened.atlas.parts:
            alone = OpenAtlas(part.atlas, opened.model).map("a harbour").values
            lon, lat = cell_lonlat(part.atlas.grid)
            whole = inside(lon, lat, 0.03) & (np.abs(lon - 6) > 0.03) & part.owned
            missing = [value for value in alone[whole] if value not in shown]
            assert len(missing) <= 0.02 * whole.sum()


def test_search_is_the_ranking_of_the_cells_of_all_zones(opened):
    found = opened.search("a harbour", top=40, apart_m=0)
    cells = []
    for part in opened.atlas.parts:
        lon, lat = cell_lonlat(part.atlas.grid)
        alone = OpenAtlas(part.atlas, opened.model).map("a harbour").values
        mine = np.isfinite(alone) & (utm_codes(lon, lat) == part.zone.epsg)
        cells += zip(alone[mine].tolist(), lon[mine].tolist(), lat[mine].tolist(), strict=True)
    best = sorted(cells, reverse=True)[:40]
    np.testing.assert_allclose(found["score"], [score for score, _, _ in best], atol=1e-6)
    np.testing.assert_allclose(found["lon"], [lon for _, lon, _ in best], atol=1e-9)
    assert list(found["rank"]) == list(range(1, 41))


def test_places_apart_are_so_across_the_seam(opened):
    found = opened.search(["a harbour", "snow"], top=30, apart_m=9000)
    for _, table in found.groupby("prompt"):
        points = table.to_crs("EPSG:3035").geometry
        distances = np.array([[a.distance(b) for b in points] for a in points])
        assert (distances[~np.eye(len(table), dtype=bool)] > 8900).all()
        assert {int(code) for code in utm_codes(table["lon"], table["lat"])} == {32631, 32632}


def test_percentiles_rank_the_cells_of_all_zones_together(opened):
    ranks, cosines = (opened.map("snow", scale=scale).values.ravel() for scale in ("percentile", "cosine"))
    shown = np.isfinite(cosines)
    order = np.argsort(cosines[shown], kind="stable")
    assert (np.diff(ranks[shown][order]) >= 0).all()
    assert ranks[shown].min() == 0
    assert ranks[shown].max() == 100


def test_the_spread_of_a_percentile_is_over_ranks_among_all_zones(opened):
    wordings = ["{}", "a photo of {}", "{} at night"]
    asked = opened.map("snow", scale="percentile", templates=wordings, spread="templates")
    single = [opened.map("snow", scale="percentile", templates=[one]).values for one in wordings]
    np.testing.assert_array_equal(
        asked.values[0], opened.map("snow", scale="percentile", templates=wordings).values
    )
    np.testing.assert_allclose(asked.values[1], np.std(single, axis=0), atol=1e-4)
    assert asked.prompt.values.tolist() == ["snow", "snow (spread over templates)"]
    with pytest.raises(PromptError, match="--scale contrast with a calibrated model"):
        opened.map("snow", scale="percentile", spread="photos")
    with pytest.raises(PromptError, match="spread over 'weather' is unknown"):
        opened.map("snow", scale="percentile", spread="weather")


@pytest.mark.parametrize("scale", ["cosine", "contrast"])
def test_a_score_is_that_of_its_zone_alone_for_any_prompt_date_and_negative(opened, scale):
    asked = {"when": "2024-05-20 08:00", "negatives": ["rain"], "scale": scale}
    together = opened.map(["snow", "a harbour"], **asked)
    assert together.dims == ("prompt", "y", "x")
    lon, lat = cell_lonlat(grid_of(together))
    for part in opened.atlas.parts:
        alone = OpenAtlas(part.atlas, opened.model).map(["snow", "a harbour"], **asked).values
        here = (utm_codes(lon, lat) == part.zone.epsg) & np.isfinite(together.values[0])
        row, col = cell_at(part.atlas.grid, lon[here], lat[here])
        np.testing.assert_array_equal(together.values[:, here], alone[:, row, col])


def test_a_place_of_one_zone_is_an_example_in_the_other(opened):
    score = opened.map("place:5.9,52.1")
    best = opened.search("place:5.9,52.1", top=1)
    assert float(score.max()) == pytest.approx(1, abs=1e-3)
    assert abs(best["lon"][0] - 5.9) < 0.03
    with pytest.raises(PromptError, match="lies outside the atlas"):
        opened.map("place:20,52.1")


def test_a_region_is_a_part_of_the_whole_map(opened):
    whole, part = opened.map("snow"), opened.map("snow", region="5.9,51.95,6.1,52.1")
    np.testing.assert_allclose((part.x - whole.x[0]) % float(whole.x[1] - whole.x[0]), 0, atol=1e-6)
    same = whole.sel(x=part.x, y=part.y, method="nearest").values
    shown = np.isfinite(part.values)
    np.testing.assert_array_equal(part.values[shown], same[shown])
    lon, lat = cell_lonlat(grid_of(part))
    assert shown[(np.abs(lon - 6) < 0.05) & (np.abs(lat - 52.02) < 0.04)].all()
    with pytest.raises(RegionError, match="covers no cell"):
        opened.map("snow", region="9,51.95,9.1,52.1")


def test_series_difference_and_classes_are_of_the_same_pixels(opened):
    moments = ["2024-01-15 12:00", "2024-07-15 12:00"]
    series = opened.map("snow", moments)
    january, july = (opened.map("snow", moment) for moment in moments)
    np.testing.assert_array_equal(series.values, np.stack([january.values, july.values]))
    change = opened.difference("snow", when=moments[0], less_when=moments[1])
    np.testing.assert_array_equal(change.values, january.values - july.values)
    classes = opened.classify(["snow", "a harbour"])
    both = opened.map(["snow", "a harbour"]).values
    shown = np.isfinite(both[0])
    np.testing.assert_array_equal(classes["category"].values[shown], both.argmax(0)[shown] + 1)


def test_zones_count_each_ground_once(opened):
    boxes = [shapely.box(5.9, 51.95, 6.1, 52.1), shapely.box(5.99, 52.0, 6.01, 52.01)]
    zones = gpd.GeoDataFrame({"name": ["across", "small"]}, geometry=boxes, crs="EPSG:4326")
    table = opened.zones(zones, "snow", ["mean", "area-above=-2", "max"])
    np.testing.assert_allclose(table["covered_share"], 1, atol=2e-5)
    np.testing.assert_allclose(table["area-above=-2"], table["area_km2"], rtol=2e-5)
    lon, lat = np.meshgrid(np.linspace(5.9, 6.1, 200), np.linspace(51.95, 52.1, 200))
    assert table["mean"][0] == pytest.approx(truth(opened, "snow", lon, lat).mean(), abs=2e-3)
    assert table["max"][1] <= table["max"][0]


def test_samples_and_phrases_are_read_where_a_place_lies(opened):
    places = [(5.99, 52.0), (6.01, 52.0), (12.0, 52.0)]
    table = opened.sample(places, ["snow"], vectors=True)
    lon, lat = np.array(places[:2]).T
    np.testing.assert_allclose(table["snow"][:2], truth(opened, "snow", lon, lat), atol=0.05)
    assert np.isnan(table["snow"][2])
    assert len(opened.phrases(places[:2], top=3)["phrases"][0]) == 3


def test_embeddings_are_those_of_the_cells_under_the_pixels_of_a_map(opened):
    embeddings, score = opened.embeddings(), opened.map("a harbour")
    assert embeddings.dims == ("embedding", "y", "x")
    assert grid_of(embeddings) == grid_of(score)
    text = opened.query_model.embed_text(["a harbour"])[0]
    unit = embeddings.values / np.linalg.norm(embeddings.values, axis=0)
    np.testing.assert_allclose(np.tensordot(text, unit, 1), score.values, atol=1e-5)
    part = opened.embeddings("5.95,52.0,6.05,52.1")
    here = part.notnull().all("embedding").values
    assert 0 < part.shape[2] < embeddings.shape[2] / 5
    assert set(utm_codes(*(axis[here] for axis in cell_lonlat(grid_of(part))))) == {32631, 32632}
    np.testing.assert_array_equal(part.values[:, here], embeddings.sel(y=part.y, x=part.x).values[:, here])
    assert list(opened.parts) == ["utm31n", "utm32n"]
    assert opened.parts["utm31n"].embeddings().shape[1:] == opened.atlas.parts[0].atlas.grid.shape


def test_what_needs_one_grid_names_the_parts(opened):
    one_cell = slice(0, 1), slice(0, 1)
    for ask in (lambda: opened.atlas.grid, lambda: opened.atlas.read(*one_cell)):
        with pytest.raises(AtlasError, match="utm31n") as caught:
            ask()
        assert "\n" not in str(caught.value)
    assert "2 UTM zones" in repr(opened)
    assert opened._repr_html_()


def test_a_continent_has_no_hole_at_any_edge(tmp_path):
    """Seven zones, the meridian of Greenwich among their edges, in maps and at places of all longitudes."""
    checkpoint = model(32)
    opened = WideOpenAtlas(
        make_wide_atlas(tmp_path / "w.zarr", checkpoint, "-10,35,30,65", 40_000), checkpoint
    )
    for crs in ("EPSG:6933", "EPSG:3857", "EPSG:3035"):
        score = opened.map("snow", crs=crs)
        lon, lat = cell_lonlat(grid_of(score))
        held = (lon > -10) & (lon < 30) & (lat > 35) & (lat < 65)
        assert np.isfinite(score.values[held]).all()
    lon = np.concatenate([edge + np.linspace(-0.4, 0.4, 41) for edge in range(-6, 30, 6)])
    lon, lat = np.meshgrid(lon, np.linspace(35.01, 64.99, 60))
    assert np.isfinite(opened.atlas.read_places(lon, lat)).all()


def test_on_a_web_server_it_is_the_same_atlas(opened):
    folder = opened.atlas.path
    with running(partial(RangeHandler, directory=folder.parent)) as server:
        server.sent = 0
        remote = sat2cap.open(f"http://127.0.0.1:{server.server_port}/{folder.name}", opened.model)
        score = remote.map("snow", region="5.9,51.95,6.1,52.1")
        best = remote.search("snow", top=3)
    np.testing.assert_array_equal(score.values, opened.map("snow", region="5.9,51.95,6.1,52.1").values)
    assert best["score"].tolist() == opened.search("snow", top=3)["score"].tolist()


def test_across_the_antimeridian_a_map_is_in_one_piece(tmp_path):
    checkpoint = model(32)
    atlas = make_wide_atlas(tmp_path / "wide.zarr", checkpoint, "179.2,-17.5,-179.3,-16.9")
    assert [part.zone.name for part in atlas.parts] == ["utm01s", "utm60s"]
    opened = WideOpenAtlas(atlas, checkpoint)
    score = opened.map("a harbour")
    assert score.sizes["x"] < 200
    lon, lat = cell_lonlat(grid_of(score))
    east = np.where(lon < 0, lon + 360, lon)
    held = (east > 179.25) & (east < 180.65) & (np.abs(lat + 17.2) < 0.25)
    assert np.isfinite(score.values[held]).all()
    error = np.abs(score.values - truth(opened, "a harbour", lon, lat))[held]
    assert error.max() < 0.1
    assert opened.search("a harbour", top=3)["lon"].abs().min() > 179


def test_the_equator_is_an_edge_like_any_other(tmp_path):
    checkpoint = model(32)
    opened = WideOpenAtlas(make_wide_atlas(tmp_path / "w.zarr", checkpoint, "5.8,-0.2,6.2,0.2"), checkpoint)
    assert {part.zone.name for part in opened.atlas.parts} == {"utm31n", "utm31s", "utm32n", "utm32s"}
    score = opened.map("snow")
    lon, lat = cell_lonlat(grid_of(score))
    held = (np.abs(lon - 6) < 0.19) & (np.abs(lat) < 0.19)
    assert np.isfinite(score.values[held]).all()
    assert np.abs(score.values - truth(opened, "snow", lon, lat))[held].max() < 0.1


def test_the_polar_cap_joins_the_zones_below_it(tmp_path):
    checkpoint = model(32)
    opened = WideOpenAtlas(make_wide_atlas(tmp_path / "w.zarr", checkpoint, "10,83.8,14,84.2"), checkpoint)
    assert [part.zone.name for part in opened.atlas.parts] == ["upsn", "utm32n", "utm33n"]
    score = opened.map("snow", crs="EPSG:3995")
    lon, lat = cell_lonlat(grid_of(score))
    held = (lon > 10.3) & (lon < 13.7) & (lat > 83.85) & (lat < 84.15)
    assert held.any()
    assert np.isfinite(score.values[held]).all()


@pytest.mark.parametrize(
    "crs", ["EPSG:4326", "nonsense", "EPSG:99999999", "", "EPSG:2263", "+proj=merc +units=us-ft"]
)
def test_a_crs_that_no_map_can_have_is_one_line(opened, crs):
    with pytest.raises(RegionError, match="CRS") as caught:
        opened.map("snow", crs=crs or " ")
    assert "\n" not in str(caught.value)


def test_a_damaged_manifest_is_one_line(tmp_path):
    checkpoint = model(32)
    atlas = make_wide_atlas(tmp_path / "w.zarr", checkpoint, "5.95,52,6.05,52.05")
    file = atlas.path / "_sat2cap" / "wide.json"
    sound = json.loads(file.read_text())
    damages = [
        b"", b"{", b"[]", b"null", b'{"format": "sat2cap-wide-atlas"}', b"[" * 100_000, b" " * (2**20 + 1),
        json.dumps(sound | {"parts": []}).encode(),
        json.dumps(sound | {"parts": sound["parts"][:1]}).encode(),
        json.dumps(sound | {"parts": [{"zone": "../x", "identity": "1"}]}).encode(),
        json.dumps(sound | {"version": "1"}).encode(), json.dumps(sound | {"identity": None}).encode(),
    ]  # fmt: skip
    for damage in damages:
        file.write_bytes(damage)
        with pytest.raises(AtlasError, match=r"damaged .*embed command writes it anew") as caught:
            open_atlas(atlas.path)
        assert len(str(caught.value)) < 400
    file.write_text(json.dumps(sound | {"version": 9}))
    with pytest.raises(AtlasError, match="install a newer"):
        open_atlas(atlas.path)
    file.write_text(json.dumps(sound))
    assert isinstance(open_atlas(atlas.path), WideAtlas)


def test_an_atlas_in_one_crs_is_mapped_in_another_too(opened):
    part = OpenAtlas(opened.atlas.members[0], opened.model)
    score = part.map("snow", crs="EPSG:3857")
    lon, lat = cell_lonlat(grid_of(score))
    row, col = cell_at(part.atlas.grid, lon, lat)
    expected = np.where(row >= 0, part.map("snow").values[row, col], np.nan)
    np.testing.assert_array_equal(score.values, expected.astype(np.float32))
