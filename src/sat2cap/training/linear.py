"""Method ``linear``: ridge regression from a frozen CLIP's vectors, place and time to vectors of photos.

A photo's embedding is predicted as ``W o + V r(where, when)``: o is the vector of the patch, not normalised,
and r are random features of place and time. Both matrices have a closed form. W becomes part of the image
tower's last layer and V the second layer of a Dynamic Encoder whose first one is random, so the model is one
like any other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.engines import Engine
from sat2cap.errors import RunFileError
from sat2cap.files import canonical_json, digest
from sat2cap.locks import folder_lock, remove_temporary_files
from sat2cap.model import (
    CHECKPOINT_MANIFEST,
    Checkpoint,
    Precision,
    choose_compute,
    load_model,
    make_calibration,
    save_checkpoint,
)
from sat2cap.progress import Progress, announce, silent
from sat2cap.training.data.ground_embeddings import cache_folder, ground_embeddings
from sat2cap.training.data.patches import Pairs
from sat2cap.training.linear_run import LinearRun
from sat2cap.training.output.checkpoint import LIBRARIES, two_way_retrieval
from sat2cap.training.output.resume_state import claim_folder
from sat2cap.training.place_features import (
    ClipFeatures,
    PlaceFeatures,
    PlaceRows,
    linear_dynamic,
    random_features,
)
from sat2cap.training.ridge import build_ridge_problem, dropout_error

Floats = NDArray[np.float32]

_LEAST_PAIRS = 2


@dataclass(frozen=True, eq=False)
class _Split:
    """Regressors and targets of N pairs."""

    places: PlaceRows
    ground: Floats
    """Ground embeddings of unit length: shape (N, D)."""


@dataclass(frozen=True, eq=False)
class _Regressors:
    """How rows become regressors of mean square 1: the scale of vectors, and the random features."""

    scale: float
    """Root mean square of the vectors' numbers."""
    weight: Floats
    bias: Floats
    mean: Floats
    spread: Floats
    """Mean and standard deviation of each random feature: shape (H,)."""
    run: LinearRun

    @classmethod
    def measure(cls, run: LinearRun, places: PlaceRows) -> "_Regressors":
        """Return the regressors, scaled by the pairs that are fitted."""
        hidden = run.model.hidden if run.model.dynamic else 0
        weight, bias = random_features(run.model.encoding, hidden, run.optim.seed)
        ramps = np.maximum(places.encode_features(run.model.encoding) @ weight.T + bias, 0)
        scale = float(np.sqrt((places.vectors.astype(np.float64) ** 2).mean()))
        # a ramp that is flat over all pairs says nothing: its spread is 0, and it is left as it is
        spread = ramps.std(axis=0)
        return cls(scale, weight, bias, ramps.mean(axis=0), np.where(spread > 1e-6, spread, np.inf), run)

    def blocks(self, places: PlaceRows) -> tuple[Floats, Floats]:
        """Return scaled vectors (N, A) and standardised random features (N, H)."""
        ramps = np.maximum(places.encode_features(self.run.model.encoding) @ self.weight.T + self.bias, 0)
        return places.vectors / np.float32(self.scale), (ramps - self.mean) / self.spread


