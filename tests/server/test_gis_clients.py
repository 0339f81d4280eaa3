"""Programs that read tiles get the scores of the GeoTIFF: GDAL's TMS and WMTS drivers, a notebook's map."""

from urllib.parse import urlencode
from xml.sax.saxutils import escape

import httpx
import morecantile
import numpy as np
import pytest
import rasterio
from rasterio.env import Env
from rasterio.warp import transform
from rio_tiler.colormap import cmap

import sat2cap
from sat2cap.geo import cell_lonlat

LOW, HIGH = -0.5, 0.5
GREYS = {"colormap_name": "gist_gray", "rescale": f"{LOW},{HIGH}", "resampling": "nearest"}
"""Colours that tell scores: black is LOW, white is HIGH, and cells are as they are."""
GREY_OF_LEVEL = np.array([colour[:3] for colour in cmap.get("gist_gray").values()], float)
"""Level of the range to grey: not the level itself, as 24 of 256 levels have the grey of the level below."""
PROMPT = "a <b>busy</b> \"street\" & 'more' ☃"
ZOOM = 12


@pytest.fixture(scope="module")
def server(folder, checkpoint):
    with sat2cap.serve(folder / "The North.zarr", model=checkpoint) as server:
        yield server


@pytest.fixture(scope="module")
def geotiff(folder, checkpoint, tmp_path_factory):
    """Values of the map that is written to a GeoTIFF, and the places of its cells in Web Mercator."""
    opened = sat2cap.open(folder / "The North.zarr", checkpoint)
    path = tmp_path_factory.mktemp("map") / "m.tif"
    sat2cap.save(opened.map(PROMPT), path)
    with rasterio.open(path) as data:
        scores = data.read(1)
    lon, lat = cell_lonlat(opened.atlas.grid)
    x, y = transform("EPSG:4326", "EPSG:3857", lon.ravel(), lat.ravel())
    return scores, np.stack([x, y], axis=1)


def assert_layer_is_map(dataset_name, geotiff):
    """Compare every cell of the GeoTIFF with the pixel that GDAL reads at its centre."""
    scores, places = geotiff
    with Env(GDAL_HTTP_TIMEOUT=120, GDAL_HTTP_NETRC="NO"), rasterio.open(dataset_name) as layer:
        assert layer.crs.to_epsg() == 3857
        pixels = np.array(list(layer.sample(places[:: len(places) // 100]))).astype(float)
    expected = scores.ravel()[:: len(places) // 100]
    valid = np.isfinite(expected)
    assert 60 < valid.sum() < len(expected)
    levels = np.floor((expected[valid] - LOW) / (HIGH - LOW) * 255).astype(int)  # as titiler cuts, not rounds
    assert np.ptp(levels) > 20, "levels could not be told apart"
    errors = np.abs(pixels[valid, :3] - GREY_OF_LEVEL[levels])
    assert errors.max() <= 1, "a score at the edge of two levels may be in either"
    assert (errors == 0).mean() > 0.95
    np.testing.assert_array_equal(pixels[:, 3] > 0, valid, err_msg="no data is transparent, data is not")


def test_gdal_reads_the_tiles_of_a_prompt(server, geotiff, tmp_path):
    """As QGIS does for an XYZ layer."""
    address = server.tile_url(PROMPT, **GREYS).replace("{z}/{x}/{y}", "${z}/${x}/${y}")
    half = 20037508.342789244
    path = tmp_path / "layer.xml"
    path.write_text(
        f"""<GDAL_WMS><Service name="TMS"><ServerUrl>{escape(address)}</ServerUrl></Service>
        <DataWindow><UpperLeftX>{-half}</UpperLeftX><UpperLeftY>{half}</UpperLeftY>
        <LowerRightX>{half}</LowerRightX><LowerRightY>{-half}</LowerRightY><TileLevel>{ZOOM}</TileLevel>
        <TileCountX>1</TileCountX><TileCountY>1</TileCountY><YOrigin>top</YOrigin></DataWindow>
        <Projection>EPSG:3857</Projection><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY>
        <BandsCount>4</BandsCount><ZeroBlockHttpCodes>204,404</ZeroBlockHttpCodes></GDAL_WMS>"""
    )
    assert_layer_is_map(path, geotiff)


def test_gdal_reads_the_wmts_layer_of_a_prompt(server, geotiff):
    """The title holds quotes, markup and a snowman; the identifier does not."""
    query = urlencode({"prompt": PROMPT, **GREYS})
    address = f"WMTS:{server.url}api/atlases/the-north/wmts?{query},layer=the-north"
    assert_layer_is_map(address, geotiff)


def test_ipyleaflet_shows_a_prompt_in_three_lines(folder, checkpoint):
    ipyleaflet = pytest.importorskip("ipyleaflet")
    server = sat2cap.serve(folder / "The North.zarr", model=checkpoint)
    layer = ipyleaflet.TileLayer(url=server.tile_url("a busy street"), attribution="sat2cap")
    shown = ipyleaflet.Map(layers=[layer])
    try:
        url = shown.layers[0].url
        bounds = httpx.get(f"{server.url}api/atlases/the-north").json()["bounds"]
        tile = morecantile.tms.get("WebMercatorQuad").tile(
            (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2, 10
        )
        answer = httpx.get(url.format(z=tile.z, x=tile.x, y=tile.y))
        assert answer.headers["content-type"] == "image/png"
    finally:
        server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url.format(z=0, x=0, y=0))
