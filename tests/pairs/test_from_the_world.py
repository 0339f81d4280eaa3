"""The whole way on real records: rows of YFCC100M inside two Landsat mosaics, photos from a site on loopback,
one in ten of them failing; killed while downloading and while making shards, and resumed to the same set."""

import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from made_up import hash_files
from real_data import YFCC, mosaic, needs_data, photo_answer, photo_site, placeholder

from sat2cap.imagery.raster import open_raster
from sat2cap.pairs import PatchSpec, Rules, SplitPlan, build_pairs, open_pairs
from sat2cap.pairs.build import STAGE
from sat2cap.photos.download import Downloads
from sat2cap.photos.files import ListedPhotos
from sat2cap.photos.yfcc import _COLUMNS, YfccRecords

pytestmark = needs_data
INSIDE = {"451484067", "2677583631", "13137609893", "3464703920"}
FAILS = 10  # one photo in ten
PATCH = PatchSpec(size_m=4800, pixels=16)


def fails(path: str) -> bool:
    return int("".join(filter(str.isdigit, path)) or 0) % FAILS == 3


def answer(path, times):
    return (404, b"", {}) if fails(path) else photo_answer(path, times)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The 1,000 rows, and copies of the four inside the mosaics at places and times nearby: 1,000 + 76."""
    folder = tmp_path_factory.mktemp("world")
    lines = YFCC.read_text(encoding="utf-8").split("\n")[:-1]
    rows = [dict(zip(_COLUMNS, line.split("\t"), strict=True)) for line in lines]
    inside = [row for row in rows if row["photoid"] in INSIDE]
    rng = np.random.default_rng(0)
    for number in range(76):
        row = dict(inside[number % 4])
        row["photoid"] = row["line"] = str(9_000_000 + number)
        row["longitude"] = f"{float(row['longitude']) + rng.uniform(-0.2, 0.2):.6f}"
        row["latitude"] = f"{float(row['latitude']) + rng.uniform(-0.15, 0.15):.6f}"
        row["datetaken"] = f"2012-{1 + number % 12:02d}-11 {number % 24:02d}:30:00.0"
        row["downloadurl"] = f"http://farm9.example/7/{row['photoid']}_ab.jpg"
        rows.append(row)
    (folder / "rows.tsv").write_text("".join("\t".join(row.values()) + "\n" for row in rows))
    mosaic(folder / "mosaic.vrt")
    return folder


@dataclass(frozen=True)
class KillAt:
    """Kills its own process the first time a stage has come so far."""

    stage: str
    share: float
    flag: Path

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage == self.stage and done >= self.share * total and self.flag.exists():
            self.flag.unlink()
            os.kill(os.getpid(), 9)


def silent(stage: str, done: int, total: int) -> None:
    pass


def build_small(world: Path, out: Path, url: str, progress=silent, workers: int = 1, **options):
    files = Downloads(out / "photos", mirror=f"{url}/{{path}}", per_second=300)
    return build_pairs(
        ListedPhotos(YfccRecords(world / "rows.tsv"), files),
        open_raster(str(world / "mosaic.vrt")),
        out / "pairs",
        patch=PATCH,
        rules=Rules(least_level=14),
        split=SplitPlan(fractions=(0.5, 0.2, 0.3), block_km=30),
        per_shard=9,
        workers=workers,
        progress=progress,
        **options,
    )


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory):
    """An undisturbed build."""
    with photo_site(answer) as site:
        return build_small(world, tmp_path_factory.mktemp("whole"), site.url)


def test_the_set_is_the_rows_inside_less_what_failed(whole, world):
    funnel = whole.manifest["funnel"]
    assert funnel["records"] == 1076
    assert funnel["dropped"]["outside the imagery"] > 50
    keys = set(whole.index.key)
    listed = {key for key in INSIDE if key in keys}
    dropped = funnel["dropped"]["not fetched: HTTP 404"]
    assert 4 <= dropped <= 12, "about one in ten"
    assert len(listed) >= 3
    assert all(str(9_000_000 + n) not in keys for n in range(76) if fails(f"/7/{9_000_000 + n}_ab.jpg"))
    assert funnel["kept"] == len(keys) == sum(whole.manifest["counts"].values())
    assert whole.manifest["test_patches_overlapping_training"] == 0
    for pair in whole.sample_pairs(100):
        photo = whole.index.set_index("key").loc[pair.key]
        assert (pair.lon, pair.lat) == (photo.lon, photo.lat)
        assert photo.source.startswith("http://www.flickr.com/photos/")
        assert photo.licence.startswith("CC-BY")
    generated = [pair for pair in whole.sample_pairs(100) if pair.key.startswith("9000")]
    assert all(pair.ground == placeholder(f"/7/{pair.key}_ab.jpg") for pair in generated)
    assert len({pair.overhead for pair in generated}) > 0.9 * len(generated), "each place has its own patch"


def killed(world: Path, out: Path, url: str, progress: KillAt) -> None:
    build_small(world, out, url, progress)


@pytest.mark.parametrize(("stage", "share", "workers"), [("downloading photos", 0.2, 1), (STAGE, 0.4, 2)])
def test_killed_and_resumed_it_is_the_identical_set(whole, world, tmp_path, stage, share, workers):
    flag = tmp_path / "flag"
    flag.touch()
    with photo_site(answer, pause_s=0.01) as site:
        kill = KillAt(stage, share, flag)
        process = multiprocessing.get_context("spawn").Process(
            target=killed, args=(world, tmp_path, site.url, kill)
        )
        process.start()
        process.join()
        assert process.exitcode == -9
        assert not (tmp_path / "pairs" / "pairs.json").exists()
        before = len(site.requested_paths)
        assert before > 0
        again = build_small(world, tmp_path, site.url, workers=workers)
        photos = (
            again.manifest["funnel"]["kept"] + again.manifest["funnel"]["dropped"]["not fetched: HTTP 404"]
        )
        assert len(site.requested_paths) < 1.7 * photos, "what was fetched is not fetched again"
    assert hash_files(again.path) == hash_files(whole.path)


def test_what_failed_is_fetched_on_request_and_only_its_shards_are_made_again(whole, world, tmp_path):
    with photo_site(answer) as site:
        first = build_small(world, tmp_path, site.url)
    assert hash_files(first.path) == hash_files(whole.path)
    inodes = {path.name: path.stat().st_ino for path in (first.path / "shards").iterdir()}
    with photo_site() as site:
        same = build_small(world, tmp_path, site.url)
        assert (site.requested_paths, same.fingerprint) == ([], first.fingerprint)
        whole_again = build_small(world, tmp_path, site.url, retry=True)
        assert all(fails(path) for path in site.requested_paths)
        fresh = build_small(world, tmp_path / "fresh", site.url)
    assert "not fetched: HTTP 404" not in whole_again.manifest["funnel"]["dropped"]
    assert hash_files(whole_again.path) == hash_files(fresh.path)
    now = {path.name: path.stat().st_ino for path in (first.path / "shards").iterdir()}
    with_failures = {
        name for name, shard in first.manifest["shards"].items() if shard != fresh.manifest["shards"][name]
    }
    assert 0 < len(with_failures) < len(now)
    assert {name for name in now if now[name] != inodes[name]} == with_failures


def test_the_patches_come_from_both_mosaics(whole):
    lon = whole.index.lon
    assert (lon < -74.41).any(), "where only the first is"
    assert (lon > -74.40).any()
    assert open_pairs(whole.path).find_problems() == []
