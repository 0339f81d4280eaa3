"""Random captioners small enough for tests: ours, and files laid out as CLIPCap's authors publish theirs."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, PreTrainedTokenizerFast

from sat2cap.model.captioner import Captioner
from sat2cap.model.networks.captioner import CaptionNetwork

WORDS = ["<end>", ".", "a", "beach", "snow", "in", "winter", "with", "boats", "the", "sea", "house"]


def words() -> PreTrainedTokenizerFast:
    """A tokenizer of whole words, GPT-2's in miniature."""
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", unk_token="<end>")


def tiny_captioner(dim: int = 32, tokenizer: Any = None, seed: int = 0) -> Captioner:
    """A random captioner for embeddings of `dim` numbers."""
    torch.manual_seed(seed)
    tokenizer = tokenizer or words()
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=40,
        n_embd=16,
        n_layer=2,
        n_head=2,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    network = CaptionNetwork(dim, 10, config).eval()
    for weight in network.parameters():
        weight.data.normal_(0, 0.5)
    network.gpt.transformer.wte.weight.data[tokenizer.eos_token_id] *= 0.3  # seldom at a loss for words
    return Captioner(network, tokenizer, unit=True, card={"name": "tiny"})


def published(path: Path, *, layers: int = 12, width: int = 64, vocabulary: int = len(WORDS)) -> Path:
    """A random file of weights with every key of CLIPCap's conceptual_weights.pt, at another size.

    Old versions of GPT-2's code kept masks among the weights; the published files still hold them.
    """
    torch.manual_seed(0)
    values: dict[str, Any] = {
        "clip_project.model.0.weight": torch.randn(5 * width, 512),
        "clip_project.model.0.bias": torch.randn(5 * width),
        "clip_project.model.2.weight": torch.randn(10 * width, 5 * width),
        "clip_project.model.2.bias": torch.randn(10 * width),
        "gpt.transformer.wte.weight": torch.randn(vocabulary, width),
        "gpt.transformer.wpe.weight": torch.randn(96, width),
        "gpt.transformer.ln_f.weight": torch.randn(width),
        "gpt.transformer.ln_f.bias": torch.randn(width),
    }
    shapes = {
        "ln_1": (width,),
        "attn.c_attn": (width, 3 * width),
        "attn.c_proj": (width, width),
        "ln_2": (width,),
        "mlp.c_fc": (width, 4 * width),
        "mlp.c_proj": (4 * width, width),
    }
    for layer in range(layers):
        base = f"gpt.transformer.h.{layer}"
        values[f"{base}.attn.bias"] = torch.tril(torch.ones(96, 96, dtype=torch.uint8))[None, None]
        values[f"{base}.attn.masked_bias"] = torch.tensor(-1e4)
        for name, shape in shapes.items():
            values[f"{base}.{name}.weight"] = 0.2 * torch.randn(*shape)
            values[f"{base}.{name}.bias"] = 0.2 * torch.randn(shape[-1])
    values["gpt.lm_head.weight"] = values["gpt.transformer.wte.weight"]
    torch.save(values, path)
    return path
