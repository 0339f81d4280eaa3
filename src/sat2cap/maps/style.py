"""The colours of a map as a QGIS style, which QGIS applies when it lies beside the GeoTIFF.

The elements are those that QGIS itself saves for a raster layer; what is left out has its defaults there.
"""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from sat2cap.files import write_bytes
from sat2cap.maps.layers import CATEGORY, AnyScore, scale_of
from sat2cap.maps.ramps import ramp_stops

_OWN_MARK = "made by sat2cap; a style saved from QGIS has no such line, and is kept"


def write_style(score: AnyScore, tif: Path | str) -> None:
    """Publish ``NAME.qml`` beside ``NAME.tif`` with the colours that a picture of `score` has.

    The style is for the first band; the dates of one prompt share their colours. A file of that name without
    the mark of this package was saved by somebody from QGIS, and is not replaced. Raises `InputError` if
    `score` holds more categories than there are colours.
    """
    path = Path(tif).with_suffix(".qml")
    if path.exists() and _OWN_MARK not in path.read_text(errors="replace"):
        return
    root = ET.Element("qgis", version="3.22", styleCategories="Symbology")
    root.append(ET.Comment(f" {_OWN_MARK} "))
    layer = score.isel(prompt=0) if "prompt" in score.dims else score  # dates share their colours
    _add_renderer(ET.SubElement(root, "pipe"), layer)
    ET.indent(root)
    head = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    write_bytes(path, (head + ET.tostring(root, encoding="unicode") + "\n").encode())


def _add_renderer(pipe: ET.Element, layer: AnyScore) -> None:
    """Add the element that says how QGIS colours the band: a palette of categories, or a colour ramp.

    A ramp is a list of ``(value, colour)`` items between which QGIS interpolates linearly.
    """
    has_categories = layer.attrs.get("scale") == CATEGORY
    kind = "paletted" if has_categories else "singlebandpseudocolor"
    renderer = ET.SubElement(pipe, "rasterrenderer", type=kind, band="1", opacity="1", alphaBand="-1")
    if has_categories:
        palette = ET.SubElement(renderer, "colorPalette")
        for code, colour, name in _category_stops([str(name) for name in layer.attrs["categories"]]):
            ET.SubElement(palette, "paletteEntry", value=f"{code:g}", color=colour, label=name, alpha="255")
        return
    stops = ramp_stops(np.asarray(layer.values, np.float32), scale_of(layer))
    low, high = f"{stops[0][0]:.9g}", f"{stops[-1][0]:.9g}"
    renderer.attrib.update(classificationMin=low, classificationMax=high)
    shader = ET.SubElement(
        ET.SubElement(renderer, "rastershader"),
        "colorrampshader",
        colorRampType="INTERPOLATED",
        classificationMode="1",
        clip="0",
        minimumValue=low,
        maximumValue=high,
    )
    for value, colour, label in stops:
        ET.SubElement(shader, "item", value=f"{value:.9g}", color=colour, label=label, alpha="255")


def _category_stops(names: Sequence[str]) -> list[tuple[int, str, str]]:
    """Return ``(code, #rrggbb, name)`` of categories, of which the first has the code 1."""
    from sat2cap.maps.colours import colours_of  # with matplotlib, which scores do not need

    return [(code, *stop) for code, stop in enumerate(zip(colours_of(names), names, strict=True), 1)]
