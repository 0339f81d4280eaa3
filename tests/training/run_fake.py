"""Training on the fake pairs in processes of their own, to be killed or to share batches."""

import os
from multiprocessing.process import BaseProcess
from pathlib import Path

import forked
from fake_pairs import FakePairs, small_run

from sat2cap.training.loop import train

Sections = dict[str, dict[str, object]]


def start(
    root: Path, out: str, sections: Sections, *, devices: int = 1, rank: int = 0, port: int = 0
) -> BaseProcess:
    """Start training to ``root/out``, as one of `devices` processes that meet at `port`."""
    return forked.start(work, root, out, sections, devices, rank, port)


def work(root: Path, out: str, sections: Sections, devices: int, rank: int, port: int) -> None:
    """What such a process does."""
    if devices > 1:  # as a launcher would set them
        os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    train(small_run(root / out, **sections), pairs=FakePairs(root / "pairs", {"train": 50, "val": 12}))
