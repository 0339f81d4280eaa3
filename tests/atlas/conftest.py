"""The fixture every test of atlases uses."""

import pytest
from small_atlas import build


@pytest.fixture
def atlas(tmp_path):
    return build(tmp_path / "small.zarr")
