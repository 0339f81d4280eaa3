"""How much of the tower learns."""

import copy
from typing import Any

import pytest
import torch
from tiny_model import tiny_clip
from transformers import SiglipVisionConfig

from sat2cap.errors import RunFileError
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.load import load_model
from sat2cap.model.networks.siglip import SiglipImageTower
from sat2cap.training.adaptation import adapt_tower, merged_copy
from sat2cap.training.run import Model


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_model(tiny_clip(tmp_path_factory.mktemp("clip") / "clip", image=24, hidden=32, dim=16))


def learning(tower: torch.nn.Module) -> set[str]:
    return {name for name, value in tower.named_parameters() if value.requires_grad}


def test_last_layers_and_all_behind_them(start: Checkpoint) -> None:
    every = learning(start.overhead)
    one = learning(adapt_tower(copy.deepcopy(start.overhead), Model(init="x", train_layers=1)))
    none = learning(adapt_tower(copy.deepcopy(start.overhead), Model(init="x", train_layers=0)))
    assert {name.split(".")[0] for name in none} == {"vision_model", "visual_projection"}
    assert all("post_layernorm" in name or "visual_projection" in name for name in none)
    assert {name for name in one - none if "layers.1." not in name} == set()
    assert one - none == {name for name in every if "layers.1." in name}
    both = learning(adapt_tower(copy.deepcopy(start.overhead), Model(init="x", train_layers=2)))
    assert every - both == {name for name in every if "embeddings" in name or "pre_layrnorm" in name}
    with pytest.raises(RunFileError, match=r"train_layers 3 must be at most 2"):
        adapt_tower(copy.deepcopy(start.overhead), Model(init="x", train_layers=3))


def test_low_rank_changes_begin_at_nothing_and_merge_into_a_plain_tower(start: Checkpoint) -> None:
    tower = adapt_tower(copy.deepcopy(start.overhead), Model(init="x", lora_rank=2))
    pixels = torch.randn(3, 3, 24, 24)
    before = start.overhead(pixel_values=pixels).image_embeds
    torch.testing.assert_close(tower(pixel_values=pixels).image_embeds, before)
    learnt = [value for value in tower.parameters() if value.requires_grad]
    assert sum(value.numel() for value in learnt) < 0.2 * sum(v.numel() for v in start.overhead.parameters())
    with torch.no_grad():
        for value in learnt:
            value.add_(0.05 * torch.randn_like(value))
    after = tower(pixel_values=pixels).image_embeds
    assert float((after - before).detach().abs().max()) > 1e-3
    merged = merged_copy(tower)
    assert type(merged) is type(start.overhead)
    assert merged.state_dict().keys() == start.overhead.state_dict().keys()
    torch.testing.assert_close(merged(pixel_values=pixels).image_embeds, after, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def siglip() -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return SiglipImageTower(SiglipVisionConfig(**sizes, image_size=24, patch_size=8))


def test_siglips_tower_is_adapted_by_the_same_names(siglip: Any) -> None:
    last_layers = learning(adapt_tower(copy.deepcopy(siglip), Model(init="x", train_layers=1)))
    frozen = learning(siglip) - last_layers
    assert frozen
    assert all("embeddings." in name or "layers.0." in name for name in frozen), frozen
    assert any("head." in name for name in last_layers)
    pixels = torch.randn(2, 3, 24, 24)
    tower = adapt_tower(copy.deepcopy(siglip), Model(init="x", lora_rank=2))
    changed = {name.split(".lora_")[0].split(".")[-1] for name in learning(tower)}
    assert changed == {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"}
    assert all("head." not in name for name in learning(tower))
    torch.testing.assert_close(tower(pixel_values=pixels).image_embeds, siglip(pixels).image_embeds)
    assert type(merged_copy(tower)) is SiglipImageTower
