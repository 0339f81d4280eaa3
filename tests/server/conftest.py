"""Atlases of known numbers, one of them broken, and a client of a server that offers them."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "query"))  # made_model lives there

from made_model import atlas as make_atlas
from made_model import calibrated, embeddings
from served import HEIGHT, WIDTH, make_client


@pytest.fixture(scope="session")
def checkpoint():
    return calibrated(400)


@pytest.fixture(scope="session")
def folder(tmp_path_factory, checkpoint):
    """Two good atlases, and one whose plan is damaged."""
    folder = tmp_path_factory.mktemp("atlases")
    holes = np.random.default_rng(2).random((HEIGHT, WIDTH)) < 0.1
    for name in ("The North.zarr", "the north!.zarr", "broken.zarr"):
        make_atlas(folder / name, embeddings(HEIGHT, WIDTH, 64), checkpoint, holes)
    (folder / "broken.zarr" / "_sat2cap" / "plan.json").write_text("{")
    return folder


@pytest.fixture(scope="session")
def client(folder, checkpoint):
    with make_client(folder, checkpoint) as client:
        yield client
