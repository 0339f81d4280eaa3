"""UTM zones divide the Earth: every place lies in one, and names, bounds and CRSs agree."""

import numpy as np
import pytest

from sat2cap.errors import RegionError
from sat2cap.geo import PlainGrid, cell_grid, cell_lonlat, parse_region, split_by_utm_zone
from sat2cap.geo.grid import local_crs
from sat2cap.geo.utm_zones import UtmZone, cells_in_zone, parse_utm_zone, utm_codes

ALL_NORTH = " ".join(["upsn", *(f"utm{number:02d}n" for number in range(1, 61))])


def test_every_place_lies_in_the_one_zone_whose_bounds_hold_it():
    rng = np.random.default_rng(4)
    lon, lat = rng.uniform(-180, 180, 2000), np.degrees(np.arcsin(rng.uniform(-1, 1, 2000)))
    lon[:61], lat[:61] = np.arange(-180, 181, 6), 10.0  # the edges themselves
    lon[61:65], lat[61:65] = 3.0, [0, 84, -80, 84.0001]
    lon[65], lat[65] = 9.0, -89.0
    codes = utm_codes(lon, lat)
    zones = {int(code): UtmZone(int(code)) for code in np.unique(codes)}
    assert len(zones) == 122
    assert sum(zone.holds(lon, lat).astype(int) for zone in zones.values()).tolist() == [1] * len(lon)
    for code, east, north in zip(codes.tolist(), lon.tolist(), lat.tolist(), strict=True):
        west, south, limit, top = zones[code].bounds
        wrapped = -180.0 if east == 180 else east
        assert west <= wrapped < limit or zones[code].is_polar
        assert south <= north <= top
        assert local_crs(east, north).epsg == code


@pytest.mark.parametrize(
    ("name", "epsg"),
    [("utm31n", 32631), ("utm01s", 32701), ("utm60n", 32660), ("upsn", 32661), ("upss", 32761)],
)
def test_names_are_read_as_they_are_written(name, epsg):
    assert parse_utm_zone(name) == UtmZone(epsg)
    assert UtmZone(epsg).name == name


@pytest.mark.parametrize(
    "name", ["utm00n", "utm61n", "utm1n", "UTM31N", "utm31", "../utm31n", "utm31n\n", "", "x" * 999]
)
def test_other_names_are_refused_in_one_line(name):
    with pytest.raises(RegionError, match="is no UTM zone") as caught:
        parse_utm_zone(name)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("region", "zones"),
    [
        ("5,52,7,53", "utm31n utm32n"),
        ("6,52,12,53", "utm32n"),
        ("177,-10,-177,10", "utm01n utm01s utm60n utm60s"),
        ("0,-82,6,-79", "upss utm31s"),
        ("-180,80,180,90", ALL_NORTH),
    ],
)
def test_a_region_is_split_among_the_zones_that_it_reaches_into(region, zones):
    parts = split_by_utm_zone(parse_region(region))
    assert " ".join(sorted(zone.name for zone in parts)) == zones
    for zone, part in parts.items():
        west, south, east, north = zone.bounds
        box = part.geometry.boundingbox
        assert south - 0.002 < box.bottom < box.top < north + 0.002
        if "01" not in zone.name and "60" not in zone.name:  # a hair across the antimeridian is elsewhere
            assert west - 0.002 < box.left < box.right < east + 0.002


@pytest.mark.parametrize(
    "region", ["5.4,51.8,6.5,52.3", "179.2,-17.5,-179.3,-16.9", "5,-1,13,1", "10,83,14,84.5"]
)
def test_the_cells_of_a_zone_are_those_whose_centre_lies_in_it(region):
    for zone, part in split_by_utm_zone(parse_region(region)).items():
        grid = PlainGrid.of(cell_grid(part, 1000, zone.crs, origin_cells=64))
        np.testing.assert_array_equal(cells_in_zone(grid, zone), zone.holds(*cell_lonlat(grid)))
