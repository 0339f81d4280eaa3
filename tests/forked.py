"""Processes of their own, for tests that kill them: a server that has imported the libraries forks each.

Importing torch takes seconds of the processor, forking a process that has imported it none.
"""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["sat2cap.api.embedding", "sat2cap.training.loop", "sat2cap.cli.app", "xarray"]
)


def start(work: Callable[..., object], *arguments: object) -> BaseProcess:
    """Start a process that calls a function of a module; ``CONTEXT.Pipe()`` makes connections to it."""
    process = CONTEXT.Process(target=_call, args=(work, *arguments))
    process.start()
    return process


def _call(work: Callable[..., object], *arguments: object) -> None:
    import torch

    torch.set_num_threads(1)
    os.fsync = lambda descriptor: None  # as in the process of the tests
    work(*arguments)
