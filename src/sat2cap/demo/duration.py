"""How long a demo will take on this machine, said before it begins."""

from sat2cap.demo.plan import DemoPlan
from sat2cap.geo import cell_grid, parse_region
from sat2cap.model import Checkpoint
from sat2cap.training import Run, measure_step_seconds

_STEPS_PER_PHOTO = 0.0073
"""Making a pair and embedding its photo, in training steps of 256 patches with all their tokens."""
_STEPS_PER_LINEAR_PATCH = 0.0045
"""Embedding a training patch for the linear baseline, whose fit takes little more."""
_STEPS_PER_CELL = 0.0073
"""Drawing the pixels of a cell, and embedding them by three models."""
_STEPS_PER_PAGE = 90
"""Maps, metrics and the page.

All four were measured as seconds of a full demo divided by its seconds per training step, on two cores with
AVX2 only (docs/RESULTS.md), that of the
baseline in a run of its own. They hold roughly elsewhere, since all of it is the processor's work.
"""

_REFERENCE_BATCH = 256
_WARN_ABOVE_S = 600.0


def estimate_demo_seconds(plan: DemoPlan, run: Run, start: Checkpoint) -> float:
    """Return about how many seconds a whole demo takes here, from training steps that are measured now.

    The steps take some seconds. `run` is the plan's training run and `start` the model that it begins with.
    """
    whole_step_s = measure_step_seconds(run.with_token_dropout(0), start)
    step_s = measure_step_seconds(run, start) if run.augment.token_dropout else whole_step_s
    until = run.augment.token_dropout_until
    training_s = (run.optim.steps or 0) * (until * step_s + (1 - until) * whole_step_s)
    reference_step_s = whole_step_s * _REFERENCE_BATCH / run.optim.batch
    photos = plan.train_photos + plan.test_photos
    cells = sum(_count_cells(place.region, plan.patch.size_m) for place in plan.countries)
    other_steps = (
        photos * _STEPS_PER_PHOTO
        + plan.train_photos * _STEPS_PER_LINEAR_PATCH
        + cells * _STEPS_PER_CELL
        + _STEPS_PER_PAGE
    )
    return training_s + other_steps * reference_step_s


def describe_duration(seconds: float, *, quick: bool) -> str:
    """Return the sentence that the demo begins with; a slow machine is offered ``--quick``."""
    span = f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
    hint = "; a smaller one: --quick" if seconds > _WARN_ABOVE_S and not quick else ""
    return f"the demo will take about {span} on this machine{hint}"


def _count_cells(region: str, cell_m: float) -> int:
    """Return the number of cells of the grid that covers a region."""
    height, width = cell_grid(parse_region(region), cell_m).shape
    return int(height * width)
