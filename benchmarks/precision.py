"""Images per second and accuracy of an overhead tower in every precision that this machine has.

    python benchmarks/precision.py [MODEL] [--threads N] [--batch B] [--rounds R]

Without MODEL: a B/32 of full size with random weights, whose speed is that of the published one. Every round
runs all variants in turn, and the least processor time of a round counts, so that other work on the machine
changes the figures little and their ratios less.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from sat2cap.catalogue import resolve_model
from sat2cap.model import Preprocess
from sat2cap.model.compute import has_int8
from sat2cap.model.conversion import convert_tower, embed_pixels


def build_random_b32() -> tuple[CLIPVisionModelWithProjection, Preprocess]:
    """Return a tower of the architecture of ``openai/clip-vit-base-patch32``, with random weights."""
    torch.manual_seed(0)
    config = CLIPVisionConfig(patch_size=32, projection_dim=512)
    return CLIPVisionModelWithProjection(config).eval(), Preprocess(224)


def make_patches(count: int, size: int) -> np.ndarray:
    """Return images with structure from one pixel to half an image, uint8 `[count, size, size, 3]`."""
    random = np.random.default_rng(0)
    total = np.zeros((count, size, size, 3))
    for cells in (2, 4, 8, size):
        steps = -(-size // cells)
        coarse = random.normal(0, 30, (count, cells, cells, 3))
        total += coarse.repeat(steps, 1).repeat(steps, 2)[:, :size, :size]
    return np.clip(total + 110, 0, 255).astype(np.uint8)


def make_variants(tower: torch.nn.Module, pixels: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Return the computations to compare, by name, the baseline first."""

    def autocast() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            embeddings: Tensor = tower(pixel_values=pixels).image_embeds
        return embeddings.float()

    converted = {"bfloat16": convert_tower(tower, "bfloat16", pixels)}
    if has_int8():
        converted["int8"] = convert_tower(tower, "int8", pixels)
    references = {
        "float32 (transformers)": lambda: embed_pixels(tower, pixels),
        "bfloat16 autocast": autocast,
    }
    return references | {
        name: (lambda network=network: embed_pixels(network, pixels)) for name, network in converted.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.model is None:
        tower, preprocess = build_random_b32()
    else:
        model = resolve_model(arguments.model)
        tower, preprocess = model.overhead, model.overhead_preprocess
    pixels = preprocess.images(make_patches(arguments.batch, preprocess.size))
    with torch.inference_mode():
        runs = make_variants(tower, pixels)
        least, out = dict.fromkeys(runs, float("inf")), {}
        for _ in range(arguments.rounds):
            for name, variant in runs.items():
                began = time.process_time()
                out[name] = variant()
                least[name] = min(least[name], time.process_time() - began)
    baseline = next(iter(runs))
    for name in runs:
        cosine = torch.nn.functional.cosine_similarity(out[name], out[baseline])
        rate = arguments.batch * arguments.threads / least[name]
        print(
            f"{name:24} {rate:8.1f} images/s  {least[baseline] / least[name]:5.2f} x  "
            f"cosine {cosine.min():.5f} least, {cosine.mean():.5f} mean"
        )


if __name__ == "__main__":
    main()
