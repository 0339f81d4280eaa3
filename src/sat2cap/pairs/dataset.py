"""A pair set on disk: opening it, reading its pairs and checking its shards."""

import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

from sat2cap.arguments import check_path
from sat2cap.display import facts_html
from sat2cap.errors import PairsError, quote
from sat2cap.files import digest, parse_own_json
from sat2cap.pairs.locations import INDEX, PairLocations, locate_split
from sat2cap.pairs.shard_file import SHARDS, ShardFile
from sat2cap.pairs.shard_reading import Pair, first_line, locate_pairs, read_pairs_at, read_shard
from sat2cap.pairs.splits.split import SPLITS
from sat2cap.pictures import decode_picture
from sat2cap.progress import Progress, silent
from sat2cap.stores import Store, open_object, open_store

MANIFEST = "pairs.json"
_INDEX_COLUMNS = ("key", "shard", "split", "lon", "lat", "taken", "user", "licence", "source", "imagery")


@dataclass(frozen=True, repr=False)
class PairSet:
    """A complete pair set in a folder, in a bucket or on a web server."""

    store: Store
    """Where it lies."""
    manifest: dict[str, Any]
    """Content of `pairs.json`: provenance, funnel, counts and shards; see docs/pairs.md."""

    def __reduce__(self) -> tuple[type["PairSet"], tuple[Store, dict[str, Any]]]:
        """Pickle without what was read."""
        return PairSet, (self.store, self.manifest)

    @property
    def name(self) -> str:
        """The folder or address in messages, without secrets."""
        return self.store.name

    @property
    def folder(self) -> Path | None:
        """The folder on this machine; None for an address."""
        return self.store.folder

    @property
    def path(self) -> Path:
        """The folder. Raises `PairsError` for an address."""
        if self.store.folder is None:
            raise PairsError(f"{self.name} is no folder of this machine; copy the pairs to one")
        return self.store.folder

    def shard(self, name: str) -> ShardFile:
        """Return the shard of a file name."""
        return ShardFile(self.store.child(SHARDS), name)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {split}" for split, count in self.manifest["counts"].items())
        return f"<sat2cap pairs {self.name!r}: {counts}>"

    def _repr_html_(self) -> str:
        """Return the overhead patch of one pair beside a table of facts, for notebooks."""
        index = self.index
        facts = {f"{split} pairs": f"{count:,}" for split, count in self.manifest["counts"].items()}
        facts |= {
            "taken": f"{index.taken.min():%Y-%m-%d} to {index.taken.max():%Y-%m-%d}",
            "photographers": f"{index.user.nunique():,}",
            "licences": ", ".join(sorted(index.licence.unique())),
            "imagery": ", ".join(sorted(index.imagery.unique())),
        }
        buffer = io.BytesIO()
        decode_picture(self.sample_pairs(1)[0].overhead).resize((160, 160)).save(buffer, "PNG")
        return facts_html(self.name, facts, buffer.getvalue())

    @property
    def fingerprint(self) -> str:
        """Hash that is equal exactly for pair sets whose shards are the same, byte for byte."""
        return str(self.manifest["fingerprint"])

    @cached_property
    def index(self) -> gpd.GeoDataFrame:
        """Table with one row for each pair, in the order of `read`.

        Columns are key, shard, offset, split, lon, lat, taken, user, licence, source, imagery and geometry,
        also author and title where the source of the photos has them. Raises `PairsError` if the file cannot
        be read.
        """
        with self._index_errors():
            with open_object(self.store, INDEX) as file:
                table = gpd.read_parquet(file)
            missing = [name for name in _INDEX_COLUMNS if name not in table.columns]
            if missing:
                raise ValueError(f"it has no column {missing[0]}")
            return table

    def count(self, split: str) -> int:
        """Return the number of pairs in a split: ``train``, ``val`` or ``test``.

        0 for a split that the set lacks.
        """
        return int(self.manifest["counts"].get(split, 0))

    def read(self, split: str) -> Iterator[Pair]:
        """Yield every pair of `split` in the order of the index.

        Raises `PairsError` at once for an unknown split, and while iterating for a shard that is broken.
        """
        shards, names = self.manifest["shards"], self._shard_names(split)
        return chain.from_iterable(read_shard(self.shard(name), shards[name]["pairs"]) for name in names)

    def read_rows(self, split: str, rows: Iterable[int]) -> Iterator[tuple[int, Pair]]:
        """Yield the pairs at some positions of a split, each with its position, in rising order.

        Positions count from 0 in the order of `read`. Only the bytes of these pairs are read. Raises
        `PairsError` at once for an unknown split or a position that it does not have, and while iterating for
        a shard that is broken.
        """
        wanted, names, count = sorted(set(rows)), self._shard_names(split), self.count(split)
        if wanted and not 0 <= wanted[0] <= wanted[-1] < count:
            raise PairsError(f"{self.name} has {count} pairs in {split!r}, so none at {wanted[-1]}")
        return chain.from_iterable(
            zip(positions, read_pairs_at(shard, offsets), strict=True)
            for shard, positions, offsets in self._locate_rows(names, split, wanted)
        )

    def locate(self, split: str, cache: Path, progress: Progress = silent) -> PairLocations:
        """Return where the pairs of a split lie in their shards, in the order of `read`; no picture is read.

        A set of an older version, whose index has no positions, is read by the headers of its shards, once:
        the positions are kept in the folder `cache`. Raises `PairsError` for an unknown split, for an index
        that does not fit the shards, and for a shard that is missing or cut.
        """
        shards = [self.shard(name) for name in self._shard_names(split)]
        cached = cache / f"offsets-{split}-{digest(self.fingerprint, split)[:24]}.npy"
        return locate_split(self.store, shards, split, self.count(split), cached, progress)

    def _locate_rows(
        self, names: Sequence[str], split: str, wanted: Sequence[int]
    ) -> Iterator[tuple[ShardFile, list[int], list[int]]]:
        """Yield each shard with those of the wanted positions that it holds, and where their pairs lie."""
        offsets, first, queue = self._offsets.get(split), 0, deque(wanted)
        for name in names:
            shard, last = self.shard(name), first + self.manifest["shards"][name]["pairs"]
            positions = []
            while queue and queue[0] < last:
                positions.append(queue.popleft())
            if positions:
                if offsets is None:
                    starts = [start for _, start, _ in locate_pairs(shard)]
                    yield shard, positions, [starts[row - first] for row in positions]
                else:
                    yield shard, positions, offsets[positions].tolist()
            first = last

    @cached_property
    def _offsets(self) -> dict[str, NDArray[np.int64]]:
        """Position in bytes of every pair in its shard, by split; empty for an index of an older version."""
        with self._index_errors():
            with open_object(self.store, INDEX) as file:
                if "offset" not in parquet.read_schema(file).names:
                    return {}
                table = parquet.read_table(file, columns=["split", "offset"])
            split, offset = table["split"].to_numpy(), table["offset"].to_numpy()
        return {name: offset[split == name] for name in self.manifest["counts"]}

    @contextmanager
    def _index_errors(self) -> Iterator[None]:
        """Turn whatever three libraries raise on a damaged index into a `PairsError` of one line."""
        try:
            yield
        except Exception as error:
            raise PairsError(
                f"{self.name}/{INDEX} cannot be read ({quote(first_line(error))}); build the pairs again"
            ) from error

    def _shard_names(self, split: str) -> list[str]:
        """Return the names of a split's shards. Raises `PairsError` for a split that the set cannot have."""
        names = [name for name in self.manifest["shards"] if name.rsplit("-", 1)[0] == split]
        if not names and split not in SPLITS:
            raise PairsError(f"split {split!r} is not in {self.name}; use one of {', '.join(SPLITS)}")
        return names

    def sample_pairs(self, count: int, split: str | None = None, seed: int = 0) -> list[Pair]:
        """Return at most `count` random pairs, of one split or of all, in the order of the index.

        The same `seed` chooses the same pairs. Raises `PairsError` if a shard is broken.
        """
        rows = self.index if split is None else self.index[self.index.split == split]
        rows = rows.sample(min(count, len(rows)), random_state=seed).sort_index()
        within = self.index.groupby("split").cumcount()
        by_row = {
            (name, position): pair
            for name, chosen in rows.groupby("split")
            for position, pair in self.read_rows(name, within[chosen.index].tolist())
        }
        return [by_row[name, within[row]] for row, name in rows.split.items()]

    def find_problems(self) -> list[str]:
        """Return one line for each shard that is missing or whose bytes are not those that were written.

        Reads every shard to compare its hash with the manifest.
        """
        problems = []
        for name, shard in self.manifest["shards"].items():
            try:
                is_intact = self.shard(name).digest() == shard["sha256"]
            except (FileNotFoundError, IsADirectoryError):
                problems.append(f"{name} is missing")
                continue
            if not is_intact:
                problems.append(f"{name} has other bytes than were written")
        return problems


