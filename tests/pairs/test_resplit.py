"""A set split anew, by place, by chance and by user, and the check of what splits share."""

from collections import Counter

import numpy as np
import pytest
from made_up import PATCH, Album, build_small, hash_files
from pyproj import Geod

from sat2cap.errors import PairsError
from sat2cap.pairs import SplitPlan, resplit_pairs
from sat2cap.pairs.splits.leakage import find_leakage_violations, measure_leakage
from sat2cap.pairs.splits.split import user_split

SPATIAL = SplitPlan(fractions=(0.5, 0.2, 0.3), block_km=4)
RANDOM = SplitPlan("random", (0.5, 0.2, 0.3))
BY_USER = SplitPlan("user", (0.4, 0.2, 0.4))


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """Photos so close to each other that chance puts neighbours into different splits."""
    return build_small(tmp_path_factory.mktemp("crowded") / "pairs", Album(200, span_deg=0.3), split=RANDOM)


def test_another_split_makes_the_shards_that_a_build_with_it_makes(crowded, tmp_path):
    for number, plan in enumerate((SPATIAL, BY_USER)):
        built = build_small(tmp_path / f"built{number}", Album(200, span_deg=0.3), split=plan, seed=3)
        copied = resplit_pairs(crowded, tmp_path / f"copied{number}", plan, seed=3, per_shard=7)
        assert copied.fingerprint == built.fingerprint
        assert copied.index.equals(built.index)
        assert copied.manifest["counts"] == built.manifest["counts"]
        assert copied.manifest["provenance"]["split"] == built.manifest["provenance"]["split"]
        assert copied.find_problems() == []


def test_a_stopped_copy_goes_on_and_another_is_refused(crowded, tmp_path):
    class StopHereError(Exception):
        pass

    def stop(stage, done, total):
        if done > total / 2:
            raise StopHereError

    with pytest.raises(StopHereError):
        resplit_pairs(crowded, tmp_path / "a", SPATIAL, per_shard=7, progress=stop)
    again = resplit_pairs(crowded, tmp_path / "a", SPATIAL, per_shard=7)
    whole = resplit_pairs(crowded, tmp_path / "b", SPATIAL, per_shard=7)
    assert hash_files(again.path) == hash_files(whole.path)
    with pytest.raises(PairsError, match="choose another folder"):
        resplit_pairs(crowded, tmp_path / "a", BY_USER, per_shard=7)
    assert resplit_pairs(crowded, tmp_path / "a", SPATIAL, per_shard=7).fingerprint == whole.fingerprint


def test_a_broken_set_is_not_copied(tmp_path):
    made = build_small(tmp_path / "pairs")
    path = made.path / "shards" / next(iter(made.manifest["shards"]))
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(PairsError, match="other bytes"):
        resplit_pairs(made, tmp_path / "copy", RANDOM)


def test_nobody_is_in_two_splits_and_everybody_keeps_theirs():
    users = [f"user{n % 300}" for n in range(3000)]
    split = user_split(users, seed=4, fractions=(0.6, 0.2, 0.2))
    of = {}
    for user, name in zip(users, split, strict=True):
        assert of.setdefault(user, name) == name
    shares = Counter(split.tolist())
    assert shares["train"] / 3000 == pytest.approx(0.6, abs=0.1)
    assert (user_split(users[:50], seed=4, fractions=(0.6, 0.2, 0.2)) == split[:50]).all()
    assert (user_split(users, seed=5, fractions=(0.6, 0.2, 0.2)) != split).mean() > 0.2
    assert user_split(["ann", "bob", "cy", "dee"], seed=1).tolist() == GOLDEN


GOLDEN = ["train", "train", "train", "train"]


def test_the_split_by_user_needs_users(tmp_path):
    class Nameless(Album):
        def photos(self):
            yield from (
                type(photo)(photo.key, photo.lon, photo.lat, photo.taken) for photo in super().photos()
            )

    with pytest.raises(PairsError, match="needs the user"):
        build_small(tmp_path / "pairs", Nameless(), split=BY_USER)


def overlapping(index, lesser: str, greater: str) -> int:
    """By the distance of every pair of places: patches within a side (and a tenth) in x and in y."""
    geod = Geod(ellps="WGS84")
    first, second = index[index.split == lesser], index[index.split == greater]
    count = 0
    for lon, lat in zip(second.lon, second.lat, strict=True):
        many = np.ones(len(first))
        bearing, _, metres = geod.inv(lon * many, lat * many, first.lon.to_numpy(), first.lat.to_numpy())
        east, north = metres * np.sin(np.radians(bearing)), metres * np.cos(np.radians(bearing))
        count += bool((np.maximum(np.abs(east), np.abs(north)) < PATCH.size_m * 1.1).any())
    return count


def test_the_check_sees_what_each_split_shares(crowded, tmp_path):
    leakage = {}
    for plan in (RANDOM, SPATIAL, BY_USER):
        made = resplit_pairs(crowded, tmp_path / plan.method, plan, per_shard=50)
        leakage[plan.method] = measure_leakage(made.index, PATCH.size_m)
        for name, shared in leakage[plan.method].items():
            lesser, greater = name.split(", ")
            assert abs(shared["overlapping patches"] - overlapping(made.index, lesser, greater)) <= 1
            users = [set(made.index[made.index.split == side].user) for side in (lesser, greater)]
            assert shared["users in both"] == len(users[0] & users[1])
    assert leakage["random"]["train, test"]["overlapping patches"] > 10
    assert leakage["random"]["train, test"]["users in both"] == 5
    assert all(shared["overlapping patches"] == 0 for shared in leakage["spatial"].values())
    assert all(shared["users in both"] == 0 for shared in leakage["user"].values())
    assert (
        find_leakage_violations("spatial", leakage["spatial"])
        == find_leakage_violations("user", leakage["user"])
        == []
    )
    assert find_leakage_violations("random", leakage["random"]) == []
    assert "overlapping patches" in find_leakage_violations("spatial", leakage["random"])[0]
    assert "users in both" in find_leakage_violations("user", leakage["random"])[0]
