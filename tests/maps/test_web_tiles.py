"""Web tiles read back by the format's own reader, and by the page's JavaScript."""

import io
import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from made_up_scores import ABOUT, made_up, three_classes, three_prompts
from odc.geo.geobox import GeoBox
from PIL import Image
from pmtiles.reader import MemorySource, Reader, all_tiles
from pmtiles.tile import TileType
from pyproj import Transformer

from sat2cap.errors import InputError
from sat2cap.geo.frame import grid_of, on_grid
from sat2cap.maps.colours import paint_of
from sat2cap.maps.formats import save
from sat2cap.maps.web_tiles import encode_pmtiles

NODE = shutil.which("node")


def pixel(reader: Reader, zoom: int, lon: float, lat: float) -> tuple[int, ...]:
    """RGBA of the tile under a point; all 0 where there is no tile."""
    side = 2**zoom
    x = (lon / 360 + 0.5) % 1 * side
    y = (0.5 - math.asinh(math.tan(math.radians(lat))) / (2 * math.pi)) * side
    tile = reader.get(zoom, int(x), int(y))
    if tile is None:
        return (0, 0, 0, 0)
    image = Image.open(io.BytesIO(tile)).convert("RGBA")
    return tuple(image.getpixel((int(x % 1 * 256), int(y % 1 * 256))))


def lonlat(score: Any, row: float, col: float) -> tuple[float, float]:
    x, y = grid_of(score).affine @ (col, row)
    lon, lat = Transformer.from_crs(grid_of(score).crs.proj, "EPSG:4326", always_xy=True).transform(x, y)
    return lon, lat


def test_every_cell_has_its_colour_in_its_place() -> None:
    score = made_up()
    reader = Reader(MemorySource(encode_pmtiles(score)))
    head, paint = reader.header(), paint_of(score)
    assert head["tile_type"] == TileType.PNG
    for row, col in ((0, 0), (10, 45), (39, 59), (17, 3), (30, 40)):
        colour = np.array(pixel(reader, head["max_zoom"], *lonlat(score, row + 0.5, col + 0.5)))
        expected = paint.to_rgba(score.values)[row, col]
        assert np.abs(colour - expected).max() <= 3, (row, col)
    assert pixel(reader, head["max_zoom"], *lonlat(score, 30, 5))[3] == 0, "no data is transparent"
    assert pixel(reader, head["max_zoom"], *lonlat(score, 20, 61))[3] == 0, "beside the map"


def test_the_header_says_where_and_the_metadata_what() -> None:
    score = made_up()
    reader = Reader(MemorySource(encode_pmtiles(score)))
    head, about = reader.header(), reader.metadata()
    west, south = lonlat(score, 40, 0)
    assert head["min_lon_e7"] / 1e7 == pytest.approx(west, abs=0.02)
    assert head["min_lat_e7"] / 1e7 == pytest.approx(south, abs=0.02)
    assert about["attribution"] == "somebody"
    assert about["sat2cap"] == {**ABOUT}
    assert about["legend"]["label"] == "cosine similarity (no unit)"
    zooms = {zxy[0] for zxy, _ in all_tiles(MemorySource(encode_pmtiles(score)))}
    assert zooms == set(range(head["min_zoom"], head["max_zoom"] + 1))
    cell_pixels = 480 / math.cos(math.radians(52)) / (40_075_017 / 256 / 2 ** head["max_zoom"])
    assert 2 <= cell_pixels < 4.2


def test_further_out_is_the_mean_and_for_categories_the_commonest() -> None:
    score = made_up(64, 64, gaps=False)
    score.values[:] = np.indices((64, 64)).sum(axis=0) % 2
    reader = Reader(MemorySource(encode_pmtiles(score)))
    zoom = reader.header()["max_zoom"] - 3
    middle = paint_of(score).to_rgba(np.full((1, 1), 0.5, np.float32))[0, 0]
    assert np.abs(np.array(pixel(reader, zoom, *lonlat(score, 32, 32))) - middle).max() <= 20

    classes = three_classes()["category"]
    reader = Reader(MemorySource(encode_pmtiles(classes)))
    colours = {
        tuple(paint_of(classes).to_rgba(np.full((1, 1), code, np.float32))[0, 0]) for code in (1, 2, 3)
    }
    seen = set()
    for _, tile in all_tiles(MemorySource(encode_pmtiles(classes))):
        seen |= {colour for _, colour in Image.open(io.BytesIO(tile)).convert("RGBA").getcolors()}
    assert {colour for colour in seen if colour[3]} == {tuple(map(int, colour)) for colour in colours}


