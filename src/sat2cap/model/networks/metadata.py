"""Where and when, as the numbers that the Dynamic Encoder reads (paper 3.3, eq. 4)."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.errors import ModelError

Encoding = Literal["reference", "cyclic", "zonal", "sphere"]
ENCODINGS: tuple[str, ...] = get_args(Encoding)

TIME_FEATURES = 8
"""A sine and a cosine each of year, month, day and hour: the last numbers, which depend on the time alone."""
_LONGITUDE = slice(2, 4)
SPHERE_DEGREES = 10
"""Of the spherical harmonics of ``sphere``: its finest waves are 36 degrees long."""

Floats = NDArray[np.float64]


def place_feature_count(encoding: Encoding) -> int:
    """How many numbers, the first ones, depend on the place alone."""
    return SPHERE_DEGREES * (SPHERE_DEGREES + 2) if encoding == "sphere" else 4


def feature_count(encoding: Encoding) -> int:
    """How many numbers there are: 12, or 128 for ``sphere``."""
    return place_feature_count(encoding) + TIME_FEATURES


def encode_metadata(
    lat: ArrayLike,
    lon: ArrayLike,
    year: ArrayLike,
    month: ArrayLike,
    day: ArrayLike,
    hour: ArrayLike,
    encoding: Encoding,
) -> NDArray[np.float32]:
    """The numbers `[N, F]` for N places and local times, F = `feature_count`; arguments broadcast to `[N]`.

    `lat`, `lon` in degrees; `month` and `day` count from 1; `hour` in 0-24, fractions welcome.

    ``reference`` is what the authors' code computes: published weights need it. It folds hour 0 onto hour 23,
    the south pole onto the north pole, and years 15 apart onto each other.

    ``cyclic`` keeps the order and mends the angles, so that only moments a turn apart meet::

        0, 1    sin, cos of the latitude itself                  poles differ
        2, 3    sin, cos of the longitude                        the antimeridian has no step
        4, 5    one turn in 60 years, zero at 2015               1985-2045 all differ
        6, 7    one turn a year, in days: 31 December meets 1 January
        8, 9    one turn a month: day 31 meets day 1
        10, 11  one turn a day: 23:59 meets 00:00

    ``zonal`` is ``cyclic`` blind to longitude, whose two numbers are 0: it learns climates and seasons by
    latitude, and cannot learn by heart what lies where, which is of no use on another planet.

    ``sphere`` has the times of ``cyclic`` behind 120 spherical harmonics of the place, to which neither poles
    nor antimeridian are special (Rußwurm et al. 2024).

    Raises `ModelError` for an unknown encoding or a value that is not finite.
    """
    columns = [np.asarray(value, dtype=np.float64) for value in (lat, lon, year, month, day, hour)]
    values = np.stack(np.broadcast_arrays(*(np.atleast_1d(column) for column in columns)))
    if not np.isfinite(values).all():
        raise ModelError(
            "place or time holds a value that is not finite: give every latitude, longitude and date"
        )
    angles = _angles(values, encoding)
    turns = [f(angle) for angle in angles for f in (np.sin, np.cos)]
    if encoding == "sphere":
        turns = [*_harmonics(values[0], values[1]), *turns[4:]]
    numbers = np.stack(turns, axis=-1).astype(np.float32)
    if encoding == "zonal":
        numbers[:, _LONGITUDE] = 0
    return numbers


def _harmonics(lat: Floats, lon: Floats) -> list[Floats]:
    """Real spherical harmonics of degrees 1 to 10, each `[N]`: by degree, then by order from -degree on.

    Each has mean square 1 over the sphere (Legendre functions by the stable recursion of Holmes and
    Featherstone 2002, without the phase of Condon and Shortley).
    """
    up, out = np.sin(np.deg2rad(lat)), np.cos(np.deg2rad(lat))
    legendre = {(0, 0): np.ones_like(up)}
    found = []
    for n in range(1, SPHERE_DEGREES + 1):
        legendre[n, n] = out * np.sqrt((2 * n + 1) / (2 * n) * (2 if n == 1 else 1)) * legendre[n - 1, n - 1]
        for m in range(n):
            a = np.sqrt((4 * n * n - 1) / (n * n - m * m))
            b = np.sqrt(((n - 1) ** 2 - m * m) / (4 * (n - 1) ** 2 - 1)) if n - 1 > m else 0.0
            legendre[n, m] = a * (up * legendre[n - 1, m] - b * legendre.get((n - 2, m), np.zeros_like(up)))
        for m in range(-n, n + 1):
            wave = np.sin(-m * np.deg2rad(lon)) if m < 0 else np.cos(m * np.deg2rad(lon))
            found.append(legendre[n, abs(m)] * wave)
    return found


def _angles(values: NDArray[np.float64], encoding: str) -> list[NDArray[np.float64]]:
    """Radians of latitude, longitude, year, month, day, hour, each `[N]`."""
    lat, lon, year, month, day, hour = values
    turn = 2 * np.pi
    if encoding == "reference":
        return [
            np.pi * lat / 90,
            np.pi * lon / 180,
            turn * (year - 2015) / 15,
            turn * month / 12,
            turn * day / 31,
            turn * hour / 23,
        ]
    if encoding in ("cyclic", "zonal", "sphere"):
        return [
            np.pi * lat / 180,
            np.pi * lon / 180,
            turn * (year - 2015) / 60,
            turn * (month - 1 + (day - 1) / 31) / 12,
            turn * (day - 1) / 31,
            turn * hour / 24,
        ]
    raise ModelError(f"encoding {encoding!r} is not known: give one of {', '.join(ENCODINGS)}")
