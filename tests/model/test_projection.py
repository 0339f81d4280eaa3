"""A fault seen elsewhere: the published overhead tower loaded without its projection gives 768 wrong numbers.

Full size in width, one layer deep, so that the numbers are those that people know.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection

from sat2cap.errors import ModelError
from sat2cap.model.load import load_model


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of MVRL/Sat2Cap: a CLIPVisionModelWithProjection of B/32."""
    torch.manual_seed(0)
    config = CLIPVisionConfig(patch_size=32, projection_dim=512, num_hidden_layers=1)
    folder = tmp_path_factory.mktemp("hub") / "Sat2Cap"
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def test_the_right_512_numbers(published: Path) -> None:
    patches = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    model = load_model(published)
    theirs = CLIPVisionModelWithProjection.from_pretrained(published).eval()
    with torch.no_grad():
        expected = theirs(pixel_values=model.overhead_preprocess.images(patches)).image_embeds.numpy()
    found = model.embed_overhead(patches)
    assert found.shape == (2, 512)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_tower_saved_without_its_projection_is_refused(published: Path, tmp_path: Path) -> None:
    CLIPVisionModel.from_pretrained(published).save_pretrained(tmp_path / "bare")
    with pytest.raises(ModelError, match=r"has no visual_projection.*CLIPVisionModelWithProjection") as error:
        load_model(tmp_path / "bare")
    assert "\n" not in str(error.value)