def train_linear(
    run: LinearRun,
    *,
    pairs: Pairs | None = None,
    resolve: Callable[[str], Checkpoint] = load_model,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> Path:
    """Fit a linear model and return the folder of the checkpoint; a finished one is not fitted again.

    `pairs` replaces the pair set at ``run.data.pairs``; `resolve` loads the CLIP that ``run.model.init``
    names; `engine` says where photos are embedded, in this process if None. Raises `RunFileError` if the
    folder holds another run or there are too few pairs, `ModelError` if the CLIP lacks a tower or a
    projection, `JobError` if another process trains in the folder.
    """
    folder = Path(run.output.folder)
    finished = folder / "checkpoint"
    device = None if run.optim.device == "auto" else run.optim.device
    compute = choose_compute(run.optim.precision, device)
    clip = resolve(run.model.init).to(compute.device)
    features = ClipFeatures(clip, compute.precision)
    pairs = _open_pairs(run.data.pairs) if pairs is None else pairs
    with folder_lock(folder, "training folder"):
        _check_pairs(run, pairs)
        identity = digest(canonical_json(run.settings()), pairs.fingerprint, features.identity)
        claim_folder(folder, identity, run.settings())
        remove_temporary_files(folder, ".checkpoint.*", ".run.*.json")
        if (finished / CHECKPOINT_MANIFEST).is_file():
            return finished
        announce(progress, f"embedding in {compute}")
        model, card = _fit_model(run, pairs, clip, features, compute.precision, engine, progress)
        card["training"] |= {"identity": identity, "precision": compute.precision}
        save_checkpoint(replace(model, card=card).to("cpu"), finished)
    return finished


def _fit_model(
    run: LinearRun,
    pairs: Pairs,
    clip: Checkpoint,
    features: PlaceFeatures,
    precision: Precision,
    engine: Engine | None,
    progress: Progress,
) -> tuple[Checkpoint, dict[str, Any]]:
    """Return the fitted, calibrated model and its card."""

    def read(split: str, limit: int | None) -> _Split:
        fallback = Path(run.output.folder) / "cache"
        rows = features.read(pairs, split, limit, cache_folder(pairs, fallback), progress)
        ground = ground_embeddings(
            pairs,
            split,
            clip,
            fallback=fallback,
            precision=precision,
            progress=progress,
            limit=limit,
            engine=engine,
        )
        return _Split(rows, ground.read_all())

    fitted = read(run.data.split, None)
    held_out = read(run.data.validation, run.data.validation_pairs) if run.data.validation_pairs else None
    regressors = _Regressors.measure(run, fitted.places)
    strength, coefficients, errors = _choose_strength(run, regressors, fitted, held_out)
    model, weight = _assemble_model(regressors, coefficients, features)
    metrics: dict[str, float] = {"ridge.strength": strength, **errors}
    if held_out is not None:
        figures, model = _validate(model, weight, held_out)
        metrics |= figures
    return model, _build_card(run, pairs, clip, fitted.places, metrics)


def _choose_strength(
    run: LinearRun, regressors: _Regressors, fitted: _Split, held_out: _Split | None
) -> tuple[float, NDArray[np.float64], dict[str, float]]:
    """Return the strength with the least error on the held-out pairs, its coefficients, and that error."""
    strengths, dropout = run.ridge.strengths, run.model.dropout
    problem = build_ridge_problem(*regressors.blocks(fitted.places), fitted.ground, dropout)
    solutions = problem.solve_all(strengths)
    if held_out is None:
        return strengths[0], solutions[0], {}
    blocks = regressors.blocks(held_out.places)
    errors = [dropout_error(solution, *blocks, held_out.ground, dropout) for solution in solutions]
    best = int(np.argmin(errors))
    return strengths[best], solutions[best], {"validation.squared_error": errors[best]}


def _assemble_model(
    regressors: _Regressors, coefficients: NDArray[np.float64], features: PlaceFeatures
) -> tuple[Checkpoint, Floats]:
    """Return the model with these coefficients, and W (D, A); the scaling of the regressors is undone."""
    split = len(coefficients) - len(regressors.bias)
    weight = (coefficients[:split].T / regressors.scale).astype(np.float32)
    model = replace(features.project(weight), encoding=regressors.run.model.encoding)
    if not regressors.run.model.dynamic:
        return model, weight
    ramps = coefficients[split:] / regressors.spread[:, None]
    dynamic = linear_dynamic(
        regressors.weight,
        regressors.bias,
        ramps.T.astype(np.float32),
        -(regressors.mean @ ramps).astype(np.float32),
    )
    return replace(model, dynamic=dynamic), weight


def _validate(model: Checkpoint, weight: Floats, held_out: _Split) -> tuple[dict[str, float], Checkpoint]:
    """Return retrieval metrics among the held-out pairs, and the model calibrated by them."""
    overhead, features = held_out.places.vectors @ weight.T, np.zeros((len(held_out.ground), 0), np.float32)
    conditioned = overhead
    if model.dynamic is not None:
        features = held_out.places.encode_features(model.encoding)
        conditioned = overhead + model.dynamic_from_features(features)
    ranks = two_way_retrieval(conditioned, held_out.ground)
    calibration = make_calibration(held_out.ground, overhead, features)
    return {f"validation.{name}": value for name, value in ranks.items()}, replace(
        model, calibration=calibration
    )


def _build_card(
    run: LinearRun, pairs: Pairs, clip: Checkpoint, places: PlaceRows, metrics: dict[str, float]
) -> dict[str, Any]:
    """Return the card of a linear model: provenance and metrics as plain JSON values."""
    years = places.moments[:, 2]
    return {
        "name": run.output.name or Path(run.output.folder).name,
        "method": run.method,
        "source": f"ridge regression from {clip.card.get('name', run.model.init)}",
        "licence": clip.card.get("licence", "unknown"),
        "training": {
            "run": run.settings(),
            "pairs": {"fingerprint": pairs.fingerprint, "count": pairs.count(run.data.split)},
            "init": {"identity": clip.identity, "name": clip.card.get("name", run.model.init)},
            "years": [int(years.min()), int(years.max())],
            "steps": 1,
            "samples": pairs.count(run.data.split),
            "libraries": {name: version(name) for name in (*LIBRARIES[:2], "numpy")},
        },
        "metrics": metrics,
    }


def _check_pairs(run: LinearRun, pairs: Pairs) -> None:
    """Raise `RunFileError` if a split that is needed has too few pairs."""
    needed = {run.data.split: _LEAST_PAIRS}
    if run.data.validation_pairs:
        needed[run.data.validation] = _LEAST_PAIRS
    for split, least in needed.items():
        if pairs.count(split) < least:
            raise RunFileError(
                f"split {split} of {pairs.name} has {pairs.count(split)} pairs, fewer than {least}: "
                "build more pairs, or name another split"
            )


def _open_pairs(path: str) -> Pairs:
    """Open the pair set that a run file names."""
    from sat2cap.pairs import open_pairs

    return open_pairs(path)
