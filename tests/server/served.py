"""A client of a server that runs in this process."""

from fastapi.testclient import TestClient

from sat2cap.server.app import create_app
from sat2cap.server.collection import AtlasCollection
from sat2cap.server.settings import ServerSettings

HEIGHT, WIDTH = 40, 50
"""Size of the atlases, cells."""


def make_client(folder, checkpoint, **settings):
    app = create_app(AtlasCollection([folder], checkpoint), ServerSettings(**settings))
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
