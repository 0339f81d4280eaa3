"""Encoding of place and time as the features that the Dynamic Encoder reads (paper 3.3, eq. 4)."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.errors import ModelError

Encoding = Literal["reference", "cyclic", "zonal", "sphere"]
ENCODINGS: tuple[str, ...] = get_args(Encoding)

TIME_FEATURES = 8
"""Number of time features, which come last: sine and cosine of year, month, day and hour."""
_LONGITUDE_FEATURES = slice(2, 4)
SPHERE_DEGREES = 10
"""Highest degree of the spherical harmonics of ``sphere``, whose shortest wave is 36 degrees long."""

Floats = NDArray[np.float64]


def place_feature_count(encoding: Encoding) -> int:
    """Return the number of place features, which come first: 4, or 120 for ``sphere``."""
    return SPHERE_DEGREES * (SPHERE_DEGREES + 2) if encoding == "sphere" else 4


def feature_count(encoding: Encoding) -> int:
    """Return the number of features of an encoding: 12, or 128 for ``sphere``.

    Features of the place come first, then those of the time.

    >>> feature_count("cyclic"), feature_count("sphere")
    (12, 128)
    """
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
    """Return the features of N places and local times, float32 `[N, F]`; sines and cosines are in -1 to 1.

    F is `feature_count(encoding)`; arguments broadcast to `[N]`. `lat` and `lon` are in degrees, `month` and
    `day` count from 1, and `hour` is in 0-24 and may be a fraction.

    ``reference`` is what the authors' code computes: published weights need it. It folds hour 0 onto hour 23,
    the south pole onto the north pole, and years 15 apart onto each other.

    ``cyclic`` keeps the order and corrects the angles, so that only values a full turn apart coincide::

        0, 1    sin, cos of the latitude itself                  poles differ
        2, 3    sin, cos of the longitude                        the antimeridian has no step
        4, 5    one turn in 60 years, zero at 2015               1985-2045 all differ
        6, 7    one turn a year, in days: 31 December meets 1 January
        8, 9    one turn a month: day 31 meets day 1
        10, 11  one turn a day: 23:59 meets 00:00

    ``zonal`` is ``cyclic`` with both longitude features set to 0. A model learns climates and seasons by
    latitude, but cannot memorise what lies where, which would not transfer to another planet.

    ``sphere`` has 120 spherical harmonics of the place, smooth across poles and antimeridian, followed by the
    time features of ``cyclic`` (Rußwurm et al. 2024).

    Raises `ModelError` for an unknown encoding or a value that is not finite.

        encode_metadata(52.37, 4.90, 2024, 6, 21, 14.5, "cyclic").shape    # (1, 12)
    """
    columns = [np.asarray(value, dtype=np.float64) for value in (lat, lon, year, month, day, hour)]
    values = np.stack(np.broadcast_arrays(*(np.atleast_1d(column) for column in columns)))
    if not np.isfinite(values).all():
        raise ModelError(
            "place or time holds a value that is not finite: give every latitude, longitude and date"
        )
    angles = _angles(values, encoding)
    features = [function(angle) for angle in angles for function in (np.sin, np.cos)]
    if encoding == "sphere":
        features = [*_spherical_harmonics(values[0], values[1]), *features[4:]]
    stacked = np.stack(features, axis=-1).astype(np.float32)
    if encoding == "zonal":
        stacked[:, _LONGITUDE_FEATURES] = 0
    return stacked


def _spherical_harmonics(lat: Floats, lon: Floats) -> list[Floats]:
    """Return real spherical harmonics of degrees 1 to 10, each `[N]`: by degree n, then order m from -n to n.

    Each has mean square 1 over the sphere. The associated Legendre functions come from the stable recursion
    of Holmes and Featherstone (2002), without the Condon-Shortley phase: first the diagonal P(n, n) from
    P(n-1, n-1), then P(n, m) for m < n from P(n-1, m) and P(n-2, m).
    """
    sin_lat, cos_lat = np.sin(np.deg2rad(lat)), np.cos(np.deg2rad(lat))
    legendre = {(0, 0): np.ones_like(sin_lat)}
    harmonics = []
    for n in range(1, SPHERE_DEGREES + 1):
        legendre[n, n] = (
            cos_lat * np.sqrt((2 * n + 1) / (2 * n) * (2 if n == 1 else 1)) * legendre[n - 1, n - 1]
        )
        for m in range(n):
            a = np.sqrt((4 * n * n - 1) / (n * n - m * m))
            b = np.sqrt(((n - 1) ** 2 - m * m) / (4 * (n - 1) ** 2 - 1)) if n - 1 > m else 0.0
            legendre[n, m] = a * (
                sin_lat * legendre[n - 1, m] - b * legendre.get((n - 2, m), np.zeros_like(sin_lat))
            )
        for m in range(-n, n + 1):
            wave = np.sin(-m * np.deg2rad(lon)) if m < 0 else np.cos(m * np.deg2rad(lon))
            harmonics.append(legendre[n, abs(m)] * wave)
    return harmonics


def _angles(values: NDArray[np.float64], encoding: str) -> list[NDArray[np.float64]]:
    """Return the angles, in radians, of latitude, longitude, year, month, day and hour, each `[N]`."""
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
