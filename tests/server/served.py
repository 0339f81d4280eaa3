"""A client of a server that runs in this process, and what tests ask it about."""

import numpy as np
from fastapi.testclient import TestClient

from sat2cap.geo import cell_lonlat
from sat2cap.server.app import create_app
from sat2cap.server.collection import AtlasCollection
from sat2cap.server.settings import ServerSettings

HEIGHT, WIDTH = 40, 50
"""Size of the atlases, cells."""
NORTH = "/api/atlases/the-north"
MAY = "2024-05-20T08:00"


def make_client(folder, checkpoint, **settings):
    app = create_app(AtlasCollection([folder], checkpoint), ServerSettings(**settings))
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


def place(opened, row, col):
    """Longitude and latitude of a cell, as the parameters of a request."""
    lon, lat = cell_lonlat(opened.atlas.grid)
    return {"lon": round(float(lon[row, col]), 6), "lat": round(float(lat[row, col]), 6)}


def cell_with_data(score):
    """Row and column of a cell that has a score."""
    return tuple(int(index) for index in np.argwhere(np.isfinite(score.values))[100])
