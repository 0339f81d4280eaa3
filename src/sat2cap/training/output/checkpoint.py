"""The checkpoint of a trained student, its card, and the validation metrics in it."""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.files import canonical_json, digest
from sat2cap.model import Calibration, Checkpoint, Preprocess, make_calibration
from sat2cap.pairs import retrieval_metrics
from sat2cap.progress import Progress
from sat2cap.training.adaptation import merged_copy
from sat2cap.training.calibration import embed_places
from sat2cap.training.data.ground_embeddings import ground_embeddings
from sat2cap.training.data.patches import Pairs, TrainingSet, read_training_set
from sat2cap.training.run import Run
from sat2cap.training.student import Learner

LIBRARIES = ("torch", "transformers", "lightning-fabric")


def run_identity(run: Run, pairs: Pairs, start: Checkpoint) -> str:
    """Return the hash of everything that decides a run's result: settings, pairs and initial model."""
    return digest(canonical_json(run.settings()), pairs.fingerprint, start.identity)


def trained_checkpoint(run: Run, start: Checkpoint, learner: Learner, preprocess: Preprocess) -> Checkpoint:
    """Return the model as trained so far, with the frozen towers; on the learner's device, without a card."""
    dynamic = learner.student.dynamic
    return replace(
        start,
        overhead=merged_copy(learner.student.tower),
        dynamic=None if dynamic is None else merged_copy(dynamic),
        logit_scale=learner.temperature.scale.item(),
        encoding=run.model.encoding,
        overhead_preprocess=preprocess,
        card={},
        calibration=None,  # the initial model's calibration, if any, does not hold for the trained one
    )


def build_card(
    run: Run, pairs: Pairs, start: Checkpoint, years: tuple[int, int], steps: int, metrics: dict[str, float]
) -> dict[str, Any]:
    """Return the card of a trained model: provenance and metrics as plain JSON values.

    It names no time and no machine, so that equal runs give equal bytes.
    """
    return {
        "name": run.output.name or Path(run.output.folder).name,
        "method": run.method,
        "source": f"trained from {start.card.get('name', run.model.init)}",
        "licence": start.card.get("licence", "unknown"),
        "training": {
            "identity": run_identity(run, pairs, start),
            "run": run.settings(),
            "pairs": {"fingerprint": pairs.fingerprint, "count": pairs.count(run.data.split)},
            "init": {"identity": start.identity, "name": start.card.get("name", run.model.init)},
            "years": list(years),
            "precision": run.precision,
            "steps": steps,
            "samples": steps * run.optim.batch,
            "libraries": {name: version(name) for name in LIBRARIES},
        },
        "metrics": metrics,
    }


@dataclass(frozen=True, eq=False)
class Validation:
    """Held-out pairs, for retrieval metrics and for calibration."""

    data: TrainingSet
    """Patches and metadata of the N pairs."""
    ground: NDArray[np.float32]
    """Ground embeddings of unit length: shape (N, D)."""

    def evaluate_model(self, run: Run, trained: Checkpoint) -> tuple[dict[str, float], Calibration]:
        """Return retrieval metrics among the held-out pairs, and the model's calibration by them.

        The metrics are those of embeddings with the Dynamic Encoder's offset if the model has one.
        """
        overhead, features = embed_places(self.data, trained, run.precision)
        conditioned = (
            overhead if trained.dynamic is None else overhead + trained.dynamic_from_features(features)
        )
        metrics = {f"validation.{name}": v for name, v in two_way_retrieval(conditioned, self.ground).items()}
        return metrics, make_calibration(self.ground, overhead, features)


def read_validation(run: Run, pairs: Pairs, start: Checkpoint, progress: Progress) -> Validation | None:
    """Read the held-out pairs of a run; return None if it has none."""
    split = run.data.validation
    count = min(run.data.validation_pairs, pairs.count(split))
    if count == 0:
        return None
    data = read_training_set(pairs, split, start.overhead_preprocess, progress=progress, limit=count)
    ground = ground_embeddings(
        pairs,
        split,
        start,
        fallback=Path(run.output.folder) / "cache",
        precision=run.precision,
        progress=progress,
        limit=count,
    )
    return Validation(data, ground.read_all())


def two_way_retrieval(overhead: NDArray[np.float32], ground: NDArray[np.float32]) -> dict[str, float]:
    """Return R@1, R@5, R@10 and the median rank in both directions, and the size of the gallery, N.

    `overhead` and `ground` are (N, D), the i-th rows being a pair. Ties count against the pair. Ranks count
    from 1, so that the median rank is at most k whenever R@k is above one half.
    """
    overhead = overhead / np.linalg.norm(overhead, axis=1, keepdims=True)
    cosines = overhead @ ground.T
    pair_cosines = np.diagonal(cosines)
    ranks = {
        "overhead2ground": (cosines >= pair_cosines[:, None]).sum(axis=1),
        "ground2overhead": (cosines >= pair_cosines[None, :]).sum(axis=0),
    }
    metrics: dict[str, float] = {}
    for direction, direction_ranks in ranks.items():
        one_way = retrieval_metrics(direction_ranks)
        metrics |= {f"{direction}.{name}": one_way[name] for name in ("r1", "r5", "r10", "median_rank")}
    return metrics | {"gallery": float(len(pair_cosines))}
