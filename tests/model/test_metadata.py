"""Where and when as numbers."""

import math

import numpy as np
import pytest
from scipy.special import sph_harm_y

from sat2cap.errors import ModelError
from sat2cap.model.networks.metadata import encode_metadata


def test_reference_is_the_authors_formula_by_hand() -> None:
    lat, lon, year, month, day, hour = 52.3, -4.9, 2012, 7, 14, 18.5
    angles = [
        math.pi * lat / 90,
        math.pi * lon / 180,
        2 * math.pi * (year - 2015) / 15,
        2 * math.pi * month / 12,
        2 * math.pi * day / 31,
        2 * math.pi * hour / 23,
    ]
    expected = [f(angle) for angle in angles for f in (math.sin, math.cos)]
    found = encode_metadata(lat, lon, year, month, day, hour, "reference")
    assert found.shape == (1, 12)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_reference_folds_what_cyclic_keeps_apart() -> None:
    for lat, year, hour in [
        ((10, 10), (2020, 2020), (0, 23)),
        ((-90, 90), (2020, 2020), (5, 5)),
        ((1, 1), (2005, 2020), (5, 5)),
    ]:
        folded = encode_metadata(lat, 0, year, 3, 2, hour, "reference")
        apart = encode_metadata(lat, 0, year, 3, 2, hour, "cyclic")
        assert np.abs(folded[0] - folded[1]).max() < 1e-5
        assert np.abs(apart[0] - apart[1]).max() > 0.2


def test_cyclic_has_no_step_where_day_year_and_longitude_wrap() -> None:
    minute = encode_metadata(0, 0, 2020, 6, 15, [23 + 59 / 60, 0], "cyclic")
    assert np.abs(minute[0] - minute[1]).max() < 0.01
    december, january = encode_metadata(0, 0, 2020, [12, 1], [31, 1], 12, "cyclic")[:, 6:8]
    assert np.abs(december - january).max() < 2 * math.pi / 360
    date_line = encode_metadata(0, [-180, 180], 2020, 1, 1, 1, "cyclic")
    np.testing.assert_allclose(date_line[0], date_line[1], atol=1e-6)


def test_cyclic_tells_every_day_and_hour_of_30_years_apart() -> None:
    years, months, days, hours = np.meshgrid(
        np.arange(2000, 2030, 6), np.arange(1, 13), [1, 15, 31], np.arange(24)
    )
    found = encode_metadata(0, 0, years.ravel(), months.ravel(), days.ravel(), hours.ravel(), "cyclic")
    assert len(np.unique(found.round(4), axis=0)) == years.size


def test_zonal_is_cyclic_blind_to_longitude() -> None:
    here, there = encode_metadata(46, [-70, 12], 2021, 7, 15, 14, "zonal")
    cyclic = encode_metadata(46, 12, 2021, 7, 15, 14, "cyclic")[0]
    np.testing.assert_array_equal(here, there)
    np.testing.assert_array_equal(there[2:4], [0, 0])
    np.testing.assert_array_equal(np.delete(there, [2, 3]), np.delete(cyclic, [2, 3]))


def test_the_first_four_numbers_are_the_place_alone() -> None:
    found = encode_metadata(
        [1, 1, 2], [3, 3, 3], [2000, 2010, 2000], [1, 5, 1], [2, 9, 2], [3, 8, 3], "cyclic"
    )
    assert (found[0, :4] == found[1, :4]).all()
    assert (found[0, 4:] == found[2, 4:]).all()


def test_sphere_is_scipys_harmonics_and_the_times_of_cyclic() -> None:
    random = np.random.default_rng(0)
    lat, lon = random.uniform(-90, 90, 50), random.uniform(-180, 180, 50)
    found = encode_metadata(lat, lon, 2021, 11, 23, 7.5, "sphere")
    assert found.shape == (50, 128)
    columns = []
    for n in range(1, 11):
        for m in range(-n, n + 1):
            value = sph_harm_y(n, abs(m), np.deg2rad(90 - lat), np.deg2rad(lon)) * np.sqrt(4 * np.pi)
            real = value.real if m >= 0 else value.imag
            columns.append(real * (1 if m == 0 else np.sqrt(2) * (-1) ** m))  # scipy has the phase
    np.testing.assert_allclose(found[:, :120], np.stack(columns, axis=1), atol=1e-5)
    np.testing.assert_array_equal(
        found[:, 120:], encode_metadata(lat, lon, 2021, 11, 23, 7.5, "cyclic")[:, 4:]
    )


def test_sphere_has_no_special_meridian_and_one_point_at_a_pole() -> None:
    date_line = encode_metadata(40, [-180, 180], 2020, 1, 1, 1, "sphere")
    np.testing.assert_allclose(date_line[0], date_line[1], atol=1e-5)
    pole = encode_metadata(90, [0, 123], 2020, 1, 1, 1, "sphere")
    np.testing.assert_allclose(pole[0], pole[1], atol=1e-5)


def test_bad_values_are_named() -> None:
    with pytest.raises(
        ModelError, match=r"'fourier' is not known: give one of reference, cyclic, zonal, sphere"
    ):
        encode_metadata(0, 0, 2020, 1, 1, 1, "fourier")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="not finite"):
        encode_metadata(float("nan"), 0, 2020, 1, 1, 1, "cyclic")
