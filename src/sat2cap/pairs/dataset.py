"""Reading a pair set."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import geopandas as gpd
from PIL import Image

from sat2cap.display import facts_html
from sat2cap.errors import PairsError
from sat2cap.files import digest_file
from sat2cap.pairs.splits.split import SPLITS

INDEX = "index.parquet"
MANIFEST = "pairs.json"
_PARTS = ("groundlevel.jpg", "overhead.jpg", "metadata.json")


@dataclass(frozen=True)
class Pair:
    """One ground photo and the overhead patch around the place it was taken from."""

    key: str
    ground: bytes
    """The photo, JPEG."""
    overhead: bytes
    """The patch, JPEG, north up, centred on the photo."""
    lon: float
    """Degrees east, WGS 84."""
    lat: float
    """Degrees north, WGS 84."""
    taken: datetime
    """Local clock time without zone."""


@dataclass(frozen=True, repr=False)
class PairSet:
    """A complete pair set on disk."""

    path: Path
    manifest: dict[str, Any]
    """What `pairs.json` says: provenance, funnel, counts, shards; see docs/pairs.md."""

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {split}" for split, count in self.manifest["counts"].items())
        return f"<sat2cap pairs {str(self.path)!r}: {counts}>"

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
        with Image.open(io.BytesIO(self.some(1)[0].overhead)) as patch:
            buffer = io.BytesIO()
            patch.resize((160, 160)).save(buffer, "PNG")
        return facts_html(str(self.path), facts, buffer.getvalue())

    @property
    def fingerprint(self) -> str:
        """Equal exactly for pair sets with the same shards, byte for byte."""
        return str(self.manifest["fingerprint"])

    @cached_property
    def index(self) -> gpd.GeoDataFrame:
        """One row a pair, in the order of `read`.

        Columns key, shard, split, lon, lat, taken, user, licence, source, imagery, geometry; author and title
        where the source of the photos knows them.
        """
        try:
            return gpd.read_parquet(self.path / INDEX)
        except (OSError, ValueError) as error:
            raise PairsError(
                f"{self.path / INDEX} cannot be read ({_first_line(error)}); build the pairs again"
            ) from error

    def count(self, split: str) -> int:
        """How many pairs `split` has."""
        return int(self.manifest["counts"].get(split, 0))

    def read(self, split: str) -> Iterator[Pair]:
        """Every pair of `split` in the order of the index.

        Raises `PairsError` for a split that is none, and later, naming it, for a shard that is broken.
        """
        names = [name for name in self.manifest["shards"] if name.rsplit("-", 1)[0] == split]
        if not names and split not in SPLITS:
            raise PairsError(f"split {split!r} is not in {self.path}; use one of {', '.join(SPLITS)}")
        shards = self.manifest["shards"]
        return chain.from_iterable(
            _read_shard(self.path / "shards" / name, shards[name]["pairs"]) for name in names
        )

    def some(self, count: int, split: str | None = None, seed: int = 0) -> list[Pair]:
        """At most `count` pairs chosen by chance, in the order of the index; of one split if asked."""
        rows = self.index if split is None else self.index[self.index.split == split]
        rows = rows.sample(min(count, len(rows)), random_state=seed).sort_index()
        shards = self.manifest["shards"]
        return [
            pair
            for name, keys in rows.groupby("shard", sort=False).key
            for pair in _read_shard(self.path / "shards" / name, shards[name]["pairs"])
            if pair.key in set(keys)
        ]

    def problems(self) -> list[str]:
        """What is wrong on disk: shards that are missing or whose bytes are not those that were written."""
        found = []
        for name, shard in self.manifest["shards"].items():
            path = self.path / "shards" / name
            if not path.is_file():
                found.append(f"{name} is missing")
            elif digest_file(path) != shard["sha256"]:
                found.append(f"{name} has other bytes than were written")
        return found


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _read_shard(path: Path, expected: int) -> Iterator[Pair]:
    advice = "build the pairs again: only what is broken is redone"
    count = 0
    try:
        with tarfile.open(path, "r:") as tar:
            parts: dict[str, bytes] = {}
            for member in tar:
                key, part = member.name.split(".", 1)
                file = tar.extractfile(member)
                parts[part] = file.read() if file else b""
                if part == _PARTS[-1]:
                    yield _pair(key, parts)
                    count += 1
                    parts = {}
    except FileNotFoundError as error:
        raise PairsError(f"{path} is missing; {advice}") from error
    except (tarfile.TarError, OSError, ValueError, KeyError) as error:
        raise PairsError(f"{path} is broken ({_first_line(error)}); {advice}") from error
    if count != expected:  # a cut between two members leaves a tar that reads without complaint
        raise PairsError(f"{path} is broken ({count} pairs of {expected}); {advice}")


def _pair(key: str, parts: dict[str, bytes]) -> Pair:
    ground, overhead, metadata = (parts[name] for name in _PARTS)
    record = json.loads(metadata)
    taken = datetime.strptime(record["date_taken"], "%Y-%m-%d %H:%M:%S.%f")
    return Pair(key, ground, overhead, float(record["longitude"]), float(record["latitude"]), taken)


def open_pairs(path: Path | str) -> PairSet:
    """Open a complete pair set. Raises `PairsError` if there is none, or of a version not known here."""
    path = Path(path)
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except FileNotFoundError as error:
        raise PairsError(
            f"{path} has no {MANIFEST}: no pair set, or not finished; build the pairs"
        ) from error
    except (OSError, ValueError) as error:
        raise PairsError(
            f"{path / MANIFEST} cannot be read ({_first_line(error)}); build the pairs again"
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != "sat2cap pairs":
        raise PairsError(f"{path / MANIFEST} does not describe pairs; give the folder that the build wrote")
    if manifest.get("version") != 1:
        raise PairsError(
            f"{path} has pairs of version {manifest.get('version')}; this package reads version 1"
        )
    return PairSet(path, manifest)
