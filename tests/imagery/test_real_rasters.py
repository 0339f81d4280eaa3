"""Every real raster is read where it lies, in its colours, with its holes; the page's table says so truly."""

import csv
from pathlib import Path

import pytest
from pyproj import Geod
from real_rasters import MODEL_M, OVERHEAD, Case, cases, measure

from sat2cap.imagery.raster import open_raster

PAGE = Path(__file__).parents[2] / "docs" / "imagery.md"
needs_rasters = pytest.mark.skipif(not OVERHEAD.exists(), reason="the shared real rasters are not here")


def written() -> dict[tuple[str, str], list[str]]:
    """The page's table: of a file and the resolution it is read at, the other columns."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|") and " / " in line]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {(row[0], row[1]): row[2:] for row in rows}


def resolution(case: Case) -> str:
    return "its own" if case.step_m is None else f"{case.step_m:.2f} m"


@needs_rasters
@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.name}-{resolution(case)}")
def test_a_real_raster_is_read_as_it_is(case):
    comparison = measure(case)
    assert comparison.gsd_m[1] == pytest.approx(comparison.gsd_m[0], rel=1e-3)
    assert comparison.off_px < 0.5
    assert comparison.colour < (2 if case.step_m is None else 5)  # decimated overviews are grainy
    assert comparison.disagree == 0
    page = written()[case.name, resolution(case)]
    gsd, off, colour, missing, option = page
    assert [gsd, missing] == [comparison.table_cells()[0], comparison.table_cells()[3]], (
        "print the table anew"
    )
    assert float(off) == pytest.approx(comparison.off_px, abs=0.02)
    assert float(colour) == pytest.approx(comparison.colour, abs=0.2)
    assert option.strip("`") == case.option[0]


@needs_rasters
def test_the_table_has_every_raster():
    assert {(case.name, resolution(case)) for case in cases()} == set(written())
    assert len(written()) >= 20


@needs_rasters
def test_the_sentinel_patches_lie_where_their_list_says():
    places = {row["fn"]: row for row in csv.DictReader((OVERHEAD / "sentinel2" / "index.csv").open())}
    seen = 0
    for path in sorted((OVERHEAD / "sentinel2").glob("*.tif")):
        imagery = open_raster(str(path), (4, 3, 2), stretch=(0, 3000))
        lon, lat = imagery.footprint.centroid.to_crs("EPSG:4326").coords[0]
        listed = float(places[path.name]["lon"]), float(places[path.name]["lat"])
        assert Geod(ellps="WGS84").inv(lon, lat, *listed)[2] < 5, "half a pixel"
        seen += 1
    assert seen == 8


@needs_rasters
@pytest.mark.parametrize("name", ["TCI.tif", "aerial_korea_0.6m.tif", "sentinel2/patch_286743.tif"])
def test_a_raster_that_is_off_would_be_found_out(name):
    for planted in (0.4, -0.8):
        assert measure(Case(name, None), planted_px=planted).off_px == pytest.approx(abs(planted), abs=0.1)
    if name.startswith("aerial"):
        assert measure(Case(name, MODEL_M), planted_px=2).off_px == pytest.approx(2, abs=0.3)
