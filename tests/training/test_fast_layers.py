"""Layers that processors train faster compute what those of transformers do, which come back when saved."""

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_pairs import small_run
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, SiglipVisionConfig

from sat2cap.catalogue import resolve_model
from sat2cap.model.networks.siglip import SiglipImageTower
from sat2cap.training.adaptation import adapt_tower, merged_copy
from sat2cap.training.fast_layers import use_fast_layers, use_plain_layers
from sat2cap.training.student import new_student

# 27 pixels are three squares of 8 and a rest that is left out, as with 384 pixels and squares of 14.
SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 27,
    "patch_size": 8,
}


def clip_tower() -> nn.Module:
    return CLIPVisionModelWithProjection(CLIPVisionConfig(projection_dim=8, **SIZES))


def gelu_tower() -> nn.Module:
    return CLIPVisionModelWithProjection(CLIPVisionConfig(projection_dim=8, hidden_act="gelu", **SIZES))


def siglip_tower() -> nn.Module:
    return SiglipImageTower(SiglipVisionConfig(**SIZES))


TOWERS = {
    "clip": (clip_tower, {"PatchProjection": 1, "SiluMlp": 2, "CastLayerNorm": 4}),
    "gelu": (gelu_tower, {"PatchProjection": 1, "CastLayerNorm": 4}),
    "siglip": (siglip_tower, {"PatchProjection": 1, "CastLayerNorm": 4}),
}


def layer_kinds(tower: nn.Module) -> dict[str, int]:
    """Return how many of the faster layers a tower has, by class."""
    kinds = Counter(type(module).__name__ for module in tower.modules())
    return {name: kinds[name] for name in ("PatchProjection", "SiluMlp", "CastLayerNorm") if kinds[name]}


def embed_and_differentiate(tower: nn.Module, pixels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the embeddings of pixels, and the gradient of one function of them for each weight."""
    tower.zero_grad()
    embedding: Tensor = tower(pixel_values=pixels).image_embeds.float()
    (embedding * torch.linspace(-1, 1, embedding.numel()).view_as(embedding)).sum().backward()  # type: ignore[no-untyped-call]
    gradients = {name: value.grad for name, value in tower.named_parameters() if value.grad is not None}
    return embedding.detach(), gradients


def joined(gradients: dict[str, Tensor]) -> Tensor:
    """Return all gradients as one vector."""
    return torch.cat([gradients[name].flatten() for name in sorted(gradients)])


def relative_error(value: Tensor, exact: Tensor) -> float:
    """Return the length of the error by the length of the exact value."""
    return float((value - exact).norm() / exact.norm())


@pytest.mark.parametrize("name", TOWERS)
def test_embeddings_and_gradients_are_those_of_plain_layers(name: str) -> None:
    make_tower, expected_kinds = TOWERS[name]
    plain, pixels = make_tower(), torch.randn(5, 3, 27, 27)
    fast = copy.deepcopy(plain)
    use_fast_layers(fast)
    assert layer_kinds(fast) == expected_kinds
    embedding, gradients = embed_and_differentiate(plain, pixels)
    fast_embedding, fast_gradients = embed_and_differentiate(fast, pixels)
    torch.testing.assert_close(fast_embedding, embedding, rtol=0, atol=1e-5)
    assert fast_gradients.keys() == gradients.keys()
    for weight, gradient in gradients.items():
        torch.testing.assert_close(fast_gradients[weight], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TOWERS)
def test_in_bfloat16_they_are_as_near_to_float32_as_plain_layers(name: str) -> None:
    plain, pixels = TOWERS[name][0](), torch.randn(5, 3, 27, 27)
    fast = copy.deepcopy(plain)
    use_fast_layers(fast)
    exact = embed_and_differentiate(plain, pixels)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, fast_rounded = (embed_and_differentiate(tower, pixels) for tower in (plain, fast))
    assert 0 < relative_error(fast_rounded[0], exact[0]) < 1.5 * relative_error(rounded[0], exact[0]) < 0.05
    plain_error, fast_error = (
        relative_error(joined(part[1]), joined(exact[1])) for part in (rounded, fast_rounded)
    )
    assert 0 < fast_error < 1.5 * plain_error < 0.05


def test_weights_are_the_same_ones_and_the_layers_come_back() -> None:
    tower = clip_tower()
    classes, weights = [type(module) for module in tower.modules()], list(tower.state_dict())
    use_fast_layers(tower)
    assert list(tower.state_dict()) == weights
    assert [type(module) for module in tower.modules()] != classes
    use_plain_layers(tower)
    assert [type(module) for module in tower.modules()] == classes


def test_adapters_are_trained_and_a_merged_copy_has_plain_layers(tmp_path: Path) -> None:
    settings = small_run(tmp_path, model={"lora_rank": 2}).model
    original = clip_tower()
    tower = adapt_tower(copy.deepcopy(original), settings)
    use_fast_layers(tower)
    assert layer_kinds(tower) == {"PatchProjection": 1, "CastLayerNorm": 4}  # fc1 and fc2 have adapters
    for name, value in tower.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(value)
    pixels = torch.randn(2, 3, 27, 27)
    merged = merged_copy(tower)
    assert [type(module) for module in merged.modules()] == [type(module) for module in original.modules()]
    adapted = tower(pixel_values=pixels).image_embeds
    torch.testing.assert_close(merged(pixel_values=pixels).image_embeds, adapted, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(original(pixel_values=pixels).image_embeds, adapted, atol=1e-2)


def test_a_student_has_them_on_a_processor_unless_torch_compiles_it(tmp_path: Path) -> None:
    start, processor = resolve_model("miniclip"), torch.device("cpu")
    student = new_student(small_run(tmp_path, optim={"precision": "float32"}), start, processor)
    assert layer_kinds(student.tower) == {"PatchProjection": 1, "SiluMlp": 3, "CastLayerNorm": 6}
    compiled = new_student(
        small_run(tmp_path, optim={"compile": True, "precision": "float32"}), start, processor
    )
    assert layer_kinds(compiled.tower) == {}
    assert layer_kinds(start.overhead) == {}
