"""A map as one web page that needs nothing else: no server, no network, no other file."""

import base64
from pathlib import Path

import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined
from pmtiles.reader import MemorySource, Reader

from sat2cap.files import write_bytes
from sat2cap.maps.decoration.text import credits_of, subtitle_of, title_of
from sat2cap.maps.layers import one_layer
from sat2cap.maps.web_tiles import pmtiles_of


def write_page(score: xr.DataArray, path: Path | str, title: str | None = None) -> None:
    """Publish one map as an HTML page to move and zoom in, its tiles inside it. Raises `InputError`.

    The page is a third larger than the PMTiles file; for a country, serve that instead.
    """
    layer = one_layer(score, "a page shows")
    archive = pmtiles_of(score)
    made = Environment(
        loader=PackageLoader("sat2cap.maps", "."), autoescape=True, undefined=StrictUndefined
    ).get_template("viewer.html")
    page = made.render(
        title=title or title_of(layer),
        lines=[line for line in (subtitle_of(layer), credits_of(layer)) if line],
        archive=base64.b64encode(archive).decode(),
        metadata=Reader(MemorySource(archive)).metadata(),
    )
    write_bytes(path, page.encode())
