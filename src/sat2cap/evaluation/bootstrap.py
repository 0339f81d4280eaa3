"""How sure a figure is: a bootstrap over blocks of land.

Neighbouring cells and photos resemble each other, so drawing them one by one, as if each were news, makes
every figure look surer than it is. Here whole blocks are drawn with replacement (Künsch 1989; for maps,
Roberts et al. 2017), and a figure's interval is that of the middle 95 % of the draws.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.errors import InputError
from sat2cap.evaluation.metric import Interval
from sat2cap.geo import square_blocks

Floats = NDArray[np.float64]

FEWEST_BLOCKS = 8
"""With fewer, the draws say nothing, and there is no interval."""


def number_blocks(lon: ArrayLike, lat: ArrayLike, block_km: float = 10.0) -> NDArray[np.int64]:
    """The block of each place (degrees), numbered from 0, ``[N]``: rows of equal height, cut into squares.

    Raises `InputError` for a size that is not above 0.
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
    """0 for no intervals."""
    seed: int = 0
    level: float = 0.95

    def of(self, chosen: NDArray[np.bool_]) -> "Bootstrap":
        """The same for some of the places."""
        _, block = np.unique(self.block[chosen], return_inverse=True)
        return Bootstrap(np.asarray(block, np.int64).reshape(-1), self.draws, self.seed, self.level)

    def weights(self) -> Iterator[Floats]:
        """How often each place is in each draw, ``[N]``."""
        random = np.random.default_rng(self.seed)
        count = int(self.block.max()) + 1 if len(self.block) else 0
        for _ in range(self.draws if count >= FEWEST_BLOCKS else 0):
            drawn = np.bincount(random.integers(0, count, count), minlength=count)
            yield drawn[self.block].astype(np.float64)

    def intervals(self, measure: Callable[[Floats], Mapping[str, float]]) -> dict[str, Interval]:
        """The interval of each figure that `measure` gives for the weights of the places.

        A figure that more than one draw in ten leaves undefined has none.
        """
        found: dict[str, list[float]] = {}
        for weight in self.weights():
            for name, value in measure(weight).items():
                found.setdefault(name, []).append(value)
        return {name: ends for name, drawn in found.items() if (ends := self._ends(drawn)) is not None}

    def _ends(self, drawn: list[float]) -> Interval | None:
        known = np.array(drawn)[np.isfinite(drawn)]
        if len(known) < 0.9 * len(drawn):
            return None
        tail = 50 * (1 - self.level)
        low, high = np.percentile(known, [tail, 100 - tail])
        return float(low), float(high)
