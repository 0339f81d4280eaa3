"""The authors' training checkpoints: every part by its key, nothing in them run."""

import math
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_checkpoint import Bomb
from tiny_model import tiny_clip
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from sat2cap.errors import ModelError
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.formats.folder import save_checkpoint
from sat2cap.model.load import load_model
from sat2cap.model.networks.dynamic_encoder import DynamicEncoder

DIM, SIZE = 32, 48


def tower(seed: int) -> Any:
    """Heads of 64, as every CLIP has."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPVisionConfig(**sizes, image_size=SIZE, patch_size=8, projection_dim=DIM)
    return CLIPVisionModelWithProjection(config).eval()


class Training(nn.Module):
    """Modules named as in the authors' Lightning module (shapes of PAPER's list of keys)."""

    def __init__(self, nested: bool) -> None:
        super().__init__()
        for seed, name in enumerate(("img_encoder", "imo_encoder")):
            holder = nn.Module()
            holder.vision_model = tower(seed)
            setattr(self, name, holder if nested else tower(seed))
        torch.manual_seed(2)
        self.geo_encoder = DynamicEncoder(DIM)
        self.register_buffer("queue", torch.randn(DIM, 20))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))
        self.temp_layer = nn.Module()
        self.temp_layer.logit_scale = nn.Parameter(torch.tensor(3.5))


def written(path: Path, state: dict[str, torch.Tensor], **more: object) -> Path:
    """As Lightning writes it, with the script's arguments and an optimiser beside the weights."""
    value = {
        "epoch": 3,
        "pytorch-lightning_version": "1.9.0",
        "state_dict": state,
        "optimizer_states": [{"state": {0: {"step": torch.tensor(4.0)}}, "param_groups": [{"lr": 5e-5}]}],
        "hyper_parameters": {"hparams": Namespace(batch_size=100, lr=5e-5)},
        **more,
    }
    torch.save(value, path)
    return path


@pytest.mark.parametrize("nested", [True, False])
def test_every_part_is_read(nested: bool, tmp_path: Path) -> None:
    training = Training(nested)
    found = load_model(written(tmp_path / "step=100.ckpt", training.state_dict()))
    patches = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    with torch.no_grad():
        ground, overhead = (tower(seed)(found.overhead_preprocess.images(patches)) for seed in (0, 1))
        seen = found.ground_preprocess.images(patches)
        ground = nn.functional.normalize(tower(0)(seen).image_embeds, dim=-1)
    np.testing.assert_allclose(found.embed_overhead(patches), overhead.image_embeds.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.embed_ground(list(patches)), ground.numpy(), atol=1e-5)
    assert found.logit_scale == pytest.approx(math.exp(3.5), rel=1e-6)
    assert (found.dim, found.patch_pixels, found.encoding) == (DIM, SIZE, "reference")
    assert found.overhead_preprocess.mean == (0.3670, 0.3827, 0.3338)
    assert found.overhead_preprocess.std == (0.2209, 0.1975, 0.1988)
    assert (found.overhead_preprocess.crop, found.ground_preprocess.squash) == (800, True)
    offset = found.dynamic_offset(52.0, 5.0, 2015, 6, 1, 12)
    with torch.no_grad():
        features = torch.tensor([[math.sin(math.pi * 52 / 90), math.cos(math.pi * 52 / 90)]])
        assert torch.isfinite(features).all()
    assert offset.shape == (1, DIM)
    assert np.abs(offset).max() > 0


def test_the_dynamic_encoder_is_theirs(tmp_path: Path) -> None:
    training = Training(nested=True)
    found = load_model(written(tmp_path / "a.ckpt", training.state_dict()))
    lat, lon, year, month, day, hour = 52.0, 5.0, 2019, 6, 14, 23
    pi = math.pi
    angles = [
        pi * lat / 90,
        pi * lon / 180,
        2 * pi * (year - 2015) / 15,
        2 * pi * month / 12,
        2 * pi * day / 31,
        2 * pi * hour / 23,
    ]
    features = torch.tensor([[f(angle) for angle in angles for f in (math.sin, math.cos)]])
    weights = training.state_dict()
    hidden = torch.relu(features @ weights["geo_encoder.fc1.weight"].T + weights["geo_encoder.fc1.bias"])
    expected = hidden @ weights["geo_encoder.fc2.weight"].T + weights["geo_encoder.fc2.bias"]
    np.testing.assert_allclose(found.dynamic_offset(lat, lon, year, month, day, hour), expected, atol=1e-6)


def test_it_becomes_a_folder_of_ours_with_a_text_tower(tmp_path: Path) -> None:
    clip = load_model(tiny_clip(tmp_path / "clip", image=SIZE, hidden=64, dim=DIM))
    found = load_model(written(tmp_path / "a.ckpt", Training(nested=True).state_dict()))
    with pytest.raises(ModelError, match="a has no text tower: join it"):
        found.embed_text(["snow"])
    again = load_model(save_checkpoint(found.with_text_of(clip), tmp_path / "ours"))
    np.testing.assert_array_equal(again.embed_text(["snow"]), clip.embed_text(["snow"]))
    assert again.place_identity == found.place_identity
    assert again.dynamic is not None
    assert again.card["text"] == str(tmp_path / "clip")


def test_a_training_without_metadata_or_whole_ground_tower(tmp_path: Path) -> None:
    state = {
        name: tensor
        for name, tensor in Training(nested=True).state_dict().items()
        if not name.startswith("geo_encoder") and name != "img_encoder.vision_model.visual_projection.weight"
    }
    found = load_model(written(tmp_path / "a.ckpt", state))
    assert isinstance(found, Checkpoint)
    assert (found.dynamic, found.ground) == (None, None)


def test_the_temperature_is_clamped_as_in_training(tmp_path: Path) -> None:
    state = {**Training(nested=True).state_dict(), "temp_layer.logit_scale": torch.tensor(7.0)}
    assert load_model(written(tmp_path / "a.ckpt", state)).logit_scale == pytest.approx(100, rel=1e-3)


def test_what_is_no_such_checkpoint_is_refused_unrun(tmp_path: Path) -> None:
    state = Training(nested=True).state_dict()
    no_projection = {n: t for n, t in state.items() if "imo_encoder.vision_model.visual_proj" not in n}
    bomb = written(tmp_path / "bomb.ckpt", state, callbacks=Bomb(str(tmp_path / "ran")))
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(bomb.read_bytes()[:2000])
    (tmp_path / "text.ckpt").write_text("hello")
    torch.save([1, 2], tmp_path / "list.ckpt")
    short = {n: t for n, t in state.items() if "layers.1.mlp.fc2" not in n}
    holed = {n: t for n, t in state.items() if "imo_encoder.vision_model.vision_model.embeddings" not in n}
    cases = [
        (bomb, r"would run code when opened \(.*open\), and none of it was run: give its weights alone"),
        (cut, "is broken, or was not written by PyTorch"),
        (tmp_path / "text.ckpt", "is broken, or was not written by PyTorch"),
        (tmp_path / "none.ckpt", "there is no such file"),
        (tmp_path / "list.ckpt", "has no state_dict"),
        (written(tmp_path / "bare.ckpt", no_projection), "has no imo_encoder with its visual_projection"),
        (written(tmp_path / "short.ckpt", short), "lacks 2 weights"),
        (written(tmp_path / "holed.ckpt", holed), "has a broken imo_encoder"),
    ]
    for path, message in cases:
        with pytest.raises(ModelError, match=message) as error:
            load_model(path)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "ran").exists()
