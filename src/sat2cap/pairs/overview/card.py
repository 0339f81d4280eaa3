"""The data card of a pair set: content, sources, photographers to credit, and records left out."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd

from sat2cap.locks import temporary_folder
from sat2cap.pairs.dataset import PairSet
from sat2cap.pairs.overview.pictures import draw_density, draw_funnel, draw_times
from sat2cap.pairs.splits.leakage import measure_leakage
from sat2cap.pairs.splits.split import SPLITS
from sat2cap.stores import Store, open_store

CARD = "README.md"
"""File name of the card."""
ATTRIBUTION = "attribution.csv"
"""File name of the list of photos with author, page and licence."""
_CREDIT_COLUMNS = ("key", "author", "user", "title", "licence", "source")


def write_card(
    pairs: PairSet,
    place: Path | str | Store,
    borders: gpd.GeoDataFrame | None = None,
    loss: Mapping[str, float] | None = None,
) -> Path | str:
    """Write the card, its pictures and the list of attributions, and return the path or address of the card.

    `place` is a folder, an address in a bucket, or a store. `borders` are drawn on the map. `loss` is the
    result of `measure_storage_psnr`; without it the card says that the loss was not measured. Raises
    `PairsError` for a damaged index, and `StoreError` where nothing can be written.
    """
    store, index = open_store(place), pairs.index
    _ = store.writer  # which a web server has not
    with temporary_folder("sat2cap-card-") as folder:
        draw_funnel(pairs.manifest["funnel"], folder / "funnel.png")
        draw_density(index, folder / "density.png", borders)
        draw_times(index, folder / "times.png")
        _write_attribution(index, folder / ATTRIBUTION)
        for name in ("funnel.png", "density.png", "times.png", ATTRIBUTION):
            store.put(name, (folder / name).read_bytes())
    store.put(CARD, "\n".join(_card_lines(pairs, loss)).encode())
    return f"{store.name}/{CARD}" if store.folder is None else store.folder / CARD


def _write_attribution(index: gpd.GeoDataFrame, path: Path) -> None:
    """Write whom to credit as CSV, a row for each photo, sorted by key."""
    names = [name for name in _CREDIT_COLUMNS if name in index]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(index[names].sort_values("key").itertuples(index=False))


def _card_lines(pairs: PairSet, loss: Mapping[str, float] | None) -> Iterable[str]:
    """Yield the lines of the card, in Markdown."""
    manifest, index = pairs.manifest, pairs.index
    west, south, east, north = index.total_bounds
    yield from ("---", "license: other", "task_categories: [image-feature-extraction]", "---", "")
    yield from (f"# Pair set {manifest['fingerprint'][:12]}", "")
    yield f"{len(index):,} pairs of a ground photo and an overhead patch centred on it, taken"
    yield f"{index.taken.min():%Y-%m-%d} to {index.taken.max():%Y-%m-%d} by {index.user.nunique():,} users,"
    yield f"within {west:.4f},{south:.4f},{east:.4f},{north:.4f} degrees.\n"
    counts = [(name, manifest["counts"][name]) for name in SPLITS if name in manifest["counts"]]
    yield from _table_lines(("split", "pairs"), counts)
    yield from _source_lines(manifest["provenance"])
    yield from _storage_lines(manifest["provenance"]["patch"], loss)
    yield from ("## What was left out", "", "![Records left after each rule](funnel.png)", "")
    funnel = manifest["funnel"]
    yield from _table_lines(
        ("", "records"),
        [("listed", funnel["records"]), *funnel["dropped"].items(), ("**kept**", funnel["kept"])],
    )
    yield from ("## Licences and credit", "")
    yield from _table_lines(("licence", "pairs"), index.licence.value_counts().items())
    yield f"Every photo's author, page and licence are in [{ATTRIBUTION}]({ATTRIBUTION}).\n"
    yield from ("## Where and when", "", "![Pairs on the map](density.png)", "")
    yield from ("![Pairs by month and local hour](times.png)", "")
    yield from ("## What the splits share", "", *_leakage_lines(pairs))


def _source_lines(provenance: Mapping[str, Any]) -> Iterable[str]:
    """Yield the section on photos, imagery, split and rules."""
    imagery, split = provenance["imagery"], provenance["split"]
    yield from ("## What it was made from", "")
    credit = imagery["attribution"] or "attribution unknown"
    rows = [
        ("photos", f"`{provenance['photos']}`"),
        ("imagery", f"`{imagery['uri']}`, {imagery['gsd_m']:g} m; {credit}; licence: {imagery['licence']}"),
        ("split", f"{split['method']}, seed {provenance['seed']}, shares {split['fractions']}"),
        *((f"rule {name}", f"`{value}`") for name, value in provenance["rules"].items()),
    ]
    yield from _table_lines(("", ""), rows)


def _storage_lines(patch: Mapping[str, Any], loss: Mapping[str, float] | None) -> Iterable[str]:
    """Yield the section on the size and quality of the stored patches."""
    yield from ("## The patches as stored", "")
    size_m, pixels = patch["size_m"], patch["pixels"]
    yield f"{size_m:g} m at {pixels} pixels ({size_m / pixels:.2f} m each), JPEG quality {patch['quality']}."
    if loss is None:
        yield "The loss against 800 pixels was not measured; make the card with `--imagery` to measure it.\n"
        return
    yield f"Against 800 pixels, a network at 224 pixels reads the whole patch with {loss['whole_db']} dB"
    yield f"PSNR and its middle half, as augmentation may crop it, with {loss['crop_db']} dB. A patch takes"
    yield f"{loss['stored_bytes']:,.0f} bytes instead of {loss['full_bytes']:,.0f}."
    yield f"({loss['patches']:.0f} patches)\n"


def _leakage_lines(pairs: PairSet) -> Iterable[str]:
    """Yield a table of the ground and users that two splits share."""
    leakage = measure_leakage(pairs.index, pairs.manifest["provenance"]["patch"]["size_m"])
    if not leakage:
        yield "There is only one split.\n"
        return
    headings = list(next(iter(leakage.values())))
    yield from _table_lines(
        ("splits", *headings), [(name, *values.values()) for name, values in leakage.items()]
    )


def _table_lines(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterable[str]:
    """Yield a Markdown table, integers with thousands separators, and an empty line."""
    names = list(headings)
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"
    yield ""
