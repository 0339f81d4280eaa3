"""Building a pair set from photos and imagery."""

import multiprocessing
import pickle
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Literal

from sat2cap.errors import JobError, PairsError
from sat2cap.imagery import Imagery
from sat2cap.locks import folder_lock, remove_temporary_files, temporary_folder
from sat2cap.pairs import journal
from sat2cap.pairs.dataset import MANIFEST, PairSet, open_pairs
from sat2cap.pairs.finish import TEMPORARY_FILES, finish_build
from sat2cap.pairs.plan import BuildPlan, PatchSpec, Shard, plan_pairs
from sat2cap.pairs.screening.near_duplicates import LOOK_ALIKE, find_near_duplicates
from sat2cap.pairs.screening.rules import Rules
from sat2cap.pairs.shard import ShardResult, write_shard
from sat2cap.pairs.splits.split import SplitPlan
from sat2cap.photos import Fetcher, PhotoSource
from sat2cap.progress import Progress, silent

STAGE = "building pairs"
NOT_FETCHED = "not fetched"

Inputs = tuple[PhotoSource, Imagery, PatchSpec, Path]
"""What every shard of a build is made from: photos, imagery, patches, and the folder of the shards."""

_worker_inputs: list[Inputs] = []
"""Filled in a worker process only, once: sending the sources with every shard would cost more."""


def _start_worker(inputs_file: Path) -> None:
    _worker_inputs.append(pickle.loads(inputs_file.read_bytes()))


def _write_shard_in_worker(shard: Shard, left_out: Mapping[str, str]) -> ShardResult:
    return write_shard(shard, left_out, *_worker_inputs[0])


def _write_shards(
    shards: list[Shard], left_out: list[dict[str, str]], inputs: Inputs, workers: int
) -> Iterator[ShardResult]:
    """Write shards in `workers` processes, in this one if 1, and yield the results in their order.

    `left_out` has, for each shard, the photos that make no pair. Raises `JobError` if a worker dies.
    """
    if workers == 1 or len(shards) < 2:
        for shard, reasons in zip(shards, left_out, strict=True):
            yield write_shard(shard, reasons, *inputs)
        return
    with temporary_folder("sat2cap-pairs-") as folder:
        # handed over in a file: a worker that dies before it has read a large argument hangs its parent
        inputs_file = folder / "inputs.pickle"
        inputs_file.write_bytes(pickle.dumps(inputs))
        # spawn, since forking a process that runs threads (a network was used before) may hang the child
        pool = ProcessPoolExecutor(
            min(workers, len(shards)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(inputs_file,),
        )
        try:
            yield from pool.map(_write_shard_in_worker, shards, left_out)
        except BrokenProcessPool as error:
            raise JobError(
                f"{inputs[3]}: a worker process died while making pairs; build again to go on, with fewer "
                "workers if memory is short (a script must build under `if __name__ == '__main__':`)"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _find_unusable_photos(
    photos: PhotoSource, plan: BuildPlan, out: Path, bits: int | None, retry: bool, progress: Progress
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
    out: Path,
    *,
    patch: PatchSpec | None = None,
    rules: Rules | None = None,
    split: SplitPlan | Literal["spatial", "random", "user"] = "spatial",
    seed: int = 0,
    per_shard: int = 1000,
    workers: int = 1,
    retry: bool = False,
    progress: Progress = silent,
) -> PairSet:
    """Build a pair set in the folder `out`, or go on with one that was interrupted or has broken shards.

    A complete, undamaged set is only opened. The bytes written depend on neither interruptions nor `workers`,
    a number of processes: with more than one the sources must be picklable. `per_shard` is the number of
    pairs in a shard. Photos that could not be fetched are requested again only with `retry`, which makes
    their shards anew.

        build_pairs(photos, imagery, Path("pairs"), patch=PatchSpec(pixels=224), split="spatial", workers=4)

    Raises `PairsError` if a setting makes no sense, no photo can be used or `out` holds something else, and
    `JobError` if another process builds in `out` or a worker process dies.
    """
    out = Path(out)
    if workers < 1:
        raise PairsError(f"workers {workers} must be at least 1; use 1")
    patch, rules = patch or PatchSpec(), rules or Rules()
    split = split if isinstance(split, SplitPlan) else SplitPlan(split)
    with folder_lock(out, "pair set"):
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
        return _build_planned(plan, photos, imagery, out, patch, rules, workers, retry, progress)


def _build_planned(
    plan: BuildPlan,
    photos: PhotoSource,
    imagery: Imagery,
    out: Path,
    patch: PatchSpec,
    rules: Rules,
    workers: int,
    retry: bool,
    progress: Progress,
) -> PairSet:
    """Make the shards of a plan that the folder `out` lacks, and finish the set; `out` is locked."""
    results = journal.open_journal(out, plan.identity)
    remove_temporary_files(out, *TEMPORARY_FILES)
    if (out / MANIFEST).exists() and len(results) == len(plan.shards) and not retry:
        return open_pairs(out)
    unusable = _find_unusable_photos(photos, plan, out, rules.look_alike_bits, retry, progress)
    left_out = {shard.name: _select_photos_of(shard, unusable) for shard in plan.shards}
    results = {name: result for name, result in results.items() if _was_made_without(result, left_out[name])}
    if (out / MANIFEST).exists():
        if len(results) == len(plan.shards):
            return open_pairs(out)
        (out / MANIFEST).unlink()  # no longer complete
    done_count = sum(len(shard.photos) for shard in plan.shards if shard.name in results)
    progress(STAGE, done_count, plan.pair_count)
    pending = [shard for shard in plan.shards if shard.name not in results]
    inputs = (photos, imagery, patch, out / "shards")
    new_results = _write_shards(pending, [left_out[shard.name] for shard in pending], inputs, workers)
    for shard, result in zip(pending, new_results, strict=True):
        journal.append_result(out, result)
        results[result.name] = result
        done_count += len(shard.photos)
        progress(STAGE, done_count, plan.pair_count)
    return finish_build(plan, results, out, imagery.info.uri)
