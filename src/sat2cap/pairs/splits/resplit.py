"""Another split of a pair set that exists: the same pairs, byte for byte, in other shards."""

import tarfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from sat2cap.errors import PairsError
from sat2cap.files import canonical_json, digest, digest_file, publish
from sat2cap.pairs import journal
from sat2cap.pairs.dataset import MANIFEST, PairSet, open_pairs
from sat2cap.pairs.finish import finish
from sat2cap.pairs.plan import FORMAT, NEAR, BuildPlan, Shard, shards_of
from sat2cap.pairs.screening.rules import Funnel
from sat2cap.pairs.shard import ShardResult
from sat2cap.pairs.splits.split import BUFFER, SplitPlan, assign
from sat2cap.photos import PHOTO_SCHEMA, PhotoTable
from sat2cap.progress import Progress, silent

STAGE = "copying pairs"
_COLUMNS = ["key", "lon", "lat", "taken", "user", "licence", "source", "author", "title", "url"]

Places = dict[str, tuple[Path, int, int]]


def resplit(
    pairs: PairSet,
    out: Path,
    split: SplitPlan,
    *,
    seed: int = 0,
    per_shard: int = 1000,
    progress: Progress = silent,
) -> PairSet:
    """Write the pairs of a set into the folder `out`, divided anew; goes on if it was stopped.

    The shards are those that a build with this split makes from the same photos. Raises `PairsError` if
    `out` holds something else or a shard of `pairs` is broken.
    """
    if per_shard < 1:
        raise PairsError(f"per_shard {per_shard} must be at least 1; use 1000")
    plan = _plan(pairs, split, seed, per_shard)
    results = journal.begin(out, plan.identity)
    if (out / MANIFEST).exists():
        if len(results) == len(plan.shards):
            return open_pairs(out)
        (out / MANIFEST).unlink()  # no longer complete
    places = _places(pairs)
    done = 0
    for shard in plan.shards:
        if shard.name not in results:
            results[shard.name] = _copy(shard, places, out / "shards")
            journal.record(out, results[shard.name])
        done += len(shard.photos)
        progress(STAGE, done, plan.pairs)
    return finish(plan, results, out, str(pairs.index.imagery.iloc[0]))


def _plan(pairs: PairSet, split: SplitPlan, seed: int, per_shard: int) -> BuildPlan:
    manifest = pairs.manifest
    photos = _photos(pairs)
    patch_m = manifest["provenance"]["patch"]["size_m"]
    names = assign(*photos.coordinates(), split, seed=seed, patch_m=patch_m, users=photos.text_column("user"))
    dropped = {**manifest["funnel"]["dropped"]}
    funnel = Funnel(manifest["funnel"]["records"], dropped).drop({NEAR: int((names == BUFFER).sum())})
    if funnel.kept == 0:
        raise PairsError(f"{pairs.path}: no pair is left in this split; use larger blocks or another split")
    settings: dict[str, Any] = {
        "split": asdict(split) | {"fractions": list(split.fractions)},
        "seed": seed,
        "per_shard": per_shard,
    }
    provenance = {**manifest["provenance"], **settings}
    identity = digest(canonical_json([FORMAT, "resplit", pairs.fingerprint, settings]))
    return BuildPlan(tuple(shards_of(photos, names, seed, per_shard)), funnel, provenance, identity)


def _photos(pairs: PairSet) -> PhotoTable:
    index = pairs.index
    empty = pa.array([""] * len(index), pa.large_string())
    columns = [
        pa.array(index[name], PHOTO_SCHEMA.field(name).type, from_pandas=True) if name in index else empty
        for name in _COLUMNS
    ]
    return PhotoTable(pa.table(columns, names=_COLUMNS))


def _places(pairs: PairSet) -> Places:
    """Where in which shard the three members of each pair lie, headers included."""
    found: Places = {}
    problems = pairs.problems()
    if problems:
        raise PairsError(f"{pairs.path}: {problems[0]}; build the pairs again: only what is broken is redone")
    for name in pairs.manifest["shards"]:
        path = pairs.path / "shards" / name
        for key, start, end in _members(path):
            found[key] = (path, start, end)
    return found


def _members(path: Path) -> Iterator[tuple[str, int, int]]:
    with tarfile.open(path, "r:") as tar:
        ends: dict[str, tuple[int, int]] = {}
        for member in tar:
            key = member.name.split(".", 1)[0]
            blocks = -(-member.size // tarfile.BLOCKSIZE)
            end = member.offset_data + blocks * tarfile.BLOCKSIZE
            ends[key] = (ends.get(key, (member.offset, 0))[0], end)
    yield from ((key, *span) for key, span in ends.items())


def _copy(shard: Shard, places: Places, folder: Path) -> ShardResult:
    """A shard of pairs copied out of others."""
    path = folder / shard.name
    with publish(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key in shard.photos.text_column("key"):
            source, start, end = places[key]
            with source.open("rb") as file:
                file.seek(start)
                assert tar.fileobj is not None
                tar.fileobj.write(file.read(end - start))
            tar.offset += end - start
    return ShardResult(shard.name, digest_file(path), len(shard.photos))
