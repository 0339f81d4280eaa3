"""Building pairs and training as calls; each continues a stopped run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sat2cap.api.engines import EngineName, make_engine
from sat2cap.api.imagery import open_imagery
from sat2cap.api.reporting import ProgressLike, listening
from sat2cap.arguments import check_path, type_words
from sat2cap.catalogue import open_photos, resolve_model
from sat2cap.config import read_toml
from sat2cap.errors import InputError, JobError, RunFileError
from sat2cap.extras import require_extra
from sat2cap.imagery import Imagery
from sat2cap.pairs import PairSet, PatchSpec, Rules, SplitPlan
from sat2cap.pairs import build_pairs as build_pair_set
from sat2cap.photos import PhotoSource
from sat2cap.stores import require_local


def build_pairs(
    photos: str | Path | PhotoSource,
    imagery: str | Path | Imagery,
    out: str | Path,
    *,
    count: int | None = None,
    patch: PatchSpec | None = None,
    rules: Rules | None = None,
    split: SplitPlan | Literal["spatial", "random", "user"] = "spatial",
    seed: int = 0,
    per_shard: int = 1000,
    workers: int | None = None,
    engine: EngineName = "process",
    address: str | None = None,
    retry: bool = False,
    progress: ProgressLike = None,
) -> PairSet:
    """Build pairs of ground photos and overhead patches into `out`, and return them.

    `photos` is a folder with EXIF, ``shards:FOLDER``, ``miniworld:SEED`` (the first `count` of its photos),
    or a source from `sat2cap.open_photos`, which also takes lists whose images lie elsewhere. `out` is a
    folder, or an address in a bucket (docs/stores.md). `patch` is the side of an overhead patch on the ground
    and in pixels, `rules` decide which photos are used, `split` how pairs are divided into train, val and
    test. Shards are made in `workers` processes of this machine, one by
    default, or with `engine` ``ray`` by workers of the Ray cluster whose head is at `address`, with the same
    bytes (docs/scale.md). With `retry`, downloads that failed before are tried again.
    Raises `InputError`, `ImageryError`, `PairsError`, `JobError`, `StoreError`. A script must call this under
    ``if __name__ == "__main__":`` when `workers` is more than 1.
    """
    check_path(photos, "photos", "a name of photos, or an opened source", opened="read_image")
    check_path(imagery, "imagery", "a name of imagery, or opened imagery", opened="footprint")
    check_path(out, "out", "the folder or address of a pair set")
    processes = 1 if engine != "process" or workers is None else workers
    chosen_engine = make_engine(engine, address, None if engine == "process" else workers)
    require_extra("pairs", "building pairs")
    source = open_photos(photos, count) if isinstance(photos, str | Path) else photos
    with listening(progress) as report:
        return build_pair_set(
            source,
            open_imagery(imagery) if isinstance(imagery, str | Path) else imagery,
            out,
            patch=patch,
            rules=rules,
            split=split,
            seed=seed,
            per_shard=per_shard,
            workers=processes,
            engine=chosen_engine,
            retry=retry,
            progress=report,
        )


def _require_local_output(run: Mapping[str, Any]) -> None:
    """Raise `InputError` if a run file, as read, writes to an address: as a path it would be a folder."""
    output = run.get("output")
    for place in (run.get("out"), output.get("folder") if isinstance(output, dict) else None):
        if isinstance(place, str):
            require_local(place)


@dataclass(frozen=True)
class TrainingResult:
    """What a training run left behind."""

    folder: Path
    """The checkpoint, a CLIP model or a captioner, as the run file's method says."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Metrics of a CLIP model or a captioner; those of a checkpoint are in its card."""


def train(
    run: str | Path,
    *,
    engine: EngineName = "process",
    address: str | None = None,
    workers: int | None = None,
    progress: ProgressLike = None,
) -> TrainingResult:
    """Train what the run file `run` describes, and return where the model is.

    Run files that ship lie in ``runs/``; docs/train.md explains them. The training of a checkpoint continues
    where a killed run stopped. With `engine` ``ray`` the photos are embedded beforehand by `workers` of the
    Ray cluster whose head is at `address`, with the same bytes (docs/scale.md); the steps are taken here.
    Raises `RunFileError` with all problems of the file, `PairsError`, `ModelError`, `JobError`, and
    `InputError` for a `run` that is no path.

    >>> sat2cap.train("runs/miniworld.toml", progress=True).folder
    PosixPath('demo/train/checkpoint')
    """
    if not isinstance(run, str | Path):
        raise InputError(f"run is {type_words(run)}; give the path of a run file, see docs/train.md")
    require_extra("train", "training")
    table = read_toml(run, RunFileError, kind="run file")
    _require_local_output(table)
    method = table.get("method")
    chosen_engine = make_engine(engine, address, workers)
    if chosen_engine.has_workers and method in ("clip", "captioner"):
        raise JobError(f"method {method} embeds no photos beforehand; leave --engine {engine} out")
    with listening(progress) as report:
        if method == "clip":
            from sat2cap.evaluation import evaluate_zero_shot
            from sat2cap.miniworld import load_clip_run, train_clip
            from sat2cap.model import load_model

            clip_run = load_clip_run(Path(run))
            metrics = train_clip(clip_run, report) | dict(evaluate_zero_shot(load_model(clip_run.out)))
            return TrainingResult(clip_run.out, metrics)
        if method == "captioner":
            from sat2cap.training import load_caption_run, train_captioner

            caption_run = load_caption_run(Path(run))
            metrics = train_captioner(caption_run, resolve_model, report)
            return TrainingResult(caption_run.output.folder, metrics)
        if method == "linear":
            from sat2cap.training import load_linear_run, train_linear

            linear_run = load_linear_run(Path(run))
            folder = train_linear(linear_run, resolve=resolve_model, engine=chosen_engine, progress=report)
            return TrainingResult(folder)
        from sat2cap.training import load_run
        from sat2cap.training import train as run_training

        folder = run_training(
            load_run(Path(run)), resolve=resolve_model, engine=chosen_engine, progress=report
        )
        return TrainingResult(folder)
