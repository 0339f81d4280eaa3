"""What a photographer somewhere, at some date and hour, has around them: the causes of every photo."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sat2cap.miniworld.planet.cover import Cover, cover
from sat2cap.miniworld.planet.land import ground, latitude, mercator
from sat2cap.miniworld.planet.noise import Floats, Positions, ramp, rise

VIEW_STEP_M = 55.0
"""Ground distance between the view points round a photographer, a square of 5 x 5."""


@dataclass(frozen=True)
class Places:
    """Places ``[N]``, everything that does not change with time."""

    lat: Positions
    """Degrees north."""
    covers: Floats
    """Share of each `Cover` among the view points, ``[N, 26]``."""
    temperature: Floats
    """Yearly mean, degrees Celsius."""
    swing: Floats
    """Half the difference between the warmest and the coldest month, degrees Celsius."""
    moisture: Floats
    relief: Floats
    urban: Floats
    roof: Floats
    sand: Floats
    water: Floats

    def share(self, *kinds: Cover) -> Floats:
        """Share of the view that these kinds cover, ``[N]`` in [0, 1]."""
        total: Floats = self.covers[:, list(kinds)].sum(1, dtype=np.float32)
        return total

    def sees(self, *kinds: Cover, enough: float = 0.2) -> Floats:
        """0 where none of these kinds is in view, 1 where they fill `enough` of it, ``[N]``."""
        return ramp(self.share(*kinds), 0.0, enough)


@dataclass(frozen=True)
class Moments:
    """Local dates and hours ``[N]`` as the seasons and the light they bring at a latitude."""

    month: Floats
    """1 to 12, with fractions for the day."""
    hour: Floats
    """0 to 24, local."""
    warmth: Floats
    """-1 in the coldest part of the year, 1 in the warmest; the hemispheres differ."""
    spring: Floats
    """0 to 1: how much it is spring here; tropics have no seasons."""
    summer: Floats
    autumn: Floats
    winter: Floats
    sun: Floats
    """Sine of the sun's height above the horizon."""
    day: Floats
    """1 in daylight, 0 in the dark, between at dusk and dawn."""
    dusk: Floats
    """1 when the sun is on the horizon."""

    def hours(self, start: float, end: float, soft: float = 1.5) -> Floats:
        """1 between two hours of the day, off like a bell of width `soft` hours; may cross midnight."""
        middle, half = (start + (end - start) % 24 / 2) % 24, (end - start) % 24 / 2
        away = np.maximum(np.abs((self.hour - middle + 12) % 24 - 12) - half, 0)
        bell: Floats = np.exp(-0.5 * (away / soft) ** 2).astype(np.float32)
        return bell


def places(lon: Positions, lat: Positions, seed: int) -> Places:
    """The places at degrees ``[N]``."""
    x, y = mercator(lon, lat)
    steps = (np.arange(5) - 2) * VIEW_STEP_M / np.cos(np.radians(np.clip(lat, -85, 85)))[:, None]
    view = ground(x[:, None, None] + steps[:, None, :], y[:, None, None] + steps[:, :, None], seed)
    kinds = cover(view, seed).reshape(len(x), -1)
    shares = np.stack([(kinds == kind).mean(1, dtype=np.float32) for kind in Cover], 1)
    centre = {
        name: view[name][:, 2, 2]
        for name in ("temperature", "swing", "moisture", "relief", "urban", "roof", "sand", "water")
    }
    return Places(lat=latitude(y), covers=shares, **centre)


def moments(
    lat: Positions, month: NDArray[np.generic], day: NDArray[np.generic], hour: NDArray[np.generic]
) -> Moments:
    """Local dates and hours at latitudes, all ``[N]``; `month` 1 to 12, `day` 1 to 31, `hour` 0 to 24."""
    when: Floats = np.asarray(month, np.float32) + (np.asarray(day, np.float32) - np.float32(1)) / np.float32(
        31
    )
    clock: Floats = np.asarray(hour, np.float32)
    angle = 2 * np.pi * (when - 1) / 12
    north = np.sin(np.radians(lat)).astype(np.float32)
    declination = np.radians(-23.44 * np.cos(angle + 0.17))
    phi = np.radians(lat)
    sun = np.sin(phi) * np.sin(declination) - np.cos(phi) * np.cos(declination) * np.cos(
        2 * np.pi * clock / 24
    )
    seasonal = ramp(np.abs(north), 0.25, 0.5)  # none within 15 degrees of the equator, full beyond 30
    phase = angle - 2 * np.pi * 6.5 / 12 + np.where(north < 0, np.pi, 0)  # 0 in the warmest weeks

    def season(centre: float) -> Floats:
        return (seasonal * np.exp(2.5 * (np.cos(phase - centre) - 1))).astype(np.float32)

    return Moments(
        month=when,
        hour=clock,
        warmth=np.cos(phase).astype(np.float32),
        spring=season(-np.pi / 2),
        summer=season(0.0),
        autumn=season(np.pi / 2),
        winter=season(np.pi),
        sun=sun.astype(np.float32),
        day=rise(sun.astype(np.float32), -0.08, 0.06),
        dusk=np.exp(-((sun / 0.12) ** 2)).astype(np.float32),
    )
