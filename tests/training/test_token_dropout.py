"""Token dropout: tokens left out are not seen, kept ones are, and whole images are computed as before."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_pairs import FakePairs, log_of, small_run
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from sat2cap.errors import RunFileError
from sat2cap.training.data.sampler import kept_tokens
from sat2cap.training.loop import train
from sat2cap.training.token_dropout import TokenDropout

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 24,
    "patch_size": 8,
}


def clip_tower() -> nn.Module:
    return CLIPVisionModelWithProjection(CLIPVisionConfig(projection_dim=8, **SIZES)).eval()


def siglip_tower() -> nn.Module:
    return SiglipVisionModel(SiglipVisionConfig(**SIZES)).eval()


def embed(tower: nn.Module, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        output = tower(pixel_values=pixels)
    embeds: Tensor = output.image_embeds if "image_embeds" in output else output.pooler_output
    return embeds


def paint_square(pixels: Tensor, token: int) -> Tensor:
    """Return the pixels with the square of one of the nine tokens changed, in all images."""
    row, column = divmod(token, 3)
    painted = pixels.clone()
    painted[:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 1
    return painted


@pytest.mark.parametrize("make_tower", [clip_tower, siglip_tower])
def test_only_kept_tokens_are_seen(make_tower: Any) -> None:
    torch.manual_seed(0)
    tower, pixels = make_tower(), torch.randn(2, 3, 24, 24)
    whole = embed(tower, pixels)
    dropout = TokenDropout(tower)
    assert dropout.tokens == 9
    assert torch.equal(embed(tower, pixels), whole)  # nothing is dropped unless asked for
    kept = torch.tensor([[0, 4, 7], [8, 4, 1]])
    with dropout.keeping(kept):
        part = embed(tower, pixels)
        assert not torch.allclose(part, whole, atol=1e-3)
        for token in range(9):
            change = (embed(tower, paint_square(pixels, token)) - part).abs().amax(dim=1) > 1e-4
            assert change.tolist() == (kept == token).any(dim=1).tolist()
    assert torch.equal(embed(tower, pixels), whole)
    with dropout.keeping(torch.arange(9).flip(0).expand(2, -1)):  # all tokens, in any order
        torch.testing.assert_close(embed(tower, pixels), whole, rtol=0, atol=1e-5)


def test_copies_of_a_tower_compute_whole_images() -> None:
    tower, pixels = clip_tower(), torch.randn(1, 3, 24, 24)
    whole = embed(tower, pixels)
    dropout = TokenDropout(tower)
    with dropout.keeping(torch.tensor([[2]])):
        embed(tower, pixels)
    assert torch.equal(embed(copy.deepcopy(tower), pixels), whole)


def test_kept_tokens_differ_by_image_and_step_and_the_last_steps_see_all() -> None:
    run = small_run(Path("out"), augment={"token_dropout": 0.5, "token_dropout_until": 0.75})
    steps = [kept_tokens(run, step, 8, 36) for step in range(8)]
    assert [step is None for step in steps] == [False] * 6 + [True] * 2
    first, second = steps[0], steps[1]
    assert first is not None
    assert second is not None
    assert first.shape == (run.optim.batch, 18)
    assert all(len(set(row)) == 18 and set(row) <= set(range(36)) for row in first.tolist())
    assert first[0].tolist() != first[1].tolist() != second[1].tolist()
    again = kept_tokens(run, 0, 8, 36)
    assert again is not None
    assert torch.equal(again, first)
    counts = torch.bincount(torch.cat([step for step in steps if step is not None]).flatten(), minlength=36)
    assert counts.min() > 0  # every token is kept at times
    few = small_run(Path("out"), augment={"token_dropout": 0.99})
    smallest = kept_tokens(few, 0, 8, 36)
    assert smallest is not None
    assert smallest.shape == (run.optim.batch, 1)
    assert kept_tokens(small_run(Path("out")), 0, 8, 36) is None


def test_a_run_drops_tokens_and_micro_batches_drop_the_same(root: Path, pairs: FakePairs) -> None:
    losses = []
    for name, share, micro_batch in (("whole", 0.0, None), ("half", 0.5, None), ("parts", 0.5, 3)):
        run = small_run(
            root / name,
            augment={"token_dropout": share, "token_dropout_until": 0.5},
            optim={"steps": 4, "micro_batch": micro_batch, "precision": "float32"},
        )
        train(run, pairs=pairs)
        losses.append([record["loss"] for record in log_of(root / name)])
    whole, half, parts = losses
    assert whole[0] != pytest.approx(half[0], rel=1e-6)
    assert parts == pytest.approx(half, rel=1e-5)


def test_a_tower_without_tokens_is_refused() -> None:
    with pytest.raises(RunFileError, match=r"augment\.token_dropout needs a vision transformer"):
        TokenDropout(nn.Sequential(nn.Conv2d(3, 4, 8)))
