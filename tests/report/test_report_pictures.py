import base64
import io

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from sat2cap.report.pictures import (
    Picture,
    colour_limits,
    hex_colour,
    map_picture,
    overlay_picture,
    picture_from_jpeg,
    picture_from_pixels,
)

NAN = np.nan


def opened(picture: Picture) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2])))


def test_a_map_has_the_colours_of_its_values_and_nothing_where_there_are_none() -> None:
    values = np.array([[0.0, 0.5, 1.0], [NAN, 2.0, -1.0]])
    picture = map_picture(values, "three", (0.0, 1.0))
    rgba = np.asarray(opened(picture).convert("RGBA"))
    assert (picture.width, picture.height, picture.alt) == (3, 2, "three")
    magma = (np.array(colormaps["magma"]([0.0, 0.5, 1.0]))[:, :3] * 255).round()
    assert np.abs(rgba[0, :, :3] - magma).max() <= 2  # 255 shares, not 256
    np.testing.assert_array_equal(rgba[1, 1], rgba[0, 2])
    np.testing.assert_array_equal(rgba[1, 2], rgba[0, 0])
    assert rgba[..., 3].tolist() == [[255, 255, 255], [0, 255, 255]]


def test_an_overlay_lets_low_values_and_missing_ones_show_the_imagery() -> None:
    values = np.linspace(0, 1, 1001).reshape(7, 143)
    values[0, 0] = NAN
    alpha = np.asarray(opened(overlay_picture(values, "ramp")))[..., 3]
    assert alpha[0, 0] == 0
    assert set(alpha.ravel()[1:500]) == {alpha[0, 1]}  # all below the median alike
    assert alpha[0, 1] < 60
    assert alpha[-1, -1] > 200
    assert (np.diff(alpha.ravel()[1:].astype(int)) >= 0).all()


def test_maps_without_values_or_contrast_can_be_drawn() -> None:
    for values in (np.full((2, 2), NAN), np.full((2, 2), 3.0)):
        assert opened(map_picture(values, "flat")).size == (2, 2)
    assert opened(overlay_picture(np.full((2, 2), 3.0), "flat")).size == (2, 2)


def test_limits_are_shared_and_pass_over_outliers() -> None:
    a, b = np.linspace(0, 1, 500), np.linspace(1, 2, 500)
    low, high = colour_limits(a, np.append(b, NAN))
    assert (low, high) == pytest.approx((0.01, 1.99), abs=2e-3)
    assert colour_limits(np.array([NAN])) == (0.0, 1.0)


def test_photos_survive_and_jpegs_stay_as_they_are() -> None:
    pixels = np.full((8, 12, 4), (200, 40, 90, 255), np.uint8)
    picture = picture_from_pixels(pixels, "red")
    assert (picture.width, picture.height) == (12, 8)
    assert np.abs(np.asarray(opened(picture)).astype(int) - [200, 40, 90]).max() < 6
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), (1, 2, 3)).save(buffer, "JPEG")
    same = picture_from_jpeg(buffer.getvalue(), "dark")
    assert base64.b64decode(same.uri.partition(",")[2]) == buffer.getvalue()
    assert (same.width, same.height) == (5, 4)


def test_colours_go_from_dark_to_light() -> None:
    assert [hex_colour(0.0), hex_colour(1.0)] == ["#000004", "#fcfdbf"]
