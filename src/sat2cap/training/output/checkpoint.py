"""From a trained student to a checkpoint, with the figures that its card carries."""

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
from sat2cap.training.adaptation import plain
from sat2cap.training.calibration import embed_places
from sat2cap.training.data.ground_embeddings import ground_embeddings
from sat2cap.training.data.patches import Pairs, TrainingSet, read_training_set
from sat2cap.training.run import Run
from sat2cap.training.student import Learner

LIBRARIES = ("torch", "transformers", "lightning-fabric")


def run_identity(run: Run, pairs: Pairs, start: Checkpoint) -> str:
    """Hash of all that decides what a run gives: its settings, its pairs and the model it begins as."""
    return digest(canonical_json(run.settings()), pairs.fingerprint, start.identity)


def trained_checkpoint(run: Run, start: Checkpoint, learner: Learner, preprocess: Preprocess) -> Checkpoint:
    """What a learner has learnt so far, with the frozen parts beside it; on its device, without a card."""
    dynamic = learner.student.dynamic
    return replace(
        start,
        overhead=plain(learner.student.tower),
        dynamic=None if dynamic is None else plain(dynamic),
        logit_scale=learner.temperature.scale.item(),
        encoding=run.model.encoding,
        overhead_preprocess=preprocess,
        card={},
        calibration=None,  # that of the model it began as, if any, is not its own
    )


def card(
    run: Run, pairs: Pairs, start: Checkpoint, years: tuple[int, int], steps: int, metrics: dict[str, float]
) -> dict[str, Any]:
    """Provenance as plain JSON values; no clock time and no machine, so that equal runs give equal bytes."""
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
            "steps": steps,
            "samples": steps * run.optim.batch,
            "libraries": {name: version(name) for name in LIBRARIES},
        },
        "metrics": metrics,
    }


@dataclass(frozen=True, eq=False)
class Validation:
    """Pairs that are not trained on, to find each other's photos among and to tell what a score is worth."""

    data: TrainingSet
    ground: NDArray[np.float32]
    """`[N, D]`."""

    def judge(self, run: Run, trained: Checkpoint) -> tuple[dict[str, float], Calibration]:
        """Retrieval among them, with metadata where the model has it; and what calibrates the model."""
        overhead, features = embed_places(self.data, trained, run.optim.precision)
        conditioned = (
            overhead if trained.dynamic is None else overhead + trained.dynamic_from_features(features)
        )
        figures = {f"validation.{name}": v for name, v in retrieval(conditioned, self.ground).items()}
        return figures, make_calibration(self.ground, overhead, features)


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
        precision=run.optim.precision,
        progress=progress,
        limit=count,
    )
    return Validation(data, ground)


def retrieval(overhead: NDArray[np.float32], ground: NDArray[np.float32]) -> dict[str, float]:
    """R@1, R@5, R@10 and median rank both ways, of row i among all rows; `[N, D]` each, ties count against.

    Ranks count from 1, so the median is at most k whenever R@k is above one half.
    """
    overhead = overhead / np.linalg.norm(overhead, axis=1, keepdims=True)
    cosines = overhead @ ground.T
    own = np.diagonal(cosines)
    ranks = {
        "overhead2ground": (cosines >= own[:, None]).sum(axis=1),
        "ground2overhead": (cosines >= own[None, :]).sum(axis=0),
    }
    figures: dict[str, float] = {}
    for direction, direction_ranks in ranks.items():
        metrics = retrieval_metrics(direction_ranks)
        figures |= {f"{direction}.{name}": metrics[name] for name in ("r1", "r5", "r10", "median_rank")}
    return figures | {"gallery": float(len(own))}
