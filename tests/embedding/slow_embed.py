"""Embeds a made-up region, also slowly and saying how far it is, so that a test can kill it."""

from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from small_model import Ground, grid, model

from sat2cap.embedding import embed_region

SHAPE = (70, 90)
HOLES = (485_000, 5_730_000, 495_000, 5_740_000)


def wanted() -> np.ndarray:
    mask = np.ones(SHAPE, bool)
    mask[:20, :30] = False
    mask[5, 7] = True
    return mask


def run(out: Path, pause_s: float = 0.0, progress=lambda *_: None):
    imagery = Ground(holes=HOLES, pause_s=pause_s)
    return embed_region(grid(*SHAPE), wanted(), imagery, model(), out, progress=progress)


def run_slowly(out: Path, reports: Connection) -> None:
    """Embed the region, and send after each chunk how many cells are done, and of how many."""
    run(out, 0.15, lambda stage, done, total: reports.send((done, total)))
