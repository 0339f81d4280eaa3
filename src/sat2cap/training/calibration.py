"""Calibration of a model that was trained elsewhere, by pairs that it was not trained on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import ModelError, PairsError
from sat2cap.model import MAX_CALIBRATION_PHOTOS, Checkpoint, Precision, make_calibration
from sat2cap.progress import Progress, silent
from sat2cap.training.data.ground_embeddings import ground_embeddings
from sat2cap.training.data.patches import Pairs, TrainingSet, read_training_set

Floats = NDArray[np.float32]


def calibrate(
    model: Checkpoint,
    pairs: Pairs,
    split: str = "val",
    *,
    cache: Path,
    precision: Precision = "float32",
    progress: Progress = silent,
) -> Checkpoint:
    """Return the model calibrated by up to `MAX_CALIBRATION_PHOTOS` pairs of a split.

    Ground embeddings are read from the pair set's cache folder if they are there, or from `cache` if that
    folder is not writable. Raises `ModelError` if the model has no ground tower or no text tower,
    `PairsError` if the split is empty.
    """
    name = model.card.get("name", "this model")
    if model.ground is None or model.text is None:
        raise ModelError(f"{name} has no tower for photos or none for texts: join it with its CLIP (--text)")
    count = pairs.count(split)
    if count == 0:
        raise PairsError(f"split {split!r} of {pairs.name} has no pairs: give another split")
    data = read_training_set(
        pairs, split, model.overhead_preprocess, progress=progress, limit=MAX_CALIBRATION_PHOTOS
    )
    ground = ground_embeddings(
        pairs,
        split,
        model,
        fallback=cache,
        precision=precision,
        progress=progress,
        limit=MAX_CALIBRATION_PHOTOS,
    )
    overhead, features = embed_places(data, model, precision)
    return replace(model, calibration=make_calibration(ground.read_all(), overhead, features))


def embed_places(data: TrainingSet, model: Checkpoint, precision: Precision) -> tuple[Floats, Floats]:
    """Return overhead embeddings (N, D), not normalised, and metadata features (N, F); float32 both.

    The patches are those that `read_training_set` decodes for the model. F is 0 if the model has no Dynamic
    Encoder.
    """
    patches = data.patches[np.arange(len(data))]
    overhead = model.embed_overhead(patches, precision=precision, prepared=True, compiled=False)
    if model.dynamic is None:
        return overhead, np.zeros((len(data), 0), np.float32)
    return overhead, data.encode_features(model.encoding)
