"""Whether what trains also tests: the check of a split, which knows nothing of how the split was made."""

from itertools import combinations

import geopandas as gpd

from sat2cap.pairs.splits.split import SPLITS, leaking


def leaks(index: gpd.GeoDataFrame, patch_m: float) -> dict[str, dict[str, int]]:
    """For each two splits, such as ``train, test``: what they share.

    ``overlapping patches`` counts pairs of the second whose patch may show ground that a patch of the first
    shows; ``users in both`` people; ``pairs by them`` how many pairs of the second those people took.
    """
    lon, lat = index.lon.to_numpy(), index.lat.to_numpy()
    split = index.split.to_numpy(str)
    found = {}
    for lesser, greater in combinations(SPLITS, 2):
        first, second = (index[split == name] for name in (lesser, greater))
        users = (set(first.user) & set(second.user)) - {""}
        if first.empty or second.empty:
            continue
        found[f"{lesser}, {greater}"] = {
            "pairs": len(second),
            "overlapping patches": int(leaking(lon, lat, split, patch_m, greater, lesser).sum()),
            "users in both": len(users),
            "pairs by them": int(second.user.isin(users).sum()),
        }
    return found


def broken_promises(method: str, found: dict[str, dict[str, int]]) -> list[str]:
    """What a split of this kind must never share, and does; empty when it keeps what it promises."""
    promise = {"spatial": "overlapping patches", "user": "users in both"}.get(method)
    if promise is None:
        return []
    return [f"{splits}: {shared[promise]} {promise}" for splits, shared in found.items() if shared[promise]]