def test_across_the_antimeridian() -> None:
    grid = GeoBox((40, 40), Affine(2000, 0, 680_000, 0, -2000, 6_000_000), "EPSG:32660")
    score = on_grid(np.arange(1600, dtype=np.float32).reshape(40, 40), grid)
    reader = Reader(MemorySource(encode_pmtiles(score)))
    head = reader.header()
    assert head["min_lon_e7"] > 0 > head["max_lon_e7"]
    for col in (0.5, 39.5):
        assert pixel(reader, head["max_zoom"], *lonlat(score, 20, col))[3] == 255
    assert len(list(all_tiles(MemorySource(encode_pmtiles(score))))) < 60


def test_a_single_cell_has_tiles() -> None:
    reader = Reader(MemorySource(encode_pmtiles(made_up(1, 1, gaps=False))))
    assert pixel(reader, reader.header()["max_zoom"], *lonlat(made_up(1, 1), 0.5, 0.5))[3] == 255


def test_what_makes_no_tiles() -> None:
    with pytest.raises(InputError, match="this score has 3"):
        encode_pmtiles(three_prompts())
    with pytest.raises(InputError, match="without any data"):
        encode_pmtiles(made_up() * np.nan)


def test_the_same_map_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.pmtiles", "b.pmtiles"):
        save(made_up(), tmp_path / name)
    assert (tmp_path / "a.pmtiles").read_bytes() == (tmp_path / "b.pmtiles").read_bytes()


def test_the_page_asks_nobody_for_anything(tmp_path: Path) -> None:
    save(made_up().assign_attrs(prompt="<b>snow</b> & ice"), tmp_path / "m.html")
    page = (tmp_path / "m.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert "<b>snow" not in page, "a prompt is text, never markup"
    assert "&lt;b&gt;snow&lt;/b&gt; &amp; ice" in page
    assert "© somebody" in page


@pytest.mark.skipif(NODE is None, reason="node runs the page's JavaScript, and is not here")
def test_the_page_reads_its_tiles(tmp_path: Path) -> None:
    """Every tile that the format's own reader finds, byte for byte."""
    score = made_up(500, 500)
    save(score, tmp_path / "m.html")
    script = (tmp_path / "m.html").read_text().split("<script>")[1].split("</script>")[0]
    ask = """
    archive(Uint8Array.from(atob(ARCHIVE), c => c.charCodeAt(0))).then(async ({ head, image, count }) => {
      const tiles = {};
      for (let zoom = head.first; zoom <= head.deepest; zoom++)
        for (let x = 0; x < 2 ** zoom; x++) for (let y = 0; y < 2 ** zoom; y++) {
          const near = Math.abs(lonOf(x / 2 ** zoom) - head.west) < 5 + 360 / 2 ** zoom;
          const blob = near && image(zoom, x, y);
          if (blob) tiles[`${zoom}/${x}/${y}`] = Buffer.from(await blob.arrayBuffer()).toString("hex");
        }
      console.log(JSON.stringify({ tiles, count, west: head.west, label: METADATA.legend.label }));
    });
    """
    (tmp_path / "page.js").write_text(script + ask)
    done = subprocess.run([str(NODE), tmp_path / "page.js"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    archive = encode_pmtiles(score)
    expected = {"/".join(map(str, zxy)): tile.hex() for zxy, tile in all_tiles(MemorySource(archive))}
    assert seen["tiles"] == expected
    assert seen["count"] == len(expected) > 20
    assert seen["west"] == pytest.approx(Reader(MemorySource(archive)).header()["min_lon_e7"] / 1e7)
    assert seen["label"] == "cosine similarity (no unit)"
