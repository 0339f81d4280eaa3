"""What surrounds a photographer at a place, a date and an hour, and so decides what a photo shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sat2cap.miniworld.planet.cover import LandCover, classify_land_cover
from sat2cap.miniworld.planet.land import sample_terrain, to_latitude, to_web_mercator
from sat2cap.miniworld.planet.noise import Floats, Positions, linear_ramp, logistic_ramp

VIEW_STEP_M = 55.0
"""Distance on the ground between the view points around a photographer, a square of 5 x 5."""


@dataclass(frozen=True)
class Surroundings:
    """What stays the same at N places: land cover in view, climate and settlement; arrays are ``[N]``."""

    lat: Positions
    """Degrees north."""
    covers: Floats
    """Share of each `LandCover` among the view points, ``[N, 26]``."""
    temperature: Floats
    """Yearly mean, degrees Celsius."""
    swing: Floats
    """Half the difference between the warmest and the coldest month, degrees Celsius."""
    moisture: Floats
    """0 desert to 1 rainforest."""
    relief: Floats
    """0 flat to 1 alpine."""
    urban: Floats
    """0 empty to 0.78 and above downtown."""
    roof: Floats
    """Which roofs the district builds, 0 to 1."""
    sand: Floats
    """Colour of sand, 0 white to 1 black."""
    water: Floats
    """Colour of water, 0 turquoise to 1 brown."""

    def cover_share(self, *covers: LandCover) -> Floats:
        """Return the share of the view that these covers take together, ``[N]`` in [0, 1]."""
        total: Floats = self.covers[:, list(covers)].sum(1, dtype=np.float32)
        return total

    def in_view(self, *covers: LandCover, full_share: float = 0.2) -> Floats:
        """Return 0 where none of these covers is in view, 1 where they take `full_share` of it, ``[N]``."""
        return linear_ramp(self.cover_share(*covers), 0.0, full_share)


@dataclass(frozen=True)
class LocalTimes:
    """The seasons and the light at N local dates and hours, each at its own latitude; arrays are ``[N]``."""

    month: Floats
    """1 to 12, with fractions for the day."""
    hour: Floats
    """0 to 24."""
    warmth: Floats
    """-1 in the coldest part of the year to 1 in the warmest, which differ between the hemispheres."""
    spring: Floats
    """0 to 1: how much it is spring; always 0 in the tropics, which have no seasons."""
    summer: Floats
    """0 to 1, as `spring`."""
    autumn: Floats
    """0 to 1, as `spring`."""
    winter: Floats
    """0 to 1, as `spring`."""
    sun: Floats
    """Sine of the sun's elevation above the horizon."""
    day: Floats
    """1 in daylight, 0 in the dark, between at dusk and dawn."""
    dusk: Floats
    """1 while the sun is on the horizon, falling to 0 above and below."""

    def between_hours(self, start: float, end: float, soft: float = 1.5) -> Floats:
        """Return 1 between two hours of the day and a bell curve of width `soft` hours outside, ``[N]``.

        The hours may cross midnight: ``between_hours(20, 3)`` is 1 from 20:00 to 03:00.
        """
        middle, half = (start + (end - start) % 24 / 2) % 24, (end - start) % 24 / 2
        outside = np.maximum(np.abs((self.hour - middle + 12) % 24 - 12) - half, 0)
        bell: Floats = np.exp(-0.5 * (outside / soft) ** 2).astype(np.float32)
        return bell


def sample_surroundings(lon: Positions, lat: Positions, seed: int) -> Surroundings:
    """Return what surrounds N places in degrees, ``[N]``, on the planet of `World.seed` `seed`.

    A view is a square of five by five points, `VIEW_STEP_M` apart, of which the shares of land covers are
    taken.
    """
    x, y = to_web_mercator(lon, lat)
    steps = (np.arange(5) - 2) * VIEW_STEP_M / np.cos(np.radians(np.clip(lat, -85, 85)))[:, None]
    view = sample_terrain(x[:, None, None] + steps[:, None, :], y[:, None, None] + steps[:, :, None], seed)
    covers = classify_land_cover(view, seed).reshape(len(x), -1)
    shares = np.stack([(covers == cover).mean(1, dtype=np.float32) for cover in LandCover], 1)
    centre = {
        name: view[name][:, 2, 2]
        for name in ("temperature", "swing", "moisture", "relief", "urban", "roof", "sand", "water")
    }
    return Surroundings(lat=to_latitude(y), covers=shares, **centre)


def local_times(
    lat: Positions, month: NDArray[np.generic], day: NDArray[np.generic], hour: NDArray[np.generic]
) -> LocalTimes:
    """Return the seasons and the light of local dates and hours at latitudes in degrees, all ``[N]``.

    `month` is 1 to 12, `day` 1 to 31, `hour` 0 to 24.
    """
    one, days = np.float32(1), np.float32(31)
    fractional_month: Floats = np.asarray(month, np.float32) + (np.asarray(day, np.float32) - one) / days
    hours: Floats = np.asarray(hour, np.float32)
    year_angle = 2 * np.pi * (fractional_month - 1) / 12
    sine = np.sin(np.radians(lat)).astype(np.float32)
    declination = np.radians(-23.44 * np.cos(year_angle + 0.17))
    phi = np.radians(lat)
    sun = np.sin(phi) * np.sin(declination) - np.cos(phi) * np.cos(declination) * np.cos(
        2 * np.pi * hours / 24
    )
    seasonality = linear_ramp(
        np.abs(sine), 0.25, 0.5
    )  # none within 15 degrees of the equator, full beyond 30
    phase = year_angle - 2 * np.pi * 6.5 / 12 + np.where(sine < 0, np.pi, 0)  # 0 in the warmest weeks

    def season_strength(centre: float) -> Floats:
        return (seasonality * np.exp(2.5 * (np.cos(phase - centre) - 1))).astype(np.float32)

    return LocalTimes(
        month=fractional_month,
        hour=hours,
        warmth=np.cos(phase).astype(np.float32),
        spring=season_strength(-np.pi / 2),
        summer=season_strength(0.0),
        autumn=season_strength(np.pi / 2),
        winter=season_strength(np.pi),
        sun=sun.astype(np.float32),
        day=logistic_ramp(sun.astype(np.float32), -0.08, 0.06),
        dusk=np.exp(-((sun / 0.12) ** 2)).astype(np.float32),
    )
