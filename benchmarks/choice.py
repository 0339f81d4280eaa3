"""Whether the precision that `choose_compute` takes is the fastest of those offered on this machine.

    python benchmarks/choice.py [MODEL] [--threads N] [--batch B] [--rounds R]

Speed of training steps and of embedding, in float32 and in bfloat16, with the networks of MODEL (miniclip if
left out). The precisions take turns in every round and the least processor time of a round counts, so that
other work on the machine changes the ratios little. Exits with 1 if the choice was not the fastest.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from sat2cap.catalogue import resolve_model
from sat2cap.model import Checkpoint, Precision, choose_compute
from sat2cap.training import Run
from sat2cap.training.student import new_student

OFFERED: tuple[Precision, ...] = ("float32", "bfloat16")


def make_training_step(model: Checkpoint, precision: Precision, batch: int) -> Callable[[], None]:
    """Return a function that takes one step of the overhead tower and the Dynamic Encoder."""
    run = Run.model_validate(
        {
            "data": {"pairs": "none"},
            "model": {"init": "none"},
            "optim": {"steps": 1, "precision": precision, "device": "cpu"},
            "output": {"folder": "none"},
        }
    )
    student = new_student(run, model, torch.device("cpu"))
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-5, fused=True)
    pixels, features = torch.randn(batch, 3, model.patch_pixels, model.patch_pixels), torch.randn(batch, 12)

    def take_step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            embeddings = student(pixels, features, torch.ones(batch, 1))
        embeddings.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return take_step


def measure_seconds(steps: dict[Precision, Callable[[], object]], rounds: int) -> dict[Precision, float]:
    """Return the least processor time of a step in each precision; the first round does not count."""
    least = dict.fromkeys(steps, float("inf"))
    for number in range(rounds + 1):
        for precision, step in steps.items():
            start_s = time.process_time()
            step()
            if number:
                least[precision] = min(least[precision], time.process_time() - start_s)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="miniclip")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, batch = resolve_model(arguments.model), arguments.batch
    patches = np.random.default_rng(0).integers(
        0, 256, (batch, model.patch_pixels, model.patch_pixels, 3), dtype=np.uint8
    )
    jobs: dict[str, dict[Precision, Callable[[], object]]] = {
        "training": {precision: make_training_step(model, precision, batch) for precision in OFFERED},
        "embedding": {
            precision: partial(model.embed_overhead, patches, precision=precision) for precision in OFFERED
        },
    }
    chosen = choose_compute(device="cpu")
    flags = [name for name, value in torch.cpu.get_capabilities().items() if value is True]
    print(f"{platform.machine()}: {' '.join(flags)}\nchosen: {chosen}")
    is_fastest = True
    for job, steps in jobs.items():
        seconds = measure_seconds(steps, arguments.rounds)
        for precision, value in seconds.items():
            mark = "  <- chosen" if precision == chosen.precision else ""
            print(f"{job:10} {precision:9} {batch * arguments.threads / value:8.1f} images/s{mark}")
        is_fastest &= min(seconds, key=seconds.__getitem__) == chosen.precision
    sys.exit(0 if is_fastest else "the choice was not the fastest")


if __name__ == "__main__":
    main()