def open_pairs(path: Path | str | Store) -> PairSet:
    """Open a complete pair set in a folder, or at an address: the manifest is read, no shard.

    Raises `PairsError` if there is no complete set at `path`, or one of a version that this package cannot
    read, and `StoreError` if a bucket or server does not give it.
    """
    check_path(path, "path", "the folder or address of a pair set", opened="get_range")
    store = open_store(path)
    place, again = f"{store.name}/{MANIFEST}", "build the pairs again"
    if store.folder is None:
        again = "copy the pairs there again"
    try:
        manifest = parse_own_json(store.get(MANIFEST).decode())
    except FileNotFoundError as error:
        fix = "build the pairs" if store.folder is not None else "check the address"
        raise PairsError(
            f"{store.name} has no {MANIFEST}: it is no pair set, or an unfinished one; {fix}"
        ) from error
    except (OSError, ValueError) as error:
        raise PairsError(f"{place} cannot be read ({first_line(error)}); {again}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != "sat2cap pairs":
        raise PairsError(f"{place} does not describe pairs; give the folder that the build wrote")
    if manifest.get("version") != 1:
        raise PairsError(
            f"{store.name} has pairs of version {manifest.get('version')}; this package reads version 1"
        )
    if not _is_sound(manifest):
        raise PairsError(f"{place} is damaged (counts or shards); {again}")
    return PairSet(store, manifest)


def _is_sound(manifest: dict[str, Any]) -> bool:
    """Return whether a manifest has what reading pairs needs, and names no file outside its folder."""
    counts, shards = manifest.get("counts"), manifest.get("shards")
    if not isinstance(manifest.get("fingerprint"), str):
        return False
    if not isinstance(counts, dict) or not isinstance(shards, dict):
        return False
    return all(_is_count(count) for count in counts.values()) and all(
        isinstance(shard, dict)
        and _is_count(shard.get("pairs"))
        and isinstance(shard.get("sha256"), str)
        and name == Path(name).name
        and name.endswith(".tar")
        for name, shard in shards.items()
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63
