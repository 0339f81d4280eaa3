"""The end of a build: the index, the tidied journal, and last the manifest that makes the set complete."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from sat2cap.errors import PairsError
from sat2cap.files import canonical_json, digest, publish, write_json
from sat2cap.pairs import journal
from sat2cap.pairs.dataset import INDEX, MANIFEST, PairSet, open_pairs
from sat2cap.pairs.plan import FORMAT, BuildPlan
from sat2cap.pairs.screening.near_duplicates import remove_hash_cache
from sat2cap.pairs.shard import ShardResult
from sat2cap.pairs.splits.split import leaking

_OPTIONAL = ("author", "title")  # columns that the index has where a source knows them


def _index(plan: BuildPlan, results: Mapping[str, ShardResult], imagery: str) -> gpd.GeoDataFrame:
    parts = []
    for shard in plan.shards:
        part = shard.photos.table.to_pandas()
        part = part[~part.key.isin(list(results[shard.name].dropped))]
        parts.append(part.assign(shard=shard.name, split=shard.split, imagery=imagery))
    frame = pd.concat(parts, ignore_index=True)
    names = ["key", "shard", "split", "lon", "lat", "taken", "user", "licence", "source", "imagery"]
    frame = frame[names + [name for name in _OPTIONAL if (frame[name] != "").any()]]
    frame["taken"] = frame["taken"].astype("datetime64[us]")
    return gpd.GeoDataFrame(frame, geometry=gpd.points_from_xy(frame.lon, frame.lat), crs="EPSG:4326")


def _manifest(plan: BuildPlan, results: Mapping[str, ShardResult], index: gpd.GeoDataFrame) -> dict[str, Any]:
    dropped = Counter(reason for result in results.values() for reason in result.dropped.values())
    shards = {
        shard.name: {"sha256": results[shard.name].sha256, "pairs": results[shard.name].pairs}
        for shard in plan.shards
    }
    leaking_pairs = leaking(
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
        "test_patches_overlapping_training": int(leaking_pairs.sum()),
        "funnel": plan.funnel.drop(dict(sorted(dropped.items()))).as_dict(),
        "provenance": dict(plan.provenance),
        "shards": shards,
    }


def finish(plan: BuildPlan, results: Mapping[str, ShardResult], out: Path, imagery: str) -> PairSet:
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
    remove_hash_cache(out)
    write_json(out / MANIFEST, _manifest(plan, results, index))
    return open_pairs(out)
