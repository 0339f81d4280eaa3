"""How long a demo will take on this machine, said before it begins."""

import time

import numpy as np

from sat2cap.demo.plan import DemoPlan
from sat2cap.geo import cell_grid, parse_region
from sat2cap.miniworld import MiniImagery, MiniPhotos, World
from sat2cap.model import Checkpoint
from sat2cap.training import Run, measure_step_seconds

_DRAWINGS_PER_PAIR = 1.8
"""Making a pair in one process: the photo and the patch are drawn, encoded, checked and written."""
_DRAWINGS_PER_TRAINING_PAIR = 1.25
"""Embedding the photo of a pair, and its patch for the linear baseline."""
_DRAWINGS_PER_CELL = 1.15
"""Drawing the pixels of a cell, and embedding them by three models."""
_DRAWINGS_PER_PAGE = 15_000
"""Maps, metrics and the page.

All four were measured as seconds of a full demo divided by the seconds of one drawing (docs/RESULTS.md). They
hold roughly elsewhere: most of this work is drawing, and small networks that take about as long in either
precision. Training is apart from them, since processors differ by far more in the networks' precision.
"""

_DRAWN = 64
_WARN_ABOVE_S = 600.0


def estimate_demo_seconds(plan: DemoPlan, run: Run, start: Checkpoint) -> float:
    """Return about how many seconds a whole demo takes here, from training steps and drawings measured now.

    Both take some seconds. `run` is the plan's training run and `start` the model that it begins with.
    """
    whole_step_s = measure_step_seconds(run.with_token_dropout(0), start)
    step_s = measure_step_seconds(run, start) if run.augment.token_dropout else whole_step_s
    until = run.augment.token_dropout_until
    training_s = (run.optim.steps or 0) * (until * step_s + (1 - until) * whole_step_s)
    cells = sum(_count_cells(place.region, plan.patch.size_m) for place in plan.countries)
    drawings = (
        (plan.train_photos + plan.test_photos) * _DRAWINGS_PER_PAIR / plan.workers
        + plan.train_photos * _DRAWINGS_PER_TRAINING_PAIR
        + cells * _DRAWINGS_PER_CELL
        + _DRAWINGS_PER_PAGE
    )
    return training_s + drawings * measure_drawing_seconds(plan)


def measure_drawing_seconds(plan: DemoPlan) -> float:
    """Return the seconds of drawing one photo and its patch in one process: the fastest of six times."""
    world = World(plan.train_world)
    source, imagery = MiniPhotos(world, _DRAWN), MiniImagery(world)
    records = [photo for photo in source.photos() if photo.lon is not None and photo.lat is not None]
    lon, lat = np.array([(photo.lon, photo.lat) for photo in records]).T

    def draw() -> float:
        begin = time.perf_counter()
        source.images(records)
        imagery.read_patches(lon, lat, plan.patch.size_m, plan.patch.pixels)
        return (time.perf_counter() - begin) / len(records)

    return min(draw() for _ in range(6))


def describe_duration(seconds: float, *, quick: bool) -> str:
    """Return the sentence that the demo begins with; a slow machine is offered ``--quick``."""
    span = f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
    hint = "; a smaller one: --quick" if seconds > _WARN_ABOVE_S and not quick else ""
    return f"the demo will take about {span} on this machine{hint}"


def _count_cells(region: str, cell_m: float) -> int:
    """Return the number of cells of the grid that covers a region."""
    height, width = cell_grid(parse_region(region), cell_m).shape
    return int(height * width)
