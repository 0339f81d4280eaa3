"""Run files of method ``linear``: everything that a ridge regression depends on."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from sat2cap.config import Section, StoredAddress, load
from sat2cap.errors import RunFileError
from sat2cap.model import Encoding, PrecisionChoice


class LinearData(Section):
    """Section ``[data]``: the pairs that are fitted, and those that choose the ridge strength."""

    pairs: StoredAddress = Field(min_length=1)
    """Folder or address of a pair set."""
    split: str = "train"
    """Split that is fitted."""
    validation: str = "val"
    """Split that chooses the ridge strength, gives the metrics in the card, and calibrates `contrast`."""
    validation_pairs: int = Field(default=2000, ge=0)
    """Number of validation pairs; 0 for none, which needs a single ``ridge.strengths``."""


class LinearModel(Section):
    """Section ``[model]``: the frozen CLIP, and the random features of place and time."""

    init: str = Field(min_length=1)
    """CLIP model that embeds patches, photos and texts: a folder, a hub name, or a name of the catalogue."""
    encoding: Encoding = "cyclic"
    """Encoding of place and time, whose sines and cosines the random features are made of."""
    dynamic: bool = True
    """Whether place and time are regressors too."""
    hidden: int = Field(default=256, ge=1)
    """Number of random features of place and time."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of pairs that count as if nothing were known of their place and time, in [0, 1).

    The model is the exact minimum for this share, so that it is of use without a date, too.
    """


class Ridge(Section):
    """Section ``[ridge]``: how strongly coefficients are drawn to zero."""

    strengths: tuple[float, ...] = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    """Ridge strengths to choose from, relative to the mean square of a regressor.

    The one with the least squared error on the validation pairs is used.
    """

    @field_validator("strengths")
    @classmethod
    def _check_strengths(cls, strengths: tuple[float, ...]) -> tuple[float, ...]:
        if not strengths or not all(0 < strength < float("inf") for strength in strengths):
            raise ValueError(f"strengths {list(strengths)} must be one or more finite numbers above 0")
        return strengths


class LinearOptim(Section):
    """Section ``[optim]``: the frozen networks' precision, and the seed."""

    precision: PrecisionChoice = "auto"
    """Precision of the frozen networks; ``auto`` takes the one that this machine is fastest in."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Device of the networks; ``auto`` takes a GPU if there is one."""
    seed: int = Field(default=0, ge=0)
    """Seed of the random features."""


class LinearOutput(Section):
    """Section ``[output]``: where results are written; it is not part of the run's identity."""

    folder: str = Field(min_length=1)
    """Folder of the run, which is created if needed."""
    name: str = ""
    """Name of the model in its card; the folder's name if left out."""


class LinearRun(Section):
    """Run file of method ``linear``."""

    method: Literal["linear"]
    data: LinearData
    model: LinearModel
    ridge: Ridge = Ridge()
    optim: LinearOptim = LinearOptim()
    output: LinearOutput

    @model_validator(mode="after")
    def _check_choice(self) -> "LinearRun":
        if len(self.ridge.strengths) > 1 and not self.data.validation_pairs:
            raise ValueError("a choice of ridge.strengths needs data.validation_pairs above 0")
        return self

    def settings(self) -> dict[str, Any]:
        """Return the settings that decide the result, as plain JSON values: all but ``[output]``.

        They are part of the card of the checkpoint.
        """
        return self.model_dump(mode="json", exclude={"output"})


def load_linear_run(path: Path | str) -> LinearRun:
    """Return the checked run file of method ``linear`` at `path`.

    Raises `RunFileError`, which lists every problem at once, in one line.
    """
    return load(path, LinearRun, RunFileError, kind="run file")
