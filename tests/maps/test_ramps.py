"""The colours of a QGIS style are those of a picture, though they are written down as text."""

import numpy as np
from matplotlib.colors import to_hex

from sat2cap.maps.colours import COLOURS, DIVERGING
from sat2cap.maps.layers import Scale
from sat2cap.maps.ramps import DIFFERENCE_RAMP, SCORE_RAMP, ramp_stops


def test_the_ramps_are_those_of_the_colour_maps():
    shares = np.linspace(0, 1, len(SCORE_RAMP))
    assert list(SCORE_RAMP) == [to_hex(COLOURS(share)) for share in shares]
    assert list(DIFFERENCE_RAMP) == [to_hex(DIVERGING(share)) for share in shares]


def test_stops_run_from_the_first_to_the_last_colour_of_the_scale():
    stops = ramp_stops(np.float32([0.1, 0.2, np.nan]), Scale("chance", "", 0.0, 1.0))
    assert stops[0] == (0.0, SCORE_RAMP[0], "0")
    assert stops[8] == (0.5, SCORE_RAMP[8], "0.5")
    assert stops[-1] == (1.0, SCORE_RAMP[-1], "1")
