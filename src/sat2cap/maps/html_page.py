"""A map as one web page that needs nothing else: no server, no network, no other file."""

import base64
from pathlib import Path

import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined
from pmtiles.reader import MemorySource, Reader

from sat2cap.files import write_bytes
from sat2cap.maps.decoration.text import credits_of, subtitle_of, title_of
from sat2cap.maps.layers import one_layer
from sat2cap.maps.web_tiles import encode_pmtiles


def write_page(score: xr.DataArray, path: Path | str, title: str | None = None) -> None:
    """Publish one map as an HTML page to move and zoom in, with its tiles, legend and credits inside.

    `title` is the heading, by default the prompt. The tiles are those of a PMTiles file in base64, so the
    page is a third larger than that file; for a country, serve the PMTiles file instead. Raises `InputError`
    if `score` holds several maps, or has no data within 85 degrees of latitude.
    """
    layer = one_layer(score, "a page shows")
    archive = encode_pmtiles(score)
    template = Environment(
        loader=PackageLoader("sat2cap.maps", "."), autoescape=True, undefined=StrictUndefined
    ).get_template("viewer.html")
    page = template.render(
        title=title or title_of(layer),
        lines=[line for line in (subtitle_of(layer), credits_of(layer)) if line],
        archive=base64.b64encode(archive).decode(),
        metadata=Reader(MemorySource(archive)).metadata(),
    )
    write_bytes(path, page.encode())
