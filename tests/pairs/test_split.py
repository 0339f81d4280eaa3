import math

import numpy as np
import pytest
from pyproj import Geod

from sat2cap.errors import PairsError
from sat2cap.geo.grid import patch_around
from sat2cap.pairs.splits.split import (
    SplitPlan,
    assign_splits,
    find_overlapping_pairs,
    random_split,
    spatial_split,
)


def scatter(count, west=4.0, south=51.0, span=2.0, seed=1):
    rng = np.random.default_rng(seed)
    return rng.uniform(west, west + span, count), rng.uniform(south, south + span, count)


def test_a_block_is_never_divided_and_blocks_are_about_as_large_as_asked():
    lon, lat = np.meshgrid(np.linspace(5, 5.5, 400), np.linspace(52, 52.3, 400))
    split = spatial_split(lon.ravel(), lat.ravel(), fractions=(0.5, 0.2, 0.3), block_km=5).reshape(400, 400)
    # a change along a row happens only at block edges: whole blocks of 5 km lie between changes
    edges = np.flatnonzero((split[:, 1:] != split[:, :-1]).any(0))
    rows = [np.diff(np.flatnonzero(row[1:] != row[:-1])) for row in split]
    step_km = 111.195 * math.cos(math.radians(52.15)) * 0.5 / 399
    assert len(edges)
    assert min(run.min() for run in rows if len(run)) * step_km == pytest.approx(5, abs=0.25)


def test_shares_come_out_as_asked():
    lon, lat = scatter(40_000, span=8)
    split = spatial_split(lon, lat, fractions=(0.7, 0.2, 0.1), block_km=3)
    for name, share in zip(("train", "val", "test"), (0.7, 0.2, 0.1), strict=True):
        assert (split == name).mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("fractions", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_a_share_of_nothing_gets_nothing(fractions):
    names = np.array(["train", "val", "test"])[np.array(fractions) == 1]
    lon, lat = scatter(500)
    assert (spatial_split(lon, lat, fractions=fractions) == names).all()
    assert (random_split(500, fractions=fractions) == names).all()


def test_a_place_keeps_its_split_when_others_come_and_changes_with_the_seed():
    lon, lat = scatter(3000)
    split = spatial_split(lon, lat, seed=3, buffer_m=500)
    some = np.arange(0, 3000, 7)
    assert (spatial_split(lon[some], lat[some], seed=3, buffer_m=500) == split[some]).all()
    assert (spatial_split(lon, lat, seed=4) != spatial_split(lon, lat, seed=3)).mean() > 0.1


def test_golden_splits_so_that_old_pair_sets_can_be_built_again():
    lon, lat = np.array([5.0, 5.3, -70.2, 139.7, 0.1, 18.4]), np.array([52.0, 52.1, -33.4, 35.7, 51.5, -33.9])
    thirds = (1 / 3, 1 / 3, 1 / 3)
    assert spatial_split(lon, lat, seed=7, fractions=thirds).tolist() == [
        "test",
        "val",
        "test",
        "train",
        "train",
        "val",
    ]
    assert random_split(6, seed=7, fractions=thirds).tolist() == [
        "val",
        "test",
        "train",
        "train",
        "test",
        "val",
    ]


@pytest.mark.parametrize(("lat0", "lon0"), [(51.0, 4.0), (-34.0, 179.0), (69.0, 17.0), (0.0, -1.0)])
def test_with_the_buffer_no_test_patch_overlaps_a_training_patch(lat0, lon0):
    """Checked with the real patches as polygons, for the nearest pairs of test and training photos."""
    size = 480.0
    lon, lat = scatter(30_000, lon0, lat0)
    lon = np.where(lon > 180, lon - 360, lon)
    plan = SplitPlan(fractions=(0.5, 0.1, 0.4), block_km=3)
    split = assign_splits(lon, lat, plan, seed=0, patch_m=size)
    assert (split == "buffer").sum() > 100
    assert not find_overlapping_pairs(lon, lat, split, size).any()
    test, train = np.flatnonzero(split == "test"), np.flatnonzero(split == "train")
    metres = Geod(ellps="WGS84")
    nearest: list[tuple[float, int, int]] = []
    for row in test[:400]:
        east = np.mod(lon[train] - lon[row] + 180, 360) - 180
        neighbours = train[
            np.argsort(np.hypot(east * math.cos(math.radians(lat[row])), lat[train] - lat[row]))
        ]
        nearest += [
            (metres.inv(lon[row], lat[row], lon[other], lat[other])[2], row, other)
            for other in neighbours[:2]
        ]
    nearest.sort()
    assert nearest[0][0] >= size * math.sqrt(2) * 0.99
    for _, row, other in nearest[:40]:
        a = patch_around(lon[row], lat[row], size, 8).extent
        b = patch_around(lon[other], lat[other], size, 8).extent.to_crs(a.crs)
        assert not a.intersects(b)


def test_without_a_buffer_patches_leak_and_the_check_sees_it():
    lon, lat = scatter(30_000)
    split = assign_splits(
        lon, lat, SplitPlan(fractions=(0.5, 0.1, 0.4), block_km=3, buffer_m=0), seed=0, patch_m=480
    )
    overlapping_pairs = find_overlapping_pairs(lon, lat, split, 480)
    assert 0 < overlapping_pairs.sum() < (split == "test").sum()
    assert (split[overlapping_pairs] == "test").all()
    random = assign_splits(lon, lat, SplitPlan("random", (0.5, 0.1, 0.4)), seed=0, patch_m=480)
    assert find_overlapping_pairs(lon, lat, random, 480).sum() > overlapping_pairs.sum()


def test_leaks_by_hand():
    """100 m east of a training photo, far from it, and across the antimeridian."""
    split = np.array(["train", "test", "test", "val", "train", "test"])
    lon = np.array([5.0, 5.0 + 100 / 111195 / math.cos(math.radians(52)), 6.0, 5.0, 179.9999, -179.9999])
    lat = np.array([52.0, 52.0, 52.0, 52.0, 10.0, 10.0])
    assert find_overlapping_pairs(lon, lat, split, 480).tolist() == [False, True, False, False, False, True]
    assert find_overlapping_pairs(lon, lat, split, 80).tolist() == [False, False, False, False, False, True]


def test_only_the_lesser_split_gives_way_to_the_buffer():
    lon, lat = scatter(20_000)
    plain = spatial_split(lon, lat, fractions=(0.4, 0.3, 0.3), block_km=3)
    buffered = spatial_split(lon, lat, fractions=(0.4, 0.3, 0.3), block_km=3, buffer_m=600)
    assert (buffered[plain == "test"] == "test").all()
    assert 0 < (buffered[plain == "val"] == "buffer").mean() < (buffered[plain == "train"] == "buffer").mean()
    assert ((buffered == plain) | (buffered == "buffer")).all()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"method": "alphabetical"}, "spatial, random"),
        ({"fractions": (0.5, 0.5, 0.5)}, "add up to 1"),
        ({"fractions": (1.5, -0.5, 0.0)}, "add up to 1"),
        ({"block_km": 0.0}, "above 0"),
        ({"buffer_m": 5000.0}, "quarter of a block"),
    ],
)
def test_bad_plans_are_refused(settings, word):
    with pytest.raises(PairsError, match=word):
        SplitPlan(**settings)


def test_blocks_too_small_for_the_patch_are_refused():
    with pytest.raises(PairsError, match=r"block_km of at least 2\.7"):
        assign_splits(np.array([5.0]), np.array([52.0]), SplitPlan(block_km=2), seed=0, patch_m=480)
