"""How fast photo records are screened, and in how much memory: made-up YFCC100M metadata as text.

    python benchmarks/screening.py [ROWS] [FOLDER]

writes the file once (5 million rows by default), screens it with the paper's rules, and does the same with
pandas, as one would write it: the ratio of the two is the figure.
"""

import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote_plus

import duckdb
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from odc.geo.geobox import GeoBox

from sat2cap.imagery import ImageryInfo
from sat2cap.pairs import PatchSpec, Rules, SplitPlan
from sat2cap.pairs.plan import BuildPlan, plan_pairs
from sat2cap.pairs.screening.areas import Area
from sat2cap.pairs.screening.screen import screen_records
from sat2cap.photos import ListedPhotos, YfccRecords
from sat2cap.photos.files import FolderFiles
from sat2cap.photos.yfcc import _COLUMNS, _USED_COLUMNS

ALL_ROWS = 100_000_000
_TEXT = "some+words+of+a+description%2C+as+people+write+them+under+a+photo%3A+" * 3
_ROWS = """
with drawn as (select n, hash(n, 1) % 1000 as place, hash(n, 2) / 2**64 as east, hash(n, 3) / 2**64 as north,
    hash(n, 4) % 1000 as exact, hash(n, 5) % 315360000 as second, hash(n, 6) % 200000 as someone,
    ['by-nc-sa', 'by-nc-nd', 'by', 'by-nc', 'by-sa', 'by-nd'][1 + (hash(n, 7) % 6)::integer] as kind
    from range({count}) numbers(n))
select n, 1000000000 + n, md5(n::varchar), someone || '@N00', 'name+' || someone,
    (timestamp '2004-01-01' + to_seconds(second::bigint))::varchar || '.0', 1331840483, 'Canon', 'IMG_' || n,
    '{text}', 'a,b,c', '',
    case when place < 480 then round(east * 360 - 180, 6)::varchar else '' end,
    case when place < 480 then round(north * 135 - 60, 6)::varchar else '' end,
    case when place >= 480 then '' when exact < 540 then '16' else (1 + exact % 15)::varchar end,
    'http://www.flickr.com/photos/' || someone || '/' || n || '/',
    'http://farm8.staticflickr.com/7205/' || n || '_ab.jpg', 'License',
    'http://creativecommons.org/licenses/' || kind || '/2.0/', 1, 8, 'ab', 'cd', 'jpg', 0
from drawn order by n
"""


def write_rows(path: Path, count: int) -> None:
    """Write rows with the shares of the real ones: half have a place, half of these to a street."""
    rows = _ROWS.format(count=count, text=_TEXT)
    duckdb.execute(f"copy ({rows}) to '{path}' (format csv, delimiter '\t', header false, quote '')")


def screen_with_pandas(path: Path) -> int:
    """Return how many rows pass the same rules in pandas, in chunks, unchecked for their form."""
    parts = []
    read = {
        "sep": "\t",
        "header": None,
        "names": _COLUMNS,
        "usecols": _USED_COLUMNS,
        "dtype": str,
        "quoting": 3,
    }
    for rows in pd.read_csv(path, keep_default_na=False, chunksize=250_000, **read):
        rows = rows[(rows.marker != "1") & (rows.longitude != "")]
        rows = rows[rows.accuracy.astype(int) >= 16]
        lon, lat = rows.longitude.astype(float), rows.latitude.astype(float)
        rows = rows.assign(lon=lon, lat=lat, taken=pd.to_datetime(rows.datetaken.str[:19]))
        rows = rows[~(rows.lon.between(-88, -80) & rows.lat.between(30, 45))]
        rows = rows[rows.taken.dt.year.between(2000, 2024) & (rows.taken != rows.taken.dt.normalize())]
        parts.append(rows.assign(title=rows.title.map(unquote_plus), author=rows.unickname.map(unquote_plus)))
    rows = pd.concat(parts).drop_duplicates("photoid")
    place = {"east": rows.lon.round(4), "north": rows.lat.round(4), "minute": rows.taken.dt.floor("min")}
    rows = rows[~rows.assign(**place).duplicated(["uid", *place])]
    rows = rows[rows.groupby("uid").cumcount() < 1000]
    row = np.floor(rows.lat * 111.195)
    column = np.floor(rows.lon * 111.195 * np.cos(np.radians((row + 0.5) / 111.195)).clip(lower=0.01))
    return int((rows.groupby([row, column]).cumcount() < 100).sum())


@dataclass(frozen=True)
class Everywhere:
    """Imagery of which a plan only needs the outline."""

    footprint: None = None

    @property
    def info(self) -> ImageryInfo:
        return ImageryInfo("everywhere", "everywhere", 0.6)

    def read(self, box: GeoBox) -> xr.DataArray:
        """Refuse: a plan reads no pixels."""
        raise NotImplementedError


def plan_dataset(path: Path, rules: Rules) -> BuildPlan:
    """Do all that a build does before the first pair: screening, splitting, cutting into shards."""
    photos = ListedPhotos(YfccRecords(path), FolderFiles(path.parent))
    return plan_pairs(
        photos, Everywhere(), patch=PatchSpec(), rules=rules, split=SplitPlan(), seed=0, per_shard=1000
    )


def peak_mb() -> int:
    """Return the most memory that this process has had."""
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
    start_s = time.perf_counter()
    screened, funnel = screen_records(YfccRecords(path).records(), rules)
    ours_s = time.perf_counter() - start_s
    screened_mb = peak_mb()
    start_s = time.perf_counter()
    by_pandas = screen_with_pandas(path)
    pandas_s = time.perf_counter() - start_s
    table_bytes = screened.table.nbytes
    del screened
    start_s = time.perf_counter()
    pairs = plan_dataset(path, rules).pair_count
    plan_s = time.perf_counter() - start_s
    figures = {
        "rows": rows,
        "file_gb": round(path.stat().st_size / 1e9, 2),
        "rows_per_s": round(rows / ours_s),
        "pandas_rows_per_s": round(rows / pandas_s),
        "ratio": round(pandas_s / ours_s, 2),
        "kept": funnel.kept_count,
        "kept_by_pandas": by_pandas,
        "dropped": dict(funnel.dropped),
        "peak_mb_before": before_mb,
        "peak_mb_screened": screened_mb,
        "kept_table_bytes_a_photo": round(table_bytes / max(1, funnel.kept_count)),
        "planned_pairs": pairs,
        "plan_s_beyond_screening": round(plan_s - ours_s, 1),
        "peak_mb_planned": peak_mb(),
        "hours_for_100M_rows_if_linear": round(ALL_ROWS / (rows / ours_s) / 3600, 2),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
