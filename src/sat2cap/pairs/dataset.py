"""A pair set on disk: opening it, reading its pairs and checking its shards."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import geopandas as gpd

from sat2cap.display import facts_html
from sat2cap.errors import PairsError
from sat2cap.files import digest_file, parse_json
from sat2cap.pairs.splits.split import SPLITS
from sat2cap.pictures import decode_picture

INDEX = "index.parquet"
MANIFEST = "pairs.json"
_MEMBERS = ("groundlevel.jpg", "overhead.jpg", "metadata.json")


@dataclass(frozen=True)
class Pair:
    """A ground photo and the overhead patch centred on the place where it was taken."""

    key: str
    ground: bytes
    """Photo, encoded as JPEG."""
    overhead: bytes
    """Patch, encoded as JPEG, north up, centred on the photo."""
    lon: float
    """Longitude in degrees, WGS 84."""
    lat: float
    """Latitude in degrees, WGS 84."""
    taken: datetime
    """Local clock time, without a zone."""


@dataclass(frozen=True, repr=False)
class PairSet:
    """A complete pair set on disk."""

    path: Path
    manifest: dict[str, Any]
    """Content of `pairs.json`: provenance, funnel, counts and shards; see docs/pairs.md."""

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
        buffer = io.BytesIO()
        decode_picture(self.sample_pairs(1)[0].overhead).resize((160, 160)).save(buffer, "PNG")
        return facts_html(str(self.path), facts, buffer.getvalue())

    @property
    def fingerprint(self) -> str:
        """Hash that is equal exactly for pair sets whose shards are the same, byte for byte."""
        return str(self.manifest["fingerprint"])

    @cached_property
    def index(self) -> gpd.GeoDataFrame:
        """Table with one row for each pair, in the order of `read`.

        Columns are key, shard, split, lon, lat, taken, user, licence, source, imagery and geometry, also
        author and title where the source of the photos has them. Raises `PairsError` if the file cannot be
        read.
        """
        try:
            return gpd.read_parquet(self.path / INDEX)
        except (OSError, ValueError) as error:
            raise PairsError(
                f"{self.path / INDEX} cannot be read ({_first_line(error)}); build the pairs again"
            ) from error

    def count(self, split: str) -> int:
        """Return the number of pairs in `split`."""
        return int(self.manifest["counts"].get(split, 0))

    def read(self, split: str) -> Iterator[Pair]:
        """Yield every pair of `split` in the order of the index.

        Raises `PairsError` at once for an unknown split, and while iterating for a shard that is broken.
        """
        names = [name for name in self.manifest["shards"] if name.rsplit("-", 1)[0] == split]
        if not names and split not in SPLITS:
            raise PairsError(f"split {split!r} is not in {self.path}; use one of {', '.join(SPLITS)}")
        shards = self.manifest["shards"]
        return chain.from_iterable(
            _read_shard(self.path / "shards" / name, shards[name]["pairs"]) for name in names
        )

    def sample_pairs(self, count: int, split: str | None = None, seed: int = 0) -> list[Pair]:
        """Return at most `count` random pairs, of one split or of all, in the order of the index.

        The same `seed` chooses the same pairs. Raises `PairsError` if a shard is broken.
        """
        rows = self.index if split is None else self.index[self.index.split == split]
        rows = rows.sample(min(count, len(rows)), random_state=seed).sort_index()
        shards = self.manifest["shards"]
        return [
            pair
            for name, keys in rows.groupby("shard", sort=False).key
            for pair in _read_shard(self.path / "shards" / name, shards[name]["pairs"])
            if pair.key in set(keys)
        ]

    def find_problems(self) -> list[str]:
        """Return one line for each shard that is missing or whose bytes are not those that were written.

        Reads every shard to compare its hash with the manifest.
        """
        problems = []
        for name, shard in self.manifest["shards"].items():
            path = self.path / "shards" / name
            if not path.is_file():
                problems.append(f"{name} is missing")
            elif digest_file(path) != shard["sha256"]:
                problems.append(f"{name} has other bytes than were written")
        return problems


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _read_shard(path: Path, expected: int) -> Iterator[Pair]:
    """Yield the pairs of a shard. Raises `PairsError` if it is broken or lacks some of the expected pairs."""
    advice = "build the pairs again: only what is broken is redone"
    count = 0
    try:
        with tarfile.open(path, "r:") as tar:
            members: dict[str, bytes] = {}
            for member in tar:
                key, suffix = member.name.split(".", 1)
                file = tar.extractfile(member)
                members[suffix] = file.read() if file else b""
                if suffix == _MEMBERS[-1]:
                    yield _make_pair(key, members)
                    count += 1
                    members = {}
    except FileNotFoundError as error:
        raise PairsError(f"{path} is missing; {advice}") from error
    except (tarfile.TarError, OSError, ValueError, KeyError) as error:
        raise PairsError(f"{path} is broken ({_first_line(error)}); {advice}") from error
    if count != expected:  # a cut between two members leaves a tar that reads without complaint
        raise PairsError(f"{path} is broken ({count} pairs of {expected}); {advice}")


def _make_pair(key: str, members: dict[str, bytes]) -> Pair:
    """Return a pair from the bytes of its three members, by suffix."""
    ground, overhead, metadata = (members[name] for name in _MEMBERS)
    record = parse_json(metadata)
    taken = datetime.strptime(record["date_taken"], "%Y-%m-%d %H:%M:%S.%f")
    return Pair(key, ground, overhead, float(record["longitude"]), float(record["latitude"]), taken)


def open_pairs(path: Path | str) -> PairSet:
    """Open a complete pair set: the manifest is read, no shard.

    Raises `PairsError` if there is no complete set at `path`, or one of a version that this package cannot
    read.
    """
    path = Path(path)
    try:
        manifest = parse_json((path / MANIFEST).read_text())
    except FileNotFoundError as error:
        raise PairsError(
            f"{path} has no {MANIFEST}: it is no pair set, or an unfinished one; build the pairs"
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
