"""How fast photo records are screened, and in how much memory: made-up YFCC100M metadata as text.

    python benchmarks/screening.py [ROWS] [FOLDER]

writes the file once (5 million rows by default), screens it with the paper's rules, and beside that applies
the first of them in a plain loop over the text, as one would write it: the ratio of the two is the figure.
"""

import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import shapely

from sat2cap.pairs import PatchSpec, SplitPlan
from sat2cap.pairs.area import Area
from sat2cap.pairs.plan import BuildPlan, plan_pairs
from sat2cap.pairs.rules import Rules
from sat2cap.pairs.screen import screen_records
from sat2cap.sources.imagery import ImageryInfo
from sat2cap.sources.photofiles import FolderFiles, ListedPhotos
from sat2cap.sources.yfcc import YfccRecords

ALL_ROWS = 100_000_000
_CHUNK = 100_000
_TEXT = "some+words+of+a+description%2C+as+people+write+them+under+a+photo%3A+" * 3
_KINDS = ("by-nc-sa", "by-nc-nd", "by", "by-nc", "by-sa", "by-nd")


def write_rows(path: Path, count: int) -> None:
    """Rows with the shares of the real ones: half have a place, half of those are accurate to a street."""
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        for start in range(0, count, _CHUNK):
            placed, lon, lat = (
                rng.random(_CHUNK) < 0.48,
                rng.uniform(-180, 180, _CHUNK),
                rng.uniform(-60, 75, _CHUNK),
            )
            level = np.where(rng.random(_CHUNK) < 0.54, 16, rng.integers(1, 16, _CHUNK))
            moment = np.datetime64("2004-01-01", "s") + rng.integers(0, 10 * 365 * 86400, _CHUNK)
            user, kind = rng.integers(0, 200_000, _CHUNK), rng.integers(0, 6, _CHUNK)
            file.writelines(
                f"{start + n}\t{10**9 + start + n}\t{'0' * 32}\t{user[n]}@N00\tname+{user[n]}\t"
                f"{str(moment[n]).replace('T', ' ')}.0\t1331840483\tCanon\tIMG_{n}\t{_TEXT}\ta,b,c\t\t"
                + (f"{lon[n]:.6f}\t{lat[n]:.6f}\t{level[n]}" if placed[n] else "\t\t")
                + f"\thttp://www.flickr.com/photos/{user[n]}/{n}/\thttp://farm8.staticflickr.com/7205/{n}_ab.jpg"
                f"\tLicense\thttp://creativecommons.org/licenses/{_KINDS[kind[n]]}/2.0/\t1\t8\tab\tcd\tjpg\t0\n"
                for n in range(min(_CHUNK, count - start))
            )


def plain_loop(path: Path) -> int:
    """Rows with an accurate place and a date in range, by splitting every line."""
    kept = 0
    with path.open() as file:
        for line in file:
            row = line.rstrip("\n").split("\t")
            if row[24] == "1" or not row[12] or int(row[14]) < 16:
                continue
            moment = datetime.fromisoformat(row[5][:19])
            if -88 <= float(row[12]) <= -80 and 30 <= float(row[13]) <= 45:
                continue
            kept += 2000 <= moment.year <= 2024
    return kept


@dataclass(frozen=True)
class Everywhere:
    """Imagery that a plan only asks for its outline."""

    footprint: None = None

    @property
    def info(self) -> ImageryInfo:
        return ImageryInfo("everywhere", "everywhere", 0.6)


def plan(path: Path, rules: Rules) -> BuildPlan:
    """All that a build does before the first pair: screening, splitting, cutting into shards."""
    photos = ListedPhotos(YfccRecords(path), FolderFiles(path.parent))
    settings = {"split": SplitPlan(), "seed": 0, "per_shard": 1000}
    return plan_pairs(photos, Everywhere(), patch=PatchSpec(), rules=rules, **settings)


def peak_mb() -> int:
    """The most memory this process has had."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.gettempdir())
    path = folder / f"sat2cap-yfcc-{rows}.tsv"
    if not path.exists():
        write_rows(path, rows)
    usa = Area("box", shapely.box(-88, 30, -80, 45))
    rules = Rules(latest=datetime(2024, 12, 31), excluded=usa, per_user=1000, per_cell=100)
    before_mb = peak_mb()
    began = time.perf_counter()
    kept, funnel = screen_records(YfccRecords(path).records(), rules)
    ours_s = time.perf_counter() - began
    screened_mb = peak_mb()
    began = time.perf_counter()
    by_hand = plain_loop(path)
    plain_s = time.perf_counter() - began
    table_bytes = kept.table.nbytes
    del kept
    began = time.perf_counter()
    pairs = plan(path, rules).pairs
    plan_s = time.perf_counter() - began
    figures = {
        "rows": rows,
        "file_gb": round(path.stat().st_size / 1e9, 2),
        "rows_per_s": round(rows / ours_s),
        "plain_loop_rows_per_s": round(rows / plain_s),
        "ratio": round(plain_s / ours_s, 2),
        "kept": funnel.kept,
        "kept_by_plain_loop": by_hand,
        "dropped": dict(funnel.dropped),
        "peak_mb_before": before_mb,
        "peak_mb_screened": screened_mb,
        "kept_table_bytes_a_photo": round(table_bytes / max(1, funnel.kept)),
        "planned_pairs": pairs,
        "plan_s_beyond_screening": round(plan_s - ours_s, 1),
        "peak_mb_planned": peak_mb(),
        "hours_for_100M_rows_if_linear": round(ALL_ROWS / (rows / ours_s) / 3600, 2),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
