"""Speed of a tower's passes with the layers of `sat2cap.training.fast_layers`, on the processor.

    python benchmarks/train_layers.py [REPEATS] [OUT.json]

Two image towers of random weights: the miniature CLIP's shape with the 18 tokens that token dropout
keeps, batch 256, and ViT-B/32, batch 16. Reference: transformers' own layers. Each kind of layer is tried
alone, then all of them, in float32 and with autocast to bfloat16; kinds take turns, so that other work on the
machine slows all alike, and the least time of each counts.
"""

import copy
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from sat2cap.files import write_json
from sat2cap.training.fast_layers import (
    CastLayerNorm,
    PatchProjection,
    SiluMlp,
    use_fast_layers,
    use_plain_layers,
)
from sat2cap.training.token_dropout import TokenDropout

KINDS: dict[str, Sequence[type[nn.Module]]] = {
    "transformers": (),
    "patch projection": (PatchProjection,),
    "SiLU": (SiluMlp,),
    "cast layer norm": (CastLayerNorm,),
    "all": (PatchProjection, SiluMlp, CastLayerNorm),
}


def build_tower(sizes: dict[str, int]) -> Any:
    """Return an image tower as it is trained in bfloat16, in plain attention."""
    tower: Any = CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes)).train()
    tower.set_attn_implementation("eager")
    return tower


def with_layers(tower: Any, kinds: Sequence[type[nn.Module]]) -> Any:
    """Return a copy of a tower with the faster layers of some classes alone."""
    changed = copy.deepcopy(tower)
    use_fast_layers(changed)
    for module in list(changed.modules()):
        if isinstance(module, PatchProjection | SiluMlp | CastLayerNorm) and not isinstance(
            module, tuple(kinds)
        ):
            use_plain_layers(module)
    return changed


def time_pass(tower: Any, dropout: TokenDropout, pixels: Tensor, kept: Tensor | None, rounded: bool) -> float:
    """Return the seconds of a forward and a backward pass."""
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=rounded), dropout.keeping(kept):
        tower(pixel_values=pixels).image_embeds.float().square().sum().backward()
    seconds = time.perf_counter() - began
    tower.zero_grad()
    return seconds


def compare(
    name: str, sizes: dict[str, int], batch: int, kept_tokens: int | None, repeats: int
) -> dict[str, float]:
    """Return, and print, the milliseconds of each kind of layers in both precisions."""
    tower, pixels = build_tower(sizes), torch.randn(batch, 3, sizes["image_size"], sizes["image_size"])
    towers = {kind: with_layers(tower, classes) for kind, classes in KINDS.items()}
    dropouts = {kind: TokenDropout(each) for kind, each in towers.items()}
    tokens = dropouts["all"].tokens
    kept = None if kept_tokens is None else torch.rand(batch, tokens).argsort(1)[:, :kept_tokens]
    results: dict[str, float] = {}
    for precision in ("float32", "bfloat16"):
        seconds: dict[str, list[float]] = {kind: [] for kind in towers}
        for _ in range(repeats):
            for kind, each in towers.items():
                seconds[kind].append(time_pass(each, dropouts[kind], pixels, kept, precision == "bfloat16"))
        for kind, values in seconds.items():
            results[f"{name}, {precision}, {kind}"] = 1000 * min(values)
            share = min(values) / min(seconds["transformers"])
            print(
                f"{name}, {precision}, {kind:17s} {1000 * min(values):7.1f} ms  {share:5.2f} of transformers'"
            )
    return results


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    torch.manual_seed(0)
    print(f"{torch.get_num_threads()} threads")
    mini = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 4}
    mini |= {"image_size": 48, "patch_size": 8, "projection_dim": 128}
    results = compare("miniature CLIP", mini, 256, 18, repeats)
    results |= compare(
        "ViT-B/32", {"image_size": 224, "patch_size": 32, "projection_dim": 512}, 16, None, repeats // 3
    )
    if len(sys.argv) > 2:
        write_json(Path(sys.argv[2]), results)


if __name__ == "__main__":
    main()
