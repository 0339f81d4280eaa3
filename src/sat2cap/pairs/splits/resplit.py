"""Splitting an existing pair set anew: the same pairs, byte for byte, in other shards."""

import tarfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from sat2cap.errors import PairsError
from sat2cap.files import canonical_json, digest
from sat2cap.pairs import journal
from sat2cap.pairs.dataset import MANIFEST, PairSet, open_pairs
from sat2cap.pairs.finish import TEMPORARY_FILES, finish_build
from sat2cap.pairs.plan import FORMAT, NEAR, BuildPlan, Shard, cut_shards
from sat2cap.pairs.screening.rules import Funnel
from sat2cap.pairs.shard import StagedShard, write_shard
from sat2cap.pairs.shard_file import ShardFile
from sat2cap.pairs.shard_reading import locate_pairs
from sat2cap.pairs.splits.split import BUFFER, SplitPlan, assign_splits
from sat2cap.photos import PHOTO_SCHEMA, PhotoTable
from sat2cap.progress import Progress, silent
from sat2cap.stores import Store

STAGE = "copying pairs"
_COLUMNS = ["key", "lon", "lat", "taken", "user", "licence", "source", "author", "title", "url"]

Locations = dict[str, tuple[ShardFile, int, int]]
"""Shard file of each pair, by key, with the byte range of its three members, headers included."""


def resplit_pairs(
    pairs: PairSet,
    out: Path | str | Store,
    split: SplitPlan,
    *,
    seed: int = 0,
    per_shard: int = 1000,
    progress: Progress = silent,
) -> PairSet:
    """Copy the pairs of a set into a new one with another split, and return that.

    `out` is a folder, an address in a bucket, or a store. The shards are those that a build with this split
    makes from the same photos. A copy that was interrupted goes on where it stopped. Raises `PairsError` if
    `out` holds something else, a shard of `pairs` is broken, or the split leaves no pair, `JobError` if
    another process writes in `out`, and `StoreError` if a bucket refuses or fails.
    """
    if per_shard < 1:
        raise PairsError(f"per_shard {per_shard} must be at least 1; use 1000")
    plan = _plan_shards(pairs, split, seed, per_shard)
    with journal.writer_lock(out) as store:
        return _copy_planned(plan, pairs, store, progress)


def _copy_planned(plan: BuildPlan, pairs: PairSet, out: Store, progress: Progress) -> PairSet:
    """Copy the shards of a plan that the set `out` lacks, and finish it; `out` is locked."""
    results = journal.open_journal(out, plan.identity)
    out.writer.remove_leftovers(patterns=TEMPORARY_FILES)
    if out.stamp(MANIFEST) is not None:
        if len(results) == len(plan.shards):
            return open_pairs(out)
        out.delete(MANIFEST)  # no longer complete
    locations = _locate_pairs(pairs)
    done = 0
    for shard in plan.shards:
        if shard.name not in results:
            results[shard.name] = _copy_pairs(shard, locations, out).put_in_place(out)
            journal.append_result(out, results[shard.name])
        done += len(shard.photos)
        progress(STAGE, done, plan.pair_count)
    return finish_build(plan, results, out, str(pairs.index.imagery.iloc[0]))


def _plan_shards(pairs: PairSet, split: SplitPlan, seed: int, per_shard: int) -> BuildPlan:
    """Return the plan of a copy with another split. Raises `PairsError` if no pair is left."""
    manifest = pairs.manifest
    photos = _photos_of_index(pairs)
    patch_m = manifest["provenance"]["patch"]["size_m"]
    names = assign_splits(
        *photos.coordinates(), split, seed=seed, patch_m=patch_m, users=photos.text_column("user")
    )
    dropped = {**manifest["funnel"]["dropped"]}
    funnel = Funnel(manifest["funnel"]["records"], dropped).drop({NEAR: int((names == BUFFER).sum())})
    if funnel.kept_count == 0:
        raise PairsError(f"{pairs.name}: no pair is left in this split; use larger blocks or another split")
    settings: dict[str, Any] = {
        "split": asdict(split) | {"fractions": list(split.fractions)},
        "seed": seed,
        "per_shard": per_shard,
    }
    provenance = {**manifest["provenance"], **settings}
    identity = digest(canonical_json([FORMAT, "resplit", pairs.fingerprint, settings]))
    return BuildPlan(tuple(cut_shards(photos, names, seed, per_shard)), funnel, provenance, identity)


def _photos_of_index(pairs: PairSet) -> PhotoTable:
    """Return the photos of a pair set's index; columns that the index lacks are empty texts."""
    index = pairs.index
    empty = pa.array([""] * len(index), pa.large_string())
    columns = [
        pa.array(index[name], PHOTO_SCHEMA.field(name).type, from_pandas=True) if name in index else empty
        for name in _COLUMNS
    ]
    return PhotoTable(pa.table(columns, names=_COLUMNS))


def _locate_pairs(pairs: PairSet) -> Locations:
    """Return where each pair lies in the shards. Raises `PairsError` if a shard is broken."""
    locations: Locations = {}
    problems = pairs.find_problems()
    if problems:
        raise PairsError(f"{pairs.name}: {problems[0]}; build the pairs again: only what is broken is redone")
    for name in pairs.manifest["shards"]:
        shard = pairs.shard(name)
        for key, start, end in locate_pairs(shard):
            locations[key] = (shard, start, end)
    return locations


def _copy_pairs(shard: Shard, locations: Locations, out: Store) -> StagedShard:
    """Stage a shard whose pairs are copied, byte for byte, from the shards where they lie."""

    def add_pairs(tar: tarfile.TarFile) -> Iterator[int]:
        assert tar.fileobj is not None
        for key in shard.photos.text_column("key"):
            source, start, end = locations[key]
            yield tar.offset
            with source.reader(start, end) as read:
                tar.fileobj.write(read(start, end - start))
            tar.offset += end - start

    return write_shard(shard.name, add_pairs, {}, out)
