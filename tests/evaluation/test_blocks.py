"""Blocks of land and the intervals drawn from them."""

import numpy as np
import pytest

from sat2cap.errors import InputError
from sat2cap.evaluation.bootstrap import FEWEST_BLOCKS, Bootstrap, number_blocks


def test_blocks_are_near_squares_of_the_size_asked_for() -> None:
    rng = np.random.default_rng(0)
    lat = rng.uniform(51, 53, 4000)
    lon = rng.uniform(3, 6, 4000)
    block = number_blocks(lon, lat, 20.0)
    for one in np.unique(block):
        mine = block == one
        high = np.ptp(lat[mine]) * 111.195
        wide = np.ptp(lon[mine]) * 111.195 * np.cos(np.radians(lat[mine].mean()))
        assert high <= 20.01
        assert wide <= 20.2
    area = (2 * 111.195) * (3 * 111.195 * np.cos(np.radians(52)))
    assert len(np.unique(block)) == pytest.approx(area / 400, rel=0.25)


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="0 km"):
        number_blocks([1.0], [2.0], 0)


def test_alone_in_its_block_every_place_is_drawn_as_in_the_plain_bootstrap() -> None:
    """The interval of a mean is near the one that theory gives."""
    rng = np.random.default_rng(1)
    values = rng.normal(5, 2, 400)
    found = Bootstrap(np.arange(400)).intervals(lambda w: {"mean": float(np.average(values, weights=w))})
    low, high = found["mean"]
    margin = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - margin, abs=0.05)
    assert high == pytest.approx(values.mean() + margin, abs=0.05)


def test_neighbours_that_say_the_same_do_not_make_it_surer() -> None:
    """Each place ten times over: by blocks the interval stays; one by one it would shrink threefold."""
    rng = np.random.default_rng(2)
    values = np.repeat(rng.normal(size=100), 10)

    def width(block: np.ndarray) -> float:
        found = Bootstrap(block).intervals(lambda w: {"mean": float(np.average(values, weights=w))})
        return float(np.ptp(found["mean"]))

    assert width(np.repeat(np.arange(100), 10)) > 2.5 * width(np.arange(1000))


def test_too_few_blocks_say_nothing() -> None:
    few = Bootstrap(np.arange(40) % (FEWEST_BLOCKS - 1))
    assert few.intervals(lambda w: {"n": float(w.sum())}) == {}
    enough = Bootstrap(np.arange(40) % FEWEST_BLOCKS)
    assert set(enough.intervals(lambda w: {"n": float(w.sum())})) == {"n"}


def test_a_figure_that_many_draws_leave_open_has_no_interval() -> None:
    draws = Bootstrap(np.arange(20))
    found = draws.intervals(lambda w: {"sure": 1.0, "rare": 1.0 if w[0] else float("nan")})
    assert found == {"sure": (1.0, 1.0)}


def test_the_same_seed_draws_the_same_and_a_part_is_renumbered() -> None:
    draws = Bootstrap(np.array([0, 0, 3, 3, 5, 8, 9, 10, 11, 12, 13]), draws=5)
    assert all((a == b).all() for a, b in zip(draws.draw_weights(), draws.draw_weights(), strict=True))
    part = draws.restrict_to(np.arange(11) >= 2)
    assert part.block.tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7]
