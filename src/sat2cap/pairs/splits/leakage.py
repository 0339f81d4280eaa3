"""Leakage between splits, measured from the index alone, whatever made the split."""

from itertools import combinations

import geopandas as gpd

from sat2cap.pairs.splits.split import SPLITS, find_overlapping_pairs


def measure_leakage(index: gpd.GeoDataFrame, patch_m: float) -> dict[str, dict[str, int]]:
    """Count what each two splits share, by their names, such as ``train, test``.

    ``pairs`` is the size of the second split; ``overlapping patches`` the number of its pairs whose patch may
    overlap a patch of the first; ``users in both`` the number of people in both; ``pairs by them`` the number
    of pairs of the second that those people took. `patch_m` is the side of a patch in metres. Splits without
    pairs are left out.
    """
    lon, lat = index.lon.to_numpy(), index.lat.to_numpy()
    split = index.split.to_numpy(str)
    leakage = {}
    for lesser, greater in combinations(SPLITS, 2):
        first, second = (index[split == name] for name in (lesser, greater))
        users = (set(first.user) & set(second.user)) - {""}
        if first.empty or second.empty:
            continue
        leakage[f"{lesser}, {greater}"] = {
            "pairs": len(second),
            "overlapping patches": int(
                find_overlapping_pairs(lon, lat, split, patch_m, greater, lesser).sum()
            ),
            "users in both": len(users),
            "pairs by them": int(second.user.isin(users).sum()),
        }
    return leakage


def find_leakage_violations(method: str, leakage: dict[str, dict[str, int]]) -> list[str]:
    """Return one line for each two splits that share what a split by `method` must keep apart.

    A spatial split must not share ground, a split by user no people; a random split promises nothing.
    `leakage` is the result of `measure_leakage`.
    """
    forbidden = {"spatial": "overlapping patches", "user": "users in both"}.get(method)
    if forbidden is None:
        return []
    return [
        f"{splits}: {shared[forbidden]} {forbidden}"
        for splits, shared in leakage.items()
        if shared[forbidden]
    ]
