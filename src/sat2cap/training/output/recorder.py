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

LOSS_STEPS = 100
"""Number of last steps whose mean loss is written to the card."""

BEST_METRICS = ("validation.overhead2ground.r10", "validation.ground2overhead.r10")
"""Metrics whose sum is highest for the best model."""


@dataclass(eq=False)
class RunRecorder:
    """Records a run: call `record_step` after each step and `finish_run` once at the end."""

    run: Run
    learner: Learner
    current_model: Callable[[], Checkpoint]
    """Returns the model as trained so far."""
    build_card: Callable[[int, dict[str, float]], dict[str, Any]]
    """Returns the card of a model from its number of steps and its metrics."""
    validation: Validation | None
    log: Log
    loggers: list[Logger]
    best: float
    """Highest sum of `BEST_METRICS` so far.

    It is saved in the resume state, so that a resumed run publishes the same models.
    """

    @property
    def _output_folder(self) -> Path:
        return Path(self.run.output.folder)

    def record_step(self, step: int, record: dict[str, Any], *, last: bool) -> None:
        """Write the record of a step, counted from 1; validate and save where they are due."""
        every = self.run.output.validate_every
        if every and step % every == 0 and self.validation is not None:
            record = record | self._validate_model(step)
        self.log.write({"step": step, **record})
        for logger in self.loggers:
            logger.write({"step": step, **record})
        if step % self.run.output.checkpoint_every == 0 or last:
            self.learner.check_finite(step)
            self.log.sync_to_disk(step, self.run.optim.batch)  # before the state, which needs its lines
            state = {**self.learner.state_dict(), "best": self.best}
            save_state(self._output_folder / "state", step, state, self.run.output.keep)

    def _validate_model(self, step: int) -> dict[str, float]:
        """Return the current model's held-out metrics; publish it as ``best`` if none was better."""
        assert self.validation is not None
        model = self.current_model()
        figures, calibration = self.validation.evaluate_model(self.run, model)
        score = sum(figures[name] for name in BEST_METRICS)
        if score > self.best:
            self.best = score
            self._publish_model(replace(model, calibration=calibration), "best", step, figures)
        return figures

    def finish_run(self, step: int) -> None:
        """Publish the model after the last step, then remove the resume states."""
        self.log.close()
        for logger in self.loggers:
            logger.close()
        model = self.current_model()
        metrics = {"loss": mean_loss(self._output_folder / LOG_FILE, LOSS_STEPS)}
        if self.validation is not None:
            figures, calibration = self.validation.evaluate_model(self.run, model)
            metrics |= figures
            model = replace(model, calibration=calibration)
        self._publish_model(model, "checkpoint", step, metrics)
        remove_states(self._output_folder / "state")

    def _publish_model(self, model: Checkpoint, name: str, step: int, metrics: dict[str, float]) -> None:
        save_checkpoint(replace(model, card=self.build_card(step, metrics)), self._output_folder / name)
