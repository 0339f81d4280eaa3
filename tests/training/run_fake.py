"""Training on the fake pairs in processes of their own, to be killed or to share batches."""

import multiprocessing
import os
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from fake_pairs import FakePairs, small_run

from sat2cap.training.loop import train

# A server that has imported everything forks each process in no time; importing takes seconds.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["run_fake"])


Sections = dict[str, dict[str, object]]


def start(
    root: Path, out: str, sections: Sections, *, devices: int = 1, rank: int = 0, port: int = 0
) -> BaseProcess:
    """Start training to ``root/out``, as one of `devices` processes that meet at `port`."""
    folders = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, folders))  # the server inherits no sys.path
    process = CONTEXT.Process(target=work, args=(root, out, sections, devices, rank, port))
    process.start()
    return process


def work(root: Path, out: str, sections: Sections, devices: int, rank: int, port: int) -> None:
    """What such a process does."""
    torch.set_num_threads(1)
    os.fsync = lambda descriptor: None  # as in the process of the tests
    if devices > 1:  # as a launcher would set them
        os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    train(small_run(root / out, **sections), pairs=FakePairs(root / "pairs", {"train": 50, "val": 12}))
