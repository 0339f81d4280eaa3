"""Building a pair set from photos and imagery."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

from sat2cap.engines import Engine, LocalEngine, RunLog
from sat2cap.errors import PairsError, StoreError
from sat2cap.imagery import Imagery
from sat2cap.pairs import journal
from sat2cap.pairs.dataset import MANIFEST, PairSet, open_pairs
from sat2cap.pairs.finish import TEMPORARY_FILES, finish_build
from sat2cap.pairs.plan import BuildPlan, PatchSpec, Shard, plan_pairs
from sat2cap.pairs.screening.near_duplicates import LOOK_ALIKE, find_near_duplicates
from sat2cap.pairs.screening.rules import Rules
from sat2cap.pairs.shard import ShardResult
from sat2cap.pairs.shard_job import ShardJob, ShardTask
from sat2cap.pairs.splits.split import SplitPlan
from sat2cap.photos import Fetcher, PhotoSource
from sat2cap.progress import Progress, silent
from sat2cap.stores import Store, append_record

STAGE = "building pairs"
NOT_FETCHED = "not fetched"


def _find_unusable_photos(
    photos: PhotoSource, plan: BuildPlan, out: Store, bits: int | None, retry: bool, progress: Progress
) -> dict[str, str]:
    """Fetch the photos, compare them, and return those that can make no pair, with the reason by key.

    A photo is left out if it could not be fetched or, with `bits`, if it is a near-duplicate of another.
    """
    left_out: dict[str, str] = {}
    if isinstance(photos, Fetcher):
        planned_photos = (photo for shard in plan.shards for photo in shard.photos)
        failed = photos.fetch(planned_photos, plan.pair_count, retry=retry, progress=progress)
        left_out = {key: f"{NOT_FETCHED}: {reason}" for key, reason in failed.items()}
    if bits is not None:
        left_out |= dict.fromkeys(
            find_near_duplicates(photos, plan, left_out, out, bits, progress), LOOK_ALIKE
        )
    return left_out


def _select_photos_of(shard: Shard, left_out: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of `left_out` whose photos belong to a shard."""
    return (
        {key: left_out[key] for key in shard.photos.text_column("key") if key in left_out} if left_out else {}
    )


def _was_made_without(result: ShardResult, left_out: Mapping[str, str]) -> bool:
    """Return whether a finished shard was made with exactly these photos left out beforehand."""
    left_out_then = {
        key: reason
        for key, reason in result.dropped.items()
        if reason == LOOK_ALIKE or reason.startswith(NOT_FETCHED)
    }
    return left_out_then == left_out


def build_pairs(
    photos: PhotoSource,
    imagery: Imagery,
    out: Path | str | Store,
    *,
    patch: PatchSpec | None = None,
    rules: Rules | None = None,
    split: SplitPlan | Literal["spatial", "random", "user"] = "spatial",
    seed: int = 0,
    per_shard: int = 1000,
    workers: int = 1,
    engine: Engine | None = None,
    retry: bool = False,
    progress: Progress = silent,
) -> PairSet:
    """Build a pair set, or go on with one that was interrupted or has broken shards.

    `out` is a folder, an address in a bucket such as ``s3://bucket/pairs``, or a store. A complete, undamaged
    set is only opened. `engine` says where shards are made: on this machine if None, in `workers` processes.
    The bytes written depend on neither of them, nor on interruptions; other processes than this one need
    sources that are picklable. `per_shard` is the number of pairs in a shard. Photos that could not be
    fetched are requested again only with `retry`, which makes their shards anew.

        build_pairs(photos, imagery, Path("pairs"), patch=PatchSpec(pixels=224), split="spatial", workers=4)

    Raises `PairsError` if a setting makes no sense, no photo can be used or `out` holds something else,
    `JobError` if another process builds in `out` or a worker process dies, and `StoreError` if a bucket
    refuses or fails.
    """
    if workers < 1:
        raise PairsError(f"workers {workers} must be at least 1; use 1")
    patch, rules = patch or PatchSpec(), rules or Rules()
    split = split if isinstance(split, SplitPlan) else SplitPlan(split)
    with journal.writer_lock(out) as store:
        plan = plan_pairs(
            photos,
            imagery,
            patch=patch,
            rules=rules,
            split=split,
            seed=seed,
            per_shard=per_shard,
            progress=progress,
        )
        job = ShardJob(photos, imagery, patch, store, workers)
        return _build_planned(plan, job, rules, engine or LocalEngine(), retry, progress)


def _build_planned(
    plan: BuildPlan,
    job: ShardJob,
    rules: Rules,
    engine: Engine,
    retry: bool,
    progress: Progress,
) -> PairSet:
    """Make the shards of a plan that the pair set lacks, and finish the set, which is locked."""
    out = job.out
    results = journal.open_journal(out, plan.identity)
    out.writer.remove_leftovers(patterns=TEMPORARY_FILES)
    if out.stamp(MANIFEST) is not None and len(results) == len(plan.shards) and not retry:
        return open_pairs(out)
    unusable = _find_unusable_photos(job.photos, plan, out, rules.look_alike_bits, retry, progress)
    left_out = {shard.name: _select_photos_of(shard, unusable) for shard in plan.shards}
    results = {name: result for name, result in results.items() if _was_made_without(result, left_out[name])}
    if out.stamp(MANIFEST) is not None:
        if len(results) == len(plan.shards):
            return open_pairs(out)
        out.delete(MANIFEST)  # no longer complete
    tasks = [ShardTask(shard, left_out[shard.name]) for shard in plan.shards if shard.name not in results]
    log = RunLog(STAGE, "photos", "shards", sum(task.size for task in tasks), plan.pair_count, progress)
    with log.recorded(partial(_append_record, out), plan.identity, engine.name):
        for _, staged in engine.run(job, tasks, log) if tasks else ():
            result = staged.put_in_place(out)
            journal.append_result(out, result)
            results[result.name] = result
            log.add_done(staged.worker, result.count_by_status())
    out.writer.remove_leftovers(patterns=TEMPORARY_FILES)  # of workers that were taken for dead
    return finish_build(plan, results, out, job.imagery.info.uri)


def _append_record(out: Store, record: dict[str, Any]) -> None:
    """Append the record of a run beside the pair set, where that can be written: nothing depends on it."""
    with suppress(OSError, StoreError):
        append_record(out, record)
