from xml.etree import ElementTree

import numpy as np
import pytest

from sat2cap.demo.charts import Line, draw_calendar, draw_year
from sat2cap.report.pictures import hex_colour


def test_a_heat_map_puts_months_across_and_hours_upwards() -> None:
    values = np.zeros((12, 8))
    values[0, 7] = 1.0  # January, the last hour
    chart = ElementTree.fromstring(draw_calendar(values, range(2, 24, 3), 'mean of "a & b"'))
    assert chart.attrib["aria-label"] == 'mean of "a & b"'
    cells = list(chart.iter("rect"))
    assert len(cells) == 96
    bright = [cell.attrib for cell in cells if cell.attrib["fill"] == hex_colour(1.0)]
    assert len(bright) == 1
    assert float(bright[0]["x"]) == min(float(cell.attrib["x"]) for cell in cells)
    assert float(bright[0]["y"]) == min(float(cell.attrib["y"]) for cell in cells)
    assert [text.text for text in chart.iter("text")] == [
        "05h",
        "11h",
        "17h",
        "23h",
        "Jan",
        "Apr",
        "Jul",
        "Oct",
    ]


def test_a_heat_map_of_one_value_is_dark() -> None:
    chart = ElementTree.fromstring(draw_calendar(np.full((12, 2), 7.0), (2, 14), "flat"))
    assert {cell.attrib["fill"] for cell in chart.iter("rect")} == {hex_colour(0.0)}


def test_lines_share_a_scale_and_higher_values_stand_higher() -> None:
    north, south = [float(i) for i in range(12)], [3.0] * 12
    chart = ElementTree.fromstring(draw_year([Line("north", north), Line("south", south)], "two"))
    lines = {line.attrib["class"]: line.attrib["points"].split() for line in chart.iter("polyline")}
    heights = {name: [float(point.split(",")[1]) for point in points] for name, points in lines.items()}
    assert len(lines["north"]) == 12
    assert heights["north"] == sorted(heights["north"], reverse=True)  # y grows downwards
    assert heights["south"] == pytest.approx([heights["north"][3]] * 12, abs=0.11)
