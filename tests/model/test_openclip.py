"""open_clip's files against its architecture, written down here in torch's own modules."""

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_model import tiny_tokenizer
from torch import Tensor, nn

from sat2cap.errors import ModelError
from sat2cap.model.formats.folder import save_checkpoint
from sat2cap.model.load import load_model

SIZE, PATCH, WIDTH, TEXT_WIDTH, DIM, TOKENS = 32, 8, 128, 64, 24, 16


class Block(nn.Module):
    """A residual block as open_clip builds it: queries, keys and values in one matrix."""

    def __init__(self, width: int, heads: int, act: nn.Module) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        parts = [("c_fc", nn.Linear(width, 4 * width)), ("act", act), ("c_proj", nn.Linear(4 * width, width))]
        self.mlp = nn.Sequential(OrderedDict(parts))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class QuickGelu(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


def transformer(width: int, heads: int, act: nn.Module) -> nn.Module:
    made = nn.Module()
    made.resblocks = nn.ModuleList(Block(width, heads, act) for _ in range(2))
    return made


class OpenClip(nn.Module):
    """Both towers, with open_clip's names for every weight."""

    def __init__(self, words: int, act: nn.Module) -> None:
        super().__init__()
        self.visual = nn.Module()
        self.visual.conv1 = nn.Conv2d(3, WIDTH, PATCH, PATCH, bias=False)
        self.visual.class_embedding = nn.Parameter(torch.randn(WIDTH))
        self.visual.positional_embedding = nn.Parameter(torch.randn((SIZE // PATCH) ** 2 + 1, WIDTH))
        self.visual.ln_pre, self.visual.ln_post = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.visual.transformer = transformer(WIDTH, WIDTH // 64, act)
        self.visual.proj = nn.Parameter(torch.randn(WIDTH, DIM))
        self.token_embedding = nn.Embedding(words, TEXT_WIDTH)
        self.positional_embedding = nn.Parameter(torch.randn(TOKENS, TEXT_WIDTH))
        self.transformer = transformer(TEXT_WIDTH, 2, act)
        self.ln_final = nn.LayerNorm(TEXT_WIDTH)
        self.text_projection = nn.Parameter(torch.randn(TEXT_WIDTH, DIM))
        self.logit_scale = nn.Parameter(torch.tensor(3.0))

    def encode_image(self, pixels: Tensor) -> Tensor:
        x = self.visual.conv1(pixels).flatten(2).transpose(1, 2)
        first = self.visual.class_embedding.expand(len(x), 1, -1)
        x = self.visual.ln_pre(torch.cat([first, x], 1) + self.visual.positional_embedding)
        for block in self.visual.transformer.resblocks:
            x = block(x, None)
        return self.visual.ln_post(x[:, 0]) @ self.visual.proj

    def encode_text(self, ids: Tensor) -> Tensor:
        count = ids.shape[1]
        x = self.token_embedding(ids) + self.positional_embedding[:count]
        mask = torch.full((count, count), float("-inf")).triu(1)
        for block in self.transformer.resblocks:
            x = block(x, mask)
        return self.ln_final(x)[torch.arange(len(ids)), ids.argmax(-1)] @ self.text_projection


def saved(folder: Path, quick: bool, **changes: Any) -> OpenClip:
    """A folder as open_clip pushes it to the hub."""
    words = len(tiny_tokenizer(folder))
    torch.manual_seed(0)
    model = OpenClip(words, QuickGelu() if quick else nn.GELU()).eval()
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    image = {"image_size": SIZE, "layers": 2, "width": WIDTH, "patch_size": PATCH}
    text = {
        "context_length": TOKENS,
        "vocab_size": words,
        "width": TEXT_WIDTH,
        "heads": 2,
        "layers": 2,
    }
    cfg = {"embed_dim": DIM, "vision_cfg": {**image, **changes}, "text_cfg": text, "quick_gelu": quick}
    seen = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7], "interpolation": "bicubic"}
    config = {"model_cfg": cfg, "preprocess_cfg": {**seen, "resize_mode": "shortest"}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    ends = {"unk_token": "<|endoftext|>", "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer", **ends}))
    # the config.json of repositories that timm keeps, which is not transformers'
    (folder / "config.json").write_text(json.dumps({"architecture": "vit_base_patch32_clip_224"}))
    return model


@pytest.mark.parametrize("quick", [True, False])
def test_an_open_clip_folder_gives_what_open_clip_computes(quick: bool, tmp_path: Path) -> None:
    theirs = saved(tmp_path / "oc", quick)
    model = load_model(tmp_path / "oc")
    patches = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    pixels = (torch.from_numpy(patches).float() / 255 - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor(
        [0.5, 0.6, 0.7]
    )
    texts = ["a busy street", "snow"]
    with torch.no_grad():
        images = theirs.encode_image(pixels.permute(0, 3, 1, 2)).numpy()
        ids, _ = model.text.tokenize(texts)
        words = nn.functional.normalize(theirs.encode_text(ids), dim=-1).numpy()
    np.testing.assert_allclose(model.embed_overhead(patches), images, atol=2e-4)
    np.testing.assert_allclose(model.embed_text(texts), words, atol=1e-5)
    assert model.logit_scale == pytest.approx(np.exp(3.0), rel=1e-6)
    assert (model.dim, model.card["kind"]) == (DIM, "open_clip")
    again = load_model(save_checkpoint(model, tmp_path / "ours"))
    assert again.identity == model.identity


def test_text_weights_may_lie_below_a_name_of_their_own(tmp_path: Path) -> None:
    theirs = saved(tmp_path / "oc", quick=True)
    before = load_model(tmp_path / "oc").identity
    own = ("token_embedding", "positional_embedding", "transformer.", "ln_final", "text_projection")
    weights = {
        f"text.{name}" if name.startswith(own) else name: tensor.detach().contiguous()
        for name, tensor in theirs.state_dict().items()
    }
    assert "text.ln_final.weight" in weights
    save_file(weights, tmp_path / "oc" / "open_clip_model.safetensors")
    assert load_model(tmp_path / "oc").identity == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timm_model_name": "vit_base_patch16_siglip_224"}, "such as google/siglip-base-patch16-224"),
        ({"attentional_pool": True}, r"another architecture than CLIP's \(attentional_pool\)"),
        ({"layers": [3, 4, 6, 3]}, "no plain image transformer"),
    ],
)
def test_other_architectures_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    saved(tmp_path / "oc", quick=True, **changes)
    with pytest.raises(ModelError, match=message) as error:
        load_model(tmp_path / "oc")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("tower", "field"), [("vision_cfg", "width"), ("text_cfg", "heads")])
def test_a_config_that_says_too_little_is_refused(tower: str, field: str, tmp_path: Path) -> None:
    saved(tmp_path / "oc", quick=True)
    path = tmp_path / "oc" / "open_clip_config.json"
    config = json.loads(path.read_text())
    del config["model_cfg"][tower][field]
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="no plain image transformer"):
        load_model(tmp_path / "oc")


def test_pickled_weights_and_missing_ones_are_refused(tmp_path: Path) -> None:
    theirs = saved(tmp_path / "oc", quick=True)
    weights = {n: t.detach().contiguous() for n, t in theirs.state_dict().items() if n != "visual.proj"}
    save_file(weights, tmp_path / "oc" / "open_clip_model.safetensors")
    with pytest.raises(ModelError, match=r"lacks 1 weights .* visual_projection"):
        load_model(tmp_path / "oc")
    (tmp_path / "oc" / "open_clip_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no open_clip_model\.safetensors"):
        load_model(tmp_path / "oc")
