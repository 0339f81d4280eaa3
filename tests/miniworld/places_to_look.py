"""Boxes and places that several tests look at."""

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from sat2cap.miniworld.concepts import CONCEPT_NAMES, concept_probabilities
from sat2cap.miniworld.surroundings import local_times, sample_surroundings


def make_box(epsg: int, left: float, top: float, *, metres: float = 20.0, pixels: int = 192) -> GeoBox:
    """A square north-up grid."""
    return GeoBox((pixels, pixels), Affine(metres, 0, left, 0, -metres, top), f"EPSG:{epsg}")


NORTH = make_box(32631, 500_000, 5_000_000)
SOUTH = make_box(32734, 400_000, 6_300_000)
SEAM_NORTH = make_box(32660, 831_500, 600_000)  # 180 degrees runs through it
SEAM_SOUTH = make_box(32701, 165_000, 9_400_000)


def random_positions(count: int, seed: int = 0, north: float = 66.0) -> tuple[np.ndarray, np.ndarray]:
    """Degrees ``(lon, lat)`` spread evenly over the planet's area where people live."""
    r = np.random.default_rng(seed)
    lat = np.degrees(np.arcsin(r.uniform(np.sin(np.radians(-62)), np.sin(np.radians(north)), count)))
    return r.uniform(-180, 180, count), lat


def probability(
    name: str, lon: np.ndarray, lat: np.ndarray, month: int, hour: float, seed: int
) -> np.ndarray:
    """Probability of one concept at places, on the 15th of a month."""
    clock = (np.full(len(lon), value) for value in (month, 15, hour))
    here = sample_surroundings(lon, lat, seed)
    return concept_probabilities(here, local_times(lat, *clock))[:, CONCEPT_NAMES.index(name)]
