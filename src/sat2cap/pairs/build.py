"""Photos and imagery in, a pair set out."""

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import pandas as pd

from sat2cap.errors import JobError, PairsError
from sat2cap.files import canonical_json, digest, publish, write_json
from sat2cap.pairs import journal
from sat2cap.pairs.dataset import INDEX, MANIFEST, PairSet, open_pairs
from sat2cap.pairs.plan import FORMAT, BuildPlan, PatchSpec, Shard, plan_pairs
from sat2cap.pairs.screen import Rules
from sat2cap.pairs.shard import ShardResult, write_shard
from sat2cap.pairs.split import SplitPlan, leaking
from sat2cap.progress import Progress, silent
from sat2cap.sources.imagery import Imagery
from sat2cap.sources.photos import PhotoSource

STAGE = "building pairs"

Work = tuple[PhotoSource, Imagery, PatchSpec, Path]
_worker: list[
    Work
] = []  # filled in a worker process only: sending the sources with every shard would cost more


def _start_worker(work: Work) -> None:
    _worker.append(work)


def _make(shard: Shard) -> ShardResult:
    return write_shard(shard, *_worker[0])


def _results(shards: list[Shard], work: Work, workers: int) -> Iterator[ShardResult]:
    """Each shard made, in order, whatever the number of processes."""
    if workers == 1 or len(shards) < 2:
        for shard in shards:
            yield write_shard(shard, *work)
        return
    # spawn, since forking a process that already runs threads (a network was used before) may hang the child
    pool = ProcessPoolExecutor(
        min(workers, len(shards)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(work,),
    )
    try:
        yield from pool.map(_make, shards)
    except BrokenProcessPool as error:
        raise JobError(
            f"{work[3]}: a worker process died while making pairs; build again to go on, "
            "with fewer workers if memory is short"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _index(plan: BuildPlan, results: dict[str, ShardResult], imagery: str) -> gpd.GeoDataFrame:
    rows = [
        (p.key, shard.name, shard.split, p.lon, p.lat, p.taken, p.user, p.licence, p.source, imagery)
        for shard in plan.shards
        for p in shard.photos
        if p.key not in results[shard.name].dropped
    ]
    names = ["key", "shard", "split", "lon", "lat", "taken", "user", "licence", "source", "imagery"]
    frame = pd.DataFrame(rows, columns=names)
    frame["taken"] = pd.to_datetime(frame["taken"]).astype("datetime64[us]")
    return gpd.GeoDataFrame(frame, geometry=gpd.points_from_xy(frame.lon, frame.lat), crs="EPSG:4326")


def _manifest(plan: BuildPlan, results: dict[str, ShardResult], index: gpd.GeoDataFrame) -> dict[str, Any]:
    dropped = Counter(reason for result in results.values() for reason in result.dropped.values())
    shards = {
        shard.name: {"sha256": results[shard.name].sha256, "pairs": results[shard.name].pairs}
        for shard in plan.shards
    }
    leaks = leaking(
        index.lon.to_numpy(),
        index.lat.to_numpy(),
        index.split.to_numpy(str),
        plan.provenance["patch"]["size_m"],
    )
    return {
        "format": "sat2cap pairs",
        "version": FORMAT,
        "identity": plan.identity,
        "fingerprint": digest(canonical_json(shards)),
        "counts": {name: int(count) for name, count in sorted(index.split.value_counts().items())},
        "test_patches_overlapping_training": int(leaks.sum()),
        "funnel": plan.funnel.drop(dict(sorted(dropped.items()))).as_dict(),
        "provenance": dict(plan.provenance),
        "shards": shards,
    }


def _finish(plan: BuildPlan, results: dict[str, ShardResult], out: Path, imagery: str) -> PairSet:
    """Write the index, then the manifest that makes the set complete."""
    index = _index(plan, results, imagery)
    if index.empty:
        reasons = Counter(reason for result in results.values() for reason in result.dropped.values())
        why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        raise PairsError(f"{out}: no pair could be made ({why}); check the imagery and the photos")
    with publish(out / INDEX) as temporary:
        index.to_parquet(temporary, index=False)
    journal.tidy(out, plan.identity, [results[shard.name] for shard in plan.shards])
    for torn in (out / "shards").glob(".*.tar"):  # what killed runs left half written
        torn.unlink(missing_ok=True)
    write_json(out / MANIFEST, _manifest(plan, results, index))
    return open_pairs(out)


def build_pairs(
    photos: PhotoSource,
    imagery: Imagery,
    out: Path,
    *,
    patch: PatchSpec | None = None,
    rules: Rules | None = None,
    split: SplitPlan | Literal["spatial", "random"] = "spatial",
    seed: int = 0,
    per_shard: int = 1000,
    workers: int = 1,
    progress: Progress = silent,
) -> PairSet:
    """Build a pair set in the folder `out`, or go on with one that was interrupted or has broken shards.

    A complete and whole set is only opened. The bytes written depend on neither interruptions nor `workers`,
    which are processes: the sources must be picklable.

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
    )
    results = journal.begin(out, plan.identity)
    if (out / MANIFEST).exists():
        if len(results) == len(plan.shards):
            return open_pairs(out)
        (out / MANIFEST).unlink()  # no longer complete
    done = sum(len(shard.photos) for shard in plan.shards if shard.name in results)
    progress(STAGE, done, plan.pairs)
    todo = [shard for shard in plan.shards if shard.name not in results]
    work = (photos, imagery, patch or PatchSpec(), out / "shards")
    for shard, result in zip(todo, _results(todo, work, workers), strict=True):
        journal.record(out, result)
        results[result.name] = result
        done += len(shard.photos)
        progress(STAGE, done, plan.pairs)
    return _finish(plan, results, out, imagery.info.uri)
