"""The end of a build: the index, the rewritten journal, and last the manifest that completes the set."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import geopandas as gpd
import pandas as pd

from sat2cap.errors import PairsError
from sat2cap.files import canonical_json, digest, indented_json
from sat2cap.pairs import journal
from sat2cap.pairs.dataset import MANIFEST, PairSet, open_pairs
from sat2cap.pairs.locations import INDEX
from sat2cap.pairs.plan import FORMAT, BuildPlan
from sat2cap.pairs.screening.near_duplicates import remove_hash_cache
from sat2cap.pairs.shard import ShardResult
from sat2cap.pairs.shard_file import SHARDS, ShardFile
from sat2cap.pairs.shard_reading import locate_pairs
from sat2cap.pairs.splits.split import find_overlapping_pairs
from sat2cap.stores import Store

_OPTIONAL_COLUMNS = ("author", "title")
"""Columns of the index that are left out if they are empty for every pair."""
TEMPORARY_FILES = ("shards/.*.tar", "looks/.*.npy", ".index.*.parquet", ".journal.*.jsonl", ".pairs.*.json")
"""Patterns of the files that a killed build leaves half written in the folder of a pair set."""


def finish_build(plan: BuildPlan, results: Mapping[str, ShardResult], out: Store, imagery: str) -> PairSet:
    """Write the index, rewrite the journal, write the manifest, and return the complete pair set.

    `results` has every shard of `plan` by name; `imagery` is the URI that the index gives as the origin of
    the patches. Raises `PairsError` if no pair could be made.
    """
    index = _make_index(plan, results, imagery, out.child(SHARDS))
    if index.empty:
        reasons = Counter(reason for result in results.values() for reason in result.dropped.values())
        counts = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        raise PairsError(f"{out.name}: no pair could be made ({counts}); check the imagery and the photos")
    with out.writer.stage_file(INDEX) as (file, staged):
        index.to_parquet(file, index=False)
    out.writer.place(staged, INDEX)
    journal.rewrite_journal(out, plan.identity, [results[shard.name] for shard in plan.shards])
    remove_hash_cache(out)
    out.put(MANIFEST, indented_json(_make_manifest(plan, results, index)))
    return open_pairs(out)


def _make_index(
    plan: BuildPlan, results: Mapping[str, ShardResult], imagery: str, shards: Store
) -> gpd.GeoDataFrame:
    """Return one row for each pair, in the order of the shards; columns as in docs/pairs.md."""
    tables = []
    for shard in plan.shards:
        table = shard.photos.table.to_pandas()
        table = table[~table.key.isin(list(results[shard.name].dropped))]
        offsets = results[shard.name].offsets
        if not offsets:
            offsets = [start for _, start, _ in locate_pairs(ShardFile(shards, shard.name))]
        columns = {"shard": shard.name, "offset": offsets, "split": shard.split, "imagery": imagery}
        tables.append(table.assign(**columns))
    frame = pd.concat(tables, ignore_index=True)
    names = ["key", "shard", "offset", "split", "lon", "lat", "taken", "user", "licence", "source", "imagery"]
    frame = frame[names + [name for name in _OPTIONAL_COLUMNS if (frame[name] != "").any()]]
    frame["offset"] = frame["offset"].astype("int64")
    frame["taken"] = frame["taken"].astype("datetime64[us]")
    return gpd.GeoDataFrame(frame, geometry=gpd.points_from_xy(frame.lon, frame.lat), crs="EPSG:4326")


def _make_manifest(
    plan: BuildPlan, results: Mapping[str, ShardResult], index: gpd.GeoDataFrame
) -> dict[str, Any]:
    """Return the content of `pairs.json`, as described in docs/pairs.md."""
    dropped = Counter(reason for result in results.values() for reason in result.dropped.values())
    shards = {
        shard.name: {"sha256": results[shard.name].sha256, "pairs": results[shard.name].pairs}
        for shard in plan.shards
    }
    overlapping_pairs = find_overlapping_pairs(
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
        "test_patches_overlapping_training": int(overlapping_pairs.sum()),
        "funnel": plan.funnel.drop(dict(sorted(dropped.items()))).as_dict(),
        "provenance": dict(plan.provenance),
        "shards": shards,
    }
