"""Imagery to scores with a real (tiny, random) CLIP: scores are what the networks compute."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_model import Ground, grid

from sat2cap.embedding import embed_region
from sat2cap.geo.grid import cell_lonlat, patch_box
from sat2cap.geo.when import When
from sat2cap.model.load import load_model
from sat2cap.query import score_atlas

sys.path.append(str(Path(__file__).parents[1] / "model"))


@pytest.mark.parametrize("when", [None, When(2023, 7, 1, 6.5)], ids=str)
def test_scores_are_the_cosines_of_what_the_networks_give(tmp_path, when):
    from dataclasses import replace

    from tiny_model import tiny_clip

    from sat2cap.model.networks.dynamic_encoder import DynamicEncoder

    torch.set_num_threads(1)
    plain = load_model(tiny_clip(tmp_path / "clip"))
    torch.manual_seed(1)
    checkpoint = replace(plain, dynamic=DynamicEncoder(plain.dim).eval(), encoding="cyclic")
    cells, prompts = grid(6, 7), ["a photo of snow", "busy street + the sea"]
    atlas = embed_region(cells, np.ones((6, 7), bool), Ground(), checkpoint, tmp_path / "a.zarr")
    got = score_atlas(atlas, checkpoint, prompts, when=when).values
    lon, lat = cell_lonlat(cells)
    sea = checkpoint.embed_text(["busy street", "the sea"]).astype(float).sum(0)
    texts = [checkpoint.embed_text(["a photo of snow"])[0].astype(float), sea / np.linalg.norm(sea)]
    for row, col in np.ndindex(6, 7):
        box = patch_box(cells, slice(row, row + 1), slice(col, col + 1), checkpoint.patch_pixels)
        place = checkpoint.embed_overhead(Ground().read(box).values[None, ..., :3])[0].astype(float)
        if when is not None:
            moment = (when.year, when.month, when.day, when.hour)
            place += checkpoint.dynamic_offset(lat[row, col], lon[row, col], *moment)[0]
        place /= np.linalg.norm(place)
        np.testing.assert_allclose(got[:, row, col], [text @ place for text in texts], atol=2e-3)
    assert got.std() > 1e-3
