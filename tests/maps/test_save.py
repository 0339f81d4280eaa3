"""Every kind of file by its suffix; and a disk that fills while it is written."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import xarray as xr
from made_up_scores import ABOUT, made_up, three_classes, three_months
from rio_cogeo import cog_validate

from sat2cap.errors import InputError
from sat2cap.maps.formats import save
from sat2cap.maps.options import MAP_SUFFIXES, STILL_SUFFIXES, MapOptions
from sat2cap.maps.places import areas_above, threshold_of_best, top_places, write_places

CASES = [(made_up, kind) for kind in STILL_SUFFIXES] + [(three_classes, kind) for kind in STILL_SUFFIXES]
CASES += [(three_months, kind) for kind in (".tif", ".png", ".gif", ".mp4")]


def a_map(make: object) -> xr.DataArray | xr.Dataset:
    return make()  # type: ignore[operator,no-any-return]


@contextmanager
def disk_of(free_bytes: int) -> Iterator[None]:
    """Writing more than this to a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("make", "kind"), CASES, ids=lambda case: getattr(case, "__name__", case))
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, make: object, kind: str) -> None:
    score, path = a_map(make), tmp_path / f"m{kind}"
    save(score, path)
    assert path.stat().st_size > 600
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with disk_of(500), pytest.raises(OSError, match=r"too large|No space") as caught:
        save(score, path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert caught.value.filename is None or Path(caught.value.filename).parent == tmp_path

    for file in tmp_path.iterdir():
        file.unlink()
    with disk_of(500), pytest.raises(OSError, match=r"too large|No space"):
        save(score, path)
    assert list(tmp_path.iterdir()) == [], "nothing half-written, under any name"


def test_a_band_for_each_date(tmp_path: Path) -> None:
    score = three_months()
    save(score, tmp_path / "m.tif")
    assert cog_validate(tmp_path / "m.tif", strict=True)[0]
    with rasterio.open(tmp_path / "m.tif") as file:
        assert file.descriptions == ("2024-01-15T12:00", "2024-04-15T12:00", "2024-07-15T12:00")
        assert file.tags()["when"] == "2024-01-15T12:00 | 2024-04-15T12:00 | 2024-07-15T12:00"
        np.testing.assert_array_equal(file.read(), score.values)


def test_an_unknown_suffix_lists_the_valid_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=", ".join(MAP_SUFFIXES).replace(".", r"\.")):
        save(made_up(), tmp_path / "m.jpg")
    with pytest.raises(InputError, match="unknown suffix"):
        save(three_classes(), tmp_path / "m.gif")
    with pytest.raises(InputError, match="save the whole Dataset"):
        save(three_classes()["category"], tmp_path / "m.tif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("m.tif", {"options": MapOptions(title="Snow")}),
        ("m.geojson", {"options": MapOptions(places=[("A", 4.0, 52.0)])}),
        ("m.html", {"options": MapOptions(underlay=made_up())}),
        ("m.png", {"options": MapOptions(above=0.1)}),
        ("m.parquet", {"options": MapOptions(above=float("nan"))}),
    ],
)
def test_options_without_use_for_a_suffix_are_refused(tmp_path: Path, name: str, arguments: dict) -> None:
    with pytest.raises(InputError, match=r"has no use for|above nan"):
        save(made_up(), tmp_path / name, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [MapOptions(above=0.5), MapOptions(best=3), MapOptions(above=0.0)])
def test_areas_of_categories_are_not_chosen_by_score(tmp_path: Path, options: MapOptions) -> None:
    with pytest.raises(InputError, match="areas of categories hold every cell"):
        save(three_classes(), tmp_path / "m.parquet", options=options)
    assert list(tmp_path.iterdir()) == []


def test_no_area_above_the_threshold_is_warned_of(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"no cell scores 9 or more, the greatest is 0\.3"):
        save(made_up(), tmp_path / "m.geojson", options=MapOptions(above=9))


def test_geoparquet_holds_what_geojson_holds(tmp_path: Path) -> None:
    areas = areas_above(made_up(), 0.1)
    write_places(areas, tmp_path / "a.parquet")
    write_places(areas, tmp_path / "a.geojson")
    back, other = gpd.read_parquet(tmp_path / "a.parquet"), gpd.read_file(tmp_path / "a.geojson")
    assert back.crs == "EPSG:4326"
    assert list(back.columns) == list(areas.columns)
    in_metres = [table.to_crs(3857).geometry.area.sum() for table in (back, other)]
    assert in_metres[0] == pytest.approx(in_metres[1], rel=1e-4)
    assert json.loads(pq.read_metadata(tmp_path / "a.parquet").metadata[b"sat2cap"])["licence"] == "CC0-1.0"
    places = top_places(made_up(), 3)
    write_places(places, tmp_path / "p.parquet")
    assert gpd.read_parquet(tmp_path / "p.parquet")["score"].tolist() == places["score"].tolist()
    write_places(areas_above(made_up(), 9), tmp_path / "none.parquet")
    assert len(gpd.read_parquet(tmp_path / "none.parquet")) == 0


@pytest.mark.parametrize("cells", [1, 7, 500, 10_000])
def test_best_sets_the_number_of_cells(tmp_path: Path, cells: int) -> None:
    score = made_up()
    rng = np.random.default_rng(0)
    score.values[:] += rng.normal(0, 1e-4, score.shape)  # no two alike
    valid_count = int(np.isfinite(score.values).sum())
    save(score, tmp_path / "m.geojson", options=MapOptions(best=cells))
    document = json.loads((tmp_path / "m.geojson").read_text())
    assert sum(f["properties"]["cells"] for f in document["features"]) == min(cells, valid_count)
    assert document["sat2cap"]["prompt"] == ABOUT["prompt"]


def test_which_cells_become_areas(tmp_path: Path) -> None:
    score = made_up()
    valid_scores = score.values[np.isfinite(score.values)]
    assert threshold_of_best(score) == pytest.approx(np.percentile(valid_scores, 95))
    assert np.isnan(threshold_of_best(score * np.nan))
    with pytest.raises(InputError, match="one of the two"):
        save(score, tmp_path / "m.geojson", options=MapOptions(above=0.1, best=3))
    with pytest.raises(InputError, match="at least 1"):
        save(score, tmp_path / "m.geojson", options=MapOptions(best=0))
    with pytest.warns(UserWarning, match="no cell scores"):
        save(score * np.nan, tmp_path / "m.geojson")
    assert json.loads((tmp_path / "m.geojson").read_text())["features"] == []
