"""Where and when, as the twelve numbers that the Dynamic Encoder reads (paper 3.3, eq. 4)."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.errors import ModelError

Encoding = Literal["reference", "cyclic", "zonal"]
ENCODINGS: tuple[str, ...] = get_args(Encoding)

FEATURES = 12
"""Six quantities, a sine and a cosine each: latitude, longitude, year, month, day, hour."""
PLACE_FEATURES = 4
"""The first four numbers depend on the place alone, the other eight on the time alone."""
_LONGITUDE = slice(2, 4)


def encode_metadata(
    lat: ArrayLike,
    lon: ArrayLike,
    year: ArrayLike,
    month: ArrayLike,
    day: ArrayLike,
    hour: ArrayLike,
    encoding: Encoding,
) -> NDArray[np.float32]:
    """The twelve numbers `[N, 12]` for N places and local times; arguments broadcast to `[N]`.

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

    Raises `ModelError` for an unknown encoding or a value that is not finite.
    """
    columns = [np.asarray(value, dtype=np.float64) for value in (lat, lon, year, month, day, hour)]
    values = np.stack(np.broadcast_arrays(*(np.atleast_1d(column) for column in columns)))
    if not np.isfinite(values).all():
        raise ModelError(
            "place or time holds a value that is not finite: give every latitude, longitude and date"
        )
    angles = _angles(values, encoding)
    numbers = np.stack([f(angle) for angle in angles for f in (np.sin, np.cos)], axis=-1).astype(np.float32)
    if encoding == "zonal":
        numbers[:, _LONGITUDE] = 0
    return numbers


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
    if encoding in ("cyclic", "zonal"):
        return [
            np.pi * lat / 180,
            np.pi * lon / 180,
            turn * (year - 2015) / 60,
            turn * (month - 1 + (day - 1) / 31) / 12,
            turn * (day - 1) / 31,
            turn * hour / 24,
        ]
    raise ModelError(f"encoding {encoding!r} is not known: give one of {', '.join(ENCODINGS)}")
