"""The planet from above: the same for the same seed, and without seams."""

import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from places_to_look import NORTH, SEAM_NORTH, SEAM_SOUTH, SOUTH, make_box, random_positions

from sat2cap.geo.frame import grid_of
from sat2cap.geo.grid import cell_lonlat, patch_around
from sat2cap.miniworld.planet.cover import LandCover, classify_land_cover
from sat2cap.miniworld.planet.land import sample_terrain, to_web_mercator
from sat2cap.miniworld.world import MiniImagery, World

PLANET = MiniImagery(World(7))


def test_same_seed_same_pixels_other_seed_others() -> None:
    pixels = PLANET.read(NORTH).values
    assert np.array_equal(pixels, MiniImagery(World(7)).read(NORTH).values)
    assert (pixels != MiniImagery(World(8)).read(NORTH).values).any(-1).mean() > 0.9
    assert MiniImagery(World(8)).info.identity != PLANET.info.identity


def test_read_gives_the_box_it_was_asked_for() -> None:
    image = PLANET.read(NORTH)
    assert image.dims == ("y", "x", "band")
    assert image.dtype == np.uint8
    assert grid_of(image) == NORTH
    assert (image.values[..., 3] == 255).all()
    assert len(np.unique(image.values[..., :3].reshape(-1, 3), axis=0)) > 50


@pytest.mark.parametrize("whole", [NORTH, SOUTH], ids=["north", "south"])
def test_neighbouring_reads_join_exactly(whole: GeoBox) -> None:
    image = PLANET.read(whole).values
    parts = (slice(0, 96), slice(96, None))
    rows = [np.concatenate([PLANET.read(whole[r, c]).values for c in parts], 1) for r in parts]
    assert np.array_equal(np.concatenate(rows), image)


@pytest.mark.parametrize("whole", [NORTH, SOUTH], ids=["north", "south"])
def test_reads_cut_anywhere_join_but_for_single_pixels(whole: GeoBox) -> None:
    """Pixel centres are bilinear within a mesh of 16 pixels, so cuts elsewhere move them by millimetres."""
    image = PLANET.read(whole).values
    left, right = PLANET.read(whole[:, :77]).values, PLANET.read(whole[:, 77:]).values
    assert (np.concatenate([left, right], 1) != image).any(-1).mean() < 1e-3


def seam_column(whole: GeoBox) -> int:
    """The multiple of 16 pixels next to where the antimeridian crosses the box's middle row."""
    lon = cell_lonlat(whole)[0][whole.shape[0] // 2]
    crossing = int(np.argmax(lon < 0))
    assert lon[0] > 0 > lon[-1]
    return round(crossing / 16) * 16


@pytest.mark.parametrize("whole", [SEAM_NORTH, SEAM_SOUTH], ids=["zone 60", "zone 1"])
def test_reads_join_across_the_antimeridian(whole: GeoBox) -> None:
    """Beyond the antimeridian the lattice's last cell is cut short, which moves a few edges."""
    cut = seam_column(whole)
    image = PLANET.read(whole).values
    west, east = PLANET.read(whole[:, :cut]).values, PLANET.read(whole[:, cut:]).values
    parts = np.concatenate([west, east], 1)
    differs = (parts != image).any(-1)
    assert differs[:, : cut - 16].mean() == 0
    assert differs.mean() < 0.01


@pytest.mark.parametrize("seed", [7, 8])
def test_the_seam_looks_like_anywhere_else(seed: int) -> None:
    """Neighbouring pixels differ no more at 180 degrees than beside it."""
    whole = GeoBox.from_bbox((20_035_000, 600_000, 20_040_000, 615_000), "EPSG:3857", resolution=10)
    pixels = MiniImagery(World(seed)).read(whole).values[..., :3].astype(int)
    steps = np.abs(np.diff(pixels, axis=1)).mean((0, 2))
    seam = int((20_037_508.34 - whole.affine.c) // 10)
    assert steps[seam - 1 : seam + 2].max() < 1.5 * np.percentile(steps, 99)


def test_a_patch_is_the_same_pixels_as_the_same_box_in_web_mercator() -> None:
    """Finer than the ground's grain of 6 m, so that nothing else depends on the pixel's size."""
    for lon, lat in ((2.3, 45.1), (100.2, -33.3), (-75.0, 5.0)):
        x, y = to_web_mercator(np.array([lon]), np.array([lat]))
        step = 240.0 / 60 / np.cos(np.radians(lat))
        if step > 6:
            step = 6.0
        grid = make_box(3857, x[0] - 30 * step, y[0] + 30 * step, metres=step, pixels=60)
        patch = PLANET.read_patches(
            np.array([lon]), np.array([lat]), 60 * step * float(np.cos(np.radians(lat))), 60
        )
        differs = (patch[0] != PLANET.read(grid).values).any(-1)
        assert differs.mean() < 1e-2


def test_patches_show_what_a_read_around_the_same_place_shows() -> None:
    """North and metres differ a little between UTM and the patch, so grain moves but no land changes."""
    lon, lat = np.array([3.0, 99.0, -75.0, 177.0, -33.0]), np.array([45.1, -33.3, 5.0, 20.0, 60.0])
    patches = PLANET.read_patches(lon, lat, 480.0, 50)
    assert patches.shape == (5, 50, 50, 4)
    reads = np.stack([PLANET.read(patch_around(*at, 480.0, 50)).values for at in zip(lon, lat, strict=True)])
    away = np.abs(patches.astype(int) - reads).max(-1)
    assert (away > 40).mean((1, 2)).max() < 0.05
    assert away.mean() < 3
    turned = np.abs(patches[:, ::-1].astype(int) - reads).max(-1)
    assert turned.mean() > 2 * away.mean()


def test_all_kinds_of_land_occur() -> None:
    lon, lat = random_positions(4_000)
    x, y = to_web_mercator(lon, lat)
    seed = World(7).seed
    kinds, counts = np.unique(
        classify_land_cover(sample_terrain(x[:, None, None], y[:, None, None], seed), seed),
        return_counts=True,
    )
    share = dict(zip((LandCover(k) for k in kinds), counts / counts.sum(), strict=True))
    assert len(share) >= 12
    assert max(share.values()) < 0.4
    assert 0.1 < share[LandCover.SEA] + share[LandCover.DEEP_SEA] < 0.5
