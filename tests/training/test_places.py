"""Photos of one place, and batches of neighbours."""

from pathlib import Path

import numpy as np
from fake_pairs import small_run

from sat2cap.training.data.neighbours import morton_order, place_ids
from sat2cap.training.data.sampler import draw_batches


def test_one_place_is_a_square_of_so_many_metres() -> None:
    lat = np.array([52.3700, 52.3701, 52.3700, 52.3900, -52.3700])
    lon = np.array([4.8900, 4.8901, 4.9100, 4.8900, 4.8900])
    ids = place_ids(lat, lon, 480)
    assert ids[0] == ids[1]
    assert len({ids[0], *ids[2:].tolist()}) == 4
    assert len(set(place_ids(lat, lon, 0).tolist())) == 5
    assert len(set(place_ids(np.array([89.9999, -89.9999]), np.array([180.0, -180.0]), 480).tolist())) == 2


def test_squares_are_as_wide_as_high_at_any_latitude() -> None:
    for middle in (0.0, 45.0, 70.0):
        side = 0.2 / np.cos(np.deg2rad(middle))
        lat, lon = (
            v.ravel()
            for v in np.meshgrid(
                np.linspace(middle - 0.1, middle + 0.1, 200), np.linspace(10, 10 + side, 200), indexing="ij"
            )
        )
        count = len(set(place_ids(lat, lon, 2000).tolist()))
        assert 0.7 < count / (22.24 / 2) ** 2 < 1.4, middle


def test_neighbours_come_together_and_every_pair_once_an_epoch() -> None:
    random = np.random.default_rng(0)
    lat, lon = random.uniform(-60, 70, 400), random.uniform(-180, 180, 400)
    spatial_order = morton_order(lat, lon)
    assert sorted(spatial_order.tolist()) == list(range(400))
    grouped = small_run(Path("out"), data={"hard_negatives": 4}, optim={"batch": 40, "steps": 20})
    plain = small_run(Path("out"), optim={"batch": 40, "steps": 20})

    def spread(groups: np.ndarray) -> float:
        return float(np.hypot(np.ptp(lat[groups], axis=1), np.ptp(lon[groups], axis=1)).mean())

    epochs = {}
    for name, run in (("grouped", grouped), ("plain", plain)):
        drawn = list(draw_batches(run, 400, 0, spatial_order))
        for epoch in (0, 1):
            rows = np.concatenate([batch.rows for batch in drawn if batch.epoch == epoch])
            assert sorted(rows.tolist()) == list(range(400))
        epochs[name] = [np.concatenate([b.rows for b in drawn if b.epoch == e]) for e in (0, 1)]
        late = list(draw_batches(run, 400, 13, spatial_order))
        assert all((a.rows == b.rows).all() for a, b in zip(drawn[13:], late, strict=True))
    assert spread(epochs["grouped"][0].reshape(-1, 4)) < 0.4 * spread(epochs["plain"][0].reshape(-1, 4))
    firsts = [set(map(frozenset, rows.reshape(-1, 4).tolist())) for rows in epochs["grouped"]]
    assert len(firsts[0] & firsts[1]) < 60, "groups differ from epoch to epoch"
