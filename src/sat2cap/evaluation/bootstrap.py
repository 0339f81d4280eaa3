"""Confidence intervals of metrics: a bootstrap over blocks of land.

Neighbouring cells and photos resemble each other, so resampling them one by one, as if they were independent,
gives intervals that are too narrow. Here whole blocks are drawn with replacement (Künsch 1989; for maps,
Roberts et al. 2017), and a metric's interval holds the middle 95 % of its values over the draws.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.errors import InputError
from sat2cap.evaluation.metric import Interval, Metric
from sat2cap.geo import square_blocks

Floats = NDArray[np.float64]

FEWEST_BLOCKS = 8
"""Least number of blocks for an interval: with fewer, the draws vary too little to be trusted."""


def number_blocks(lon: ArrayLike, lat: ArrayLike, block_km: float = 10.0) -> NDArray[np.int64]:
    """Return the number of the block that each place lies in: int64 ``[N]``, from 0.

    `lon` and `lat` are degrees, ``[N]`` each. Blocks are squares of about `block_km` kilometres, the same for
    a place in every evaluation. Raises `InputError` for a size that is not above 0.
    """
    if not block_km > 0:
        raise InputError(f"blocks of {block_km:g} km must be larger than 0; use 10")
    east, north = np.ravel(np.asarray(lon, np.float64)), np.ravel(np.asarray(lat, np.float64))
    return square_blocks(east, north, block_km * 1000, south_west_deg=(0.0, 0.0))


@dataclass(frozen=True)
class Bootstrap:
    """Draws of blocks of land, the same for everything that is measured on the same places."""

    block: NDArray[np.int64]
    """The block of each of N places, as `number_blocks` numbers them."""
    draws: int = 1000
    """Number of resamples; 0 for no intervals."""
    seed: int = 0
    level: float = 0.95

    def restrict_to(self, mask: NDArray[np.bool_]) -> "Bootstrap":
        """Return the bootstrap of the places where `mask`, bool ``[N]``, is true.

        Draws and seed stay. Blocks without such a place are left out, as drawing them would add nothing.
        """
        _, block = np.unique(self.block[mask], return_inverse=True)
        return Bootstrap(np.asarray(block, np.int64).reshape(-1), self.draws, self.seed, self.level)

    def draw_weights(self) -> Iterator[Floats]:
        """Yield for each draw how often each place is in it: float64 ``[N]``, whole numbers.

        Yields nothing if there are fewer than `FEWEST_BLOCKS` blocks.
        """
        random = np.random.default_rng(self.seed)
        count = int(self.block.max()) + 1 if len(self.block) else 0
        for _ in range(self.draws if count >= FEWEST_BLOCKS else 0):
            drawn = np.bincount(random.integers(0, count, count), minlength=count)
            yield drawn[self.block].astype(np.float64)

    def intervals(self, measure: Callable[[Floats], Mapping[str, float]]) -> dict[str, Interval]:
        """Return the interval of each metric that `measure` returns for weights ``[N]`` of the places.

        `measure` is called once a draw, so all its metrics share their draws, and the interval of a
        difference that it returns is paired. A metric that more than one draw in ten leaves undefined (NaN)
        has no interval and no entry.

            Bootstrap(block).intervals(lambda weight: {"mean": np.average(values, weights=weight)})
        """
        values_by_name: dict[str, list[float]] = {}
        for weight in self.draw_weights():
            for name, value in measure(weight).items():
                values_by_name.setdefault(name, []).append(value)
        return {
            name: ends
            for name, drawn in values_by_name.items()
            if (ends := self._percentile_interval(drawn)) is not None
        }

    def metrics(self, measure: Callable[[Floats | None], Mapping[str, float]]) -> Iterator[Metric]:
        """Yield each metric with its interval: the value for all places, and what the draws leave of it.

        `measure` is called once with None, which stands for all places alike, and then as in `intervals`,
        with weights of shape (N,).
        """
        intervals = self.intervals(measure)
        for name, value in measure(None).items():
            yield Metric(name, value, intervals.get(name))

    def _percentile_interval(self, drawn: list[float]) -> Interval | None:
        """Return the middle `level` of the finite draws; None if more than one in ten is not finite."""
        finite = np.array(drawn)[np.isfinite(drawn)]
        if len(finite) < 0.9 * len(drawn):
            return None
        tail = 50 * (1 - self.level)
        low, high = np.percentile(finite, [tail, 100 - tail])
        return float(low), float(high)
