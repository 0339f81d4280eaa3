"""Train on the fake pairs in a process of its own, to be killed: python run_fake.py ROOT OUT [DEVICES]."""

import sys
from pathlib import Path

import torch
from fake_pairs import FakePairs, small_run

from sat2cap.train.loop import train

if __name__ == "__main__":
    root, out = Path(sys.argv[1]), sys.argv[2]
    devices = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    torch.set_num_threads(1)
    run = small_run(
        root / out,
        data={"validation_pairs": 8},
        optim={"steps": 60, "precision": "float32" if devices > 1 else "bfloat16", "devices": devices},
        augment={"kind": "none" if devices > 1 else "light"},
        output={"checkpoint_every": 7},
    )
    print(train(run, pairs=FakePairs(root / "pairs", {"train": 50, "val": 8})))
