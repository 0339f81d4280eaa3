"""The recorder of a run: its log, held-out metrics, resume states and published models."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sat2cap.model import Checkpoint, save_checkpoint
from sat2cap.training.output.checkpoint import Validation
from sat2cap.training.output.loggers import Logger
from sat2cap.training.output.resume_state import LOG_FILE, Log, mean_loss, remove_states, save_state
from sat2cap.training.run import Run
from sat2cap.training.student import Learner

SMOOTHED = 100
"""Steps that the loss in the card is the mean of."""

BEST = ("validation.overhead2ground.r10", "validation.ground2overhead.r10")
"""The best model has the highest sum of these."""


@dataclass(eq=False)
class RunRecorder:
    """Records a run: call `after` after each step and `finish` once at the end."""

    run: Run
    learner: Learner
    model: Callable[[], Checkpoint]
    """Returns the model as trained so far."""
    card: Callable[[int, dict[str, float]], dict[str, Any]]
    """Returns the card of a model from its number of steps and its metrics."""
    validation: Validation | None
    log: Log
    loggers: list[Logger]
    best: float
    """Highest so far; part of the state, so that a run that goes on keeps the same models."""

    @property
    def _folder(self) -> Path:
        return Path(self.run.output.folder)

    def after(self, step: int, record: dict[str, Any], *, last: bool) -> None:
        """Write the record of a step, counted from 1; validate and save where they are due."""
        every = self.run.output.validate_every
        if every and step % every == 0 and self.validation is not None:
            record = record | self._validate(step)
        self.log.write({"step": step, **record})
        for logger in self.loggers:
            logger.write({"step": step, **record})
        if step % self.run.output.checkpoint_every == 0 or last:
            self.learner.check_finite(step)
            self.log.sync(step, self.run.optim.batch)  # before the state, which needs its lines
            state = {**self.learner.state(), "best": self.best}
            save_state(self._folder / "state", step, state, self.run.output.keep)

    def _validate(self, step: int) -> dict[str, float]:
        """Return the current model's held-out metrics; publish it as ``best`` if none was better."""
        assert self.validation is not None
        model = self.model()
        figures, calibration = self.validation.judge(self.run, model)
        score = sum(figures[name] for name in BEST)
        if score > self.best:
            self.best = score
            self._publish(replace(model, calibration=calibration), "best", step, figures)
        return figures

    def finish(self, step: int) -> None:
        """Publish the model after the last step, then forget the states."""
        self.log.close()
        for logger in self.loggers:
            logger.close()
        model = self.model()
        metrics = {"loss": mean_loss(self._folder / LOG_FILE, SMOOTHED)}
        if self.validation is not None:
            figures, calibration = self.validation.judge(self.run, model)
            metrics |= figures
            model = replace(model, calibration=calibration)
        self._publish(model, "checkpoint", step, metrics)
        remove_states(self._folder / "state")

    def _publish(self, model: Checkpoint, name: str, step: int, metrics: dict[str, float]) -> None:
        save_checkpoint(replace(model, card=self.card(step, metrics)), self._folder / name)
