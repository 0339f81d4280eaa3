"""From a trained student to a checkpoint, with the figures that its card carries."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.files import canonical_json, digest
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.preprocess import Preprocess
from sat2cap.progress import Progress
from sat2cap.train.data import Pairs, read_training_set
from sat2cap.train.ground import ground_embeddings
from sat2cap.train.run import Run
from sat2cap.train.student import Student

LIBRARIES = ("torch", "transformers", "lightning-fabric")


def run_identity(run: Run, pairs: Pairs, start: Checkpoint) -> str:
    """Hash of all that decides what a run gives: its settings, its pairs and the model it begins as."""
    return digest(canonical_json(run.settings()), pairs.fingerprint, start.identity)


def trained_checkpoint(
    run: Run, start: Checkpoint, student: Student, preprocess: Preprocess, card: dict[str, Any]
) -> Checkpoint:
    """Everything a user of the model needs: the trained parts, and the frozen ones beside them."""
    student.eval().cpu()
    return replace(
        start,
        overhead=student.tower,
        dynamic=student.dynamic,
        logit_scale=student.log_scale.exp().item(),
        encoding=run.model.encoding,
        overhead_preprocess=preprocess,
        card=card,
    )


def card(
    run: Run, pairs: Pairs, start: Checkpoint, years: tuple[int, int], steps: int, metrics: dict[str, float]
) -> dict[str, Any]:
    """Provenance as plain JSON values; no clock time and no machine, so that equal runs give equal bytes."""
    return {
        "name": Path(run.output.folder).name,
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


def validate(
    run: Run, pairs: Pairs, start: Checkpoint, trained: Checkpoint, cache: Path, progress: Progress
) -> dict[str, float]:
    """Retrieval within the validation pairs, with metadata where the model has it; empty if not asked for."""
    count = min(run.data.validation_pairs, pairs.count(run.data.validation))
    if count == 0:
        return {}
    preprocess, encoding = trained.overhead_preprocess, trained.encoding
    data = read_training_set(pairs, run.data.validation, preprocess, encoding, progress=progress, limit=count)
    ground = ground_embeddings(
        pairs,
        run.data.validation,
        start,
        fallback=cache,
        precision=run.optim.precision,
        progress=progress,
        limit=count,
    )
    overhead = trained.embed_overhead(data.overhead, precision=run.optim.precision)
    if trained.dynamic is not None:
        overhead = overhead + trained.dynamic_from_features(data.features)
    return {f"validation.{name}": value for name, value in retrieval(overhead, ground).items()}


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
    figures = {}
    for direction, rank in ranks.items():
        for k in (1, 5, 10):
            figures[f"{direction}.r{k}"] = float((rank <= k).mean())
        figures[f"{direction}.median_rank"] = float(np.median(rank))
    return figures | {"gallery": float(len(own))}
