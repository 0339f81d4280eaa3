"""The QGIS style beside a GeoTIFF, as XML; that QGIS applies it is looked at by hand (see docs/LOG.md)."""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import xarray as xr
from made_up_scores import made_up, three_classes, three_months, three_prompts
from matplotlib.colors import to_rgb

from sat2cap.maps.colours import paint_of
from sat2cap.maps.formats import save
from sat2cap.maps.style import write_style


def renderer(path: Path) -> ET.Element:
    element = ET.parse(path).getroot().find("pipe/rasterrenderer")
    assert element is not None
    return element


def test_it_has_the_colours_of_the_picture(tmp_path: Path) -> None:
    score = made_up()
    write_style(score, tmp_path / "m.tif")
    style = renderer(tmp_path / "m.qml")
    assert style.get("type") == "singlebandpseudocolor"
    items = style.findall("rastershader/colorrampshader/item")
    assert len(items) > 10
    norm = paint_of(score).norm
    assert float(items[0].get("value", "")) == pytest.approx(norm.vmin)
    assert float(style.get("classificationMax", "")) == pytest.approx(norm.vmax)
    for item in items:
        colour = np.array(to_rgb(item.get("color", ""))) * 255
        value = np.array([[float(item.get("value", ""))]], np.float32)
        assert np.abs(colour - paint_of(score).to_rgba(value)[0, 0, :3]).max() <= 4, (
            "but for rounding to one of 256"
        )


def test_the_first_band_of_several_prompts_but_all_dates(tmp_path: Path) -> None:
    write_style(three_prompts(), tmp_path / "p.tif")
    first_limit, last_limit = (float(np.nanpercentile(made_up(20, 30).values, 99.5)) * n for n in (1, 3))
    assert float(renderer(tmp_path / "p.qml").get("classificationMax", "")) == pytest.approx(
        first_limit, rel=0.02
    )
    write_style(three_months(), tmp_path / "t.tif")
    assert first_limit < float(renderer(tmp_path / "t.qml").get("classificationMax", "")) <= last_limit
    dates = three_months()
    two_prompts = xr.concat([dates, dates * 100], "prompt").assign_coords(prompt=["snow", "ice"])
    write_style(two_prompts.assign_attrs(dates.attrs), tmp_path / "b.tif")
    assert (tmp_path / "b.qml").read_bytes() == (tmp_path / "t.qml").read_bytes(), "not of other prompts"


def test_categories_are_a_palette_with_names(tmp_path: Path) -> None:
    save(three_classes(), tmp_path / "c.tif")
    entries = renderer(tmp_path / "c.qml").findall("colorPalette/paletteEntry")
    assert [entry.get("label") for entry in entries] == ["the sea", "a wood", "a $5 ice"]
    assert [entry.get("value") for entry in entries] == ["1", "2", "3"]
    assert renderer(tmp_path / "c-confidence.qml").get("classificationMax") == "1"


def test_a_style_somebody_saved_is_kept(tmp_path: Path) -> None:
    save(made_up(), tmp_path / "m.tif")
    style_path = tmp_path / "m.qml"
    first = style_path.read_text()
    save(made_up() * 2, tmp_path / "m.tif")
    assert style_path.read_text() != first, "ours follows the map"
    style_path.write_text("<qgis><pipe/></qgis>")
    save(made_up(), tmp_path / "m.tif")
    assert style_path.read_text() == "<qgis><pipe/></qgis>"
