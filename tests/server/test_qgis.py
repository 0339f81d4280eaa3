"""QGIS, where it is installed, draws the layer of a prompt: its pixels are the scores of the map."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import numpy as np
import pytest
from PIL import Image
from rasterio.warp import transform
from rio_tiler.colormap import cmap

import sat2cap
from sat2cap.geo import cell_lonlat

PYTHON = "/usr/bin/python3"
"""The interpreter that Debian's packages of QGIS are for."""

pytestmark = [
    pytest.mark.skipif(
        not (Path("/usr/lib/python3/dist-packages/qgis").is_dir() and shutil.which(PYTHON)),
        reason="no QGIS here; apt-get install python3-qgis",
    ),
    pytest.mark.timeout(300),
]

LOW, HIGH = -0.5, 0.5
LOOKS = {"colormap_name": "gist_gray", "rescale": f"{LOW},{HIGH}", "resampling": "nearest"}
GREY_OF_LEVEL = np.array([colour[:3] for colour in cmap.get("gist_gray").values()], float)
PIXELS = 512

DRAW = """
import json, os, sys
from qgis.core import (QgsApplication, QgsCoordinateReferenceSystem, QgsMapRendererSequentialJob,
                       QgsMapSettings, QgsRasterLayer, QgsRectangle)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor
asked = json.load(sys.stdin)
application = QgsApplication([], False)
application.initQgis()
for uri, path in asked["layers"]:
    layer = QgsRasterLayer(uri, "prompt", "wms")
    assert layer.isValid(), layer.error().message()
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    settings.setExtent(QgsRectangle(*asked["extent"]))
    settings.setOutputSize(QSize(asked["pixels"], asked["pixels"]))
    settings.setBackgroundColor(QColor(255, 0, 255))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(path)
sys.stdout.flush()
os._exit(0)  # QGIS without a window may crash when it is taken down
"""


def test_qgis_draws_the_scores(folder, checkpoint, tmp_path):
    prompt = "a \"busy\" street & 'more' <b>"
    opened = sat2cap.open(folder / "The North.zarr", checkpoint)
    scores = opened.map(prompt).values
    x, y = (np.reshape(axis, scores.shape) for axis in transform(
        "EPSG:4326", "EPSG:3857", *(axis.ravel() for axis in cell_lonlat(opened.atlas.grid))
    ))  # fmt: skip
    middle, half = (x.mean(), y.mean()), 4000.0
    extent = [middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half]
    with sat2cap.serve(folder / "The North.zarr", model=checkpoint) as server:
        tiles = server.tile_url(prompt, **LOOKS)
        document = f"{server.url}api/atlases/the-north/wmts?{urlencode({'prompt': prompt, **LOOKS})}"
        packed = base64.urlsafe_b64encode(urlsplit(document).query.encode()).decode().rstrip("=")
        in_path = f"{server.url}api/atlases/the-north/wmts/{packed}/WMTSCapabilities.xml"
        wmts = "crs=EPSG:3857&format=image/png&layers=the-north&styles=default&tileMatrixSet=WebMercatorQuad"
        layers = [
            (f"type=xyz&zmin=0&zmax=14&url={quote(tiles, safe='')}", str(tmp_path / "xyz.png")),
            (f"{wmts}&url={quote(in_path, safe='')}", str(tmp_path / "wmts.png")),
        ]
        asked = {"layers": layers, "extent": extent, "pixels": PIXELS}
        environment = {"QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [PYTHON, "-c", DRAW], input=json.dumps(asked), env=environment, capture_output=True, text=True,
            timeout=240,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    col = (x - extent[0]) / (2 * half) * PIXELS
    row = (extent[3] - y) / (2 * half) * PIXELS
    shown = (col > 2) & (col < PIXELS - 2) & (row > 2) & (row < PIXELS - 2) & np.isfinite(scores)
    assert shown.sum() > 50
    levels = np.clip(np.floor((scores[shown] - LOW) / (HIGH - LOW) * 255), 0, 255).astype(int)
    assert np.ptp(levels) > 20, "levels could not be told apart"
    for _, path in layers:
        picture = np.asarray(Image.open(path).convert("RGB")).astype(float)
        pixels = picture[row[shown].astype(int), col[shown].astype(int)]
        errors = np.abs(pixels - GREY_OF_LEVEL[levels]).max(axis=1)
        assert (errors <= 2).mean() > 0.95, f"{Path(path).name}: {np.sort(errors)[-10:]}"
