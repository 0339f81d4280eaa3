"""Photos and imagery in, a pair set out."""

import multiprocessing
import pickle
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from sat2cap.errors import JobError, PairsError
from sat2cap.imagery import Imagery
from sat2cap.pairs import journal
from sat2cap.pairs.dataset import MANIFEST, PairSet, open_pairs
from sat2cap.pairs.finish import finish
from sat2cap.pairs.plan import BuildPlan, PatchSpec, Shard, plan_pairs
from sat2cap.pairs.screening.near_duplicates import LOOK_ALIKE, find_near_duplicates
from sat2cap.pairs.screening.rules import Rules
from sat2cap.pairs.shard import ShardResult, write_shard
from sat2cap.pairs.splits.split import SplitPlan
from sat2cap.photos import Fetcher, PhotoSource
from sat2cap.progress import Progress, silent

STAGE = "building pairs"
NOT_FETCHED = "not fetched"

Work = tuple[PhotoSource, Imagery, PatchSpec, Path]
_worker: list[
    Work
] = []  # filled in a worker process only: sending the sources with every shard would cost more


def _start_worker(handed: Path) -> None:
    _worker.append(pickle.loads(handed.read_bytes()))


def _make(shard: Shard, left_out: Mapping[str, str]) -> ShardResult:
    return write_shard(shard, left_out, *_worker[0])


def _results(
    shards: list[Shard], left_out: list[dict[str, str]], work: Work, workers: int
) -> Iterator[ShardResult]:
    """Each shard made, in order, whatever the number of processes."""
    if workers == 1 or len(shards) < 2:
        for shard, reasons in zip(shards, left_out, strict=True):
            yield write_shard(shard, reasons, *work)
        return
    with TemporaryDirectory(prefix="sat2cap-") as folder:
        # by a file: a worker that dies before it has read a large argument leaves its parent waiting for ever
        handed = Path(folder) / "work.pickle"
        handed.write_bytes(pickle.dumps(work))
        # spawn, since forking a process that runs threads (a network was used before) may hang the child
        pool = ProcessPoolExecutor(
            min(workers, len(shards)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(handed,),
        )
        try:
            yield from pool.map(_make, shards, left_out)
        except BrokenProcessPool as error:
            raise JobError(
                f"{work[3]}: a worker process died while making pairs; build again to go on, with fewer "
                "workers if memory is short (a script must build under `if __name__ == '__main__':`)"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _left_out(
    photos: PhotoSource, plan: BuildPlan, out: Path, bits: int | None, retry: bool, progress: Progress
) -> dict[str, str]:
    """Photos that can make no pair, known before any is made: they could not be fetched, or look alike."""
    left_out: dict[str, str] = {}
    if isinstance(photos, Fetcher):
        wanted = (photo for shard in plan.shards for photo in shard.photos)
        failed = photos.fetch(wanted, plan.pairs, retry=retry, progress=progress)
        left_out = {key: f"{NOT_FETCHED}: {reason}" for key, reason in failed.items()}
    if bits is not None:
        left_out |= dict.fromkeys(
            find_near_duplicates(photos, plan, left_out, out, bits, progress), LOOK_ALIKE
        )
    return left_out


def _of(shard: Shard, left_out: Mapping[str, str]) -> dict[str, str]:
    return (
        {key: left_out[key] for key in shard.photos.text_column("key") if key in left_out} if left_out else {}
    )


def _holds(result: ShardResult, left_out: Mapping[str, str]) -> bool:
    """Whether a finished shard was made knowing the same photos to be left out."""
    known = {
        key: reason
        for key, reason in result.dropped.items()
        if reason == LOOK_ALIKE or reason.startswith(NOT_FETCHED)
    }
    return known == left_out


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

    A complete and whole set is only opened. The bytes written depend on neither interruptions nor `workers`,
    which are processes: the sources must be picklable. Photos that could not be fetched are not asked for
    again unless with `retry`, which then makes the shards anew that they belong to.

    Raises `PairsError` if no photo can be used or `out` holds something else, `JobError` if a worker dies.
    """
    out = Path(out)
    if workers < 1:
        raise PairsError(f"workers {workers} must be at least 1; use 1")
    plan = plan_pairs(
        photos,
        imagery,
        patch=patch or PatchSpec(),
        rules=rules or Rules(),
        split=split if isinstance(split, SplitPlan) else SplitPlan(split),
        seed=seed,
        per_shard=per_shard,
        progress=progress,
    )
    results = journal.begin(out, plan.identity)
    if (out / MANIFEST).exists() and len(results) == len(plan.shards) and not retry:
        return open_pairs(out)
    bits = (rules or Rules()).look_alike_bits
    known = _left_out(photos, plan, out, bits, retry, progress)
    left_out = {shard.name: _of(shard, known) for shard in plan.shards}
    results = {name: result for name, result in results.items() if _holds(result, left_out[name])}
    if (out / MANIFEST).exists():
        if len(results) == len(plan.shards):
            return open_pairs(out)
        (out / MANIFEST).unlink()  # no longer complete
    done = sum(len(shard.photos) for shard in plan.shards if shard.name in results)
    progress(STAGE, done, plan.pairs)
    todo = [shard for shard in plan.shards if shard.name not in results]
    work = (photos, imagery, patch or PatchSpec(), out / "shards")
    made = _results(todo, [left_out[shard.name] for shard in todo], work, workers)
    for shard, result in zip(todo, made, strict=True):
        journal.record(out, result)
        results[result.name] = result
        done += len(shard.photos)
        progress(STAGE, done, plan.pairs)
    return finish(plan, results, out, imagery.info.uri)
