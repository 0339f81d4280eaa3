"""A region from a tile server with broken tiles: killed, resumed, and repaired once the tiles are back."""

import re
import shutil
import signal
import sys
import time
from pathlib import Path

import forked
import numpy as np
import pytest
import servers
from pyproj import Transformer
from small_model import Ground

from sat2cap.atlas import open_atlas
from sat2cap.atlas.layout import CellStatus
from sat2cap.atlas.lock import LOCK
from sat2cap.embedding.plan import patch_grid_of
from sat2cap.files import digest_file

sys.path.append(str(Path(__file__).parents[1] / "cli"))

from command import run

REGION = "4.6,52.2,4.67,52.4"
EVERY = (slice(None), slice(None))


def broken(tile: servers.Tile, nth: int = 0) -> servers.Fault:
    """One tile in 50 or so, always the same ones."""
    return 403 if (7 * tile[1] + 11 * tile[2]) % 50 == 0 else None


def command(server: servers.TileServer, out: Path) -> list[str]:
    return ["embed", REGION, "--imagery", server.url, "--model", "miniclip", "-o", str(out)]


def file_digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): digest_file(p) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def running():
    with servers.tile_server(Ground()) as started:
        yield started


def begin(server, faults):
    """Forget what the server was asked before, and let it fail in this way from now on."""
    server.rest()
    server.faults = faults


@pytest.fixture
def server(running):
    """The server, with its broken tiles, and as if nobody had asked it for any yet."""
    begin(running, broken)
    return running


@pytest.fixture(scope="module")
def undisturbed(running, tmp_path_factory):
    """What embedding with broken tiles gave: the atlas, which tests copy and leave as it is."""
    begin(running, broken)
    out = tmp_path_factory.mktemp("whole") / "a.zarr"
    done = run(*command(running, out))
    assert done.status == 0, done.err
    return open_atlas(out), done, dict(running.asked)


@pytest.fixture(scope="module")
def repaired(running, undisturbed, tmp_path_factory):
    """What `atlas repair` gave once the tiles were back; tests leave it as it is."""
    begin(running, servers.no_fault)
    out = shutil.copytree(undisturbed[0].path, tmp_path_factory.mktemp("repaired") / "a.zarr")
    done = run("atlas", "repair", out)
    assert done.status == 0, done.err
    return open_atlas(out), done, dict(running.asked)


def overlaps_a_broken_tile(atlas, asked, margin_m):
    """Cells whose patch comes within so many metres of a tile that failed, bool [y, x]."""
    patch_grid, overlaps = patch_grid_of(atlas.spec), np.zeros(atlas.grid.shape, bool)
    to_mercator = Transformer.from_crs(atlas.grid.crs.proj, "EPSG:3857", always_xy=True)
    bounds = [servers.tile_box(tile).boundingbox for tile in asked if broken(tile)]
    margin = margin_m / np.cos(np.radians(52.3))
    for row, col in np.ndindex(*overlaps.shape):
        box = patch_grid.pixel_box(slice(row, row + 1), slice(col, col + 1)).boundingbox
        west, south, east, north = to_mercator.transform_bounds(*box.bbox)
        overlaps[row, col] = any(
            west - margin < tile.right
            and tile.left < east + margin
            and south - margin < tile.top
            and tile.bottom < north + margin
            for tile in bounds
        )
    return overlaps & atlas.wanted


def test_cells_of_broken_tiles_are_marked_and_no_others(undisturbed):
    atlas, done, asked = undisturbed
    assert 0.01 < sum(map(bool, map(broken, asked))) / len(asked) < 0.04
    failed = atlas.status == CellStatus.IMAGERY_FAILED
    pixel_m = atlas.spec.patch_m / atlas.spec.patch_pixels
    assert (overlaps_a_broken_tile(atlas, asked, -3 * pixel_m) <= failed).all()
    assert (failed <= overlaps_a_broken_tile(atlas, asked, 3 * pixel_m)).all()
    assert failed.sum() > 10
    assert ((atlas.status == CellStatus.OK) == (atlas.wanted & ~failed)).all()
    assert np.isnan(atlas.read(*EVERY)[failed]).all()
    assert f"{failed.sum()} cells: reading the imagery failed" in done.out
    assert f"try the failed cells again with: sat2cap atlas repair {atlas.path}" in done.out


def test_killed_in_the_middle_it_ends_identical_to_an_undisturbed_run(server, undisturbed, tmp_path):
    atlas, out = undisturbed[0], tmp_path / "a.zarr"
    process = forked.start(run, *command(server, out))
    journal, deadline = out / "_sat2cap/journal.jsonl", time.monotonic() + 120
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 1):
        assert process.exitcode is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not open_atlas(out).complete
    assert (out / LOCK).exists()
    again = run(*command(server, out))
    assert again.status == 0, again.err
    left, total = map(int, re.search(r"cells to embed +(\d+) of (\d+)", again.err).groups())
    assert 0 < left < total
    assert file_digests(out) == file_digests(atlas.path)


def test_cells_that_fail_again_are_counted(server, undisturbed, tmp_path):
    out = shutil.copytree(undisturbed[0].path, tmp_path / "a.zarr")
    still = run("atlas", "repair", out)
    assert still.status == 0, still.err
    failed = undisturbed[0].status == CellStatus.IMAGERY_FAILED
    assert f"{failed.sum()} cells failed again" in still.out
    assert file_digests(out) == file_digests(undisturbed[0].path)


def test_repair_fills_exactly_the_failed_cells_once_the_tiles_are_back(undisturbed, repaired):
    atlas, _, asked = undisturbed
    after, done, asked_again = repaired
    failed = atlas.status == CellStatus.IMAGERY_FAILED
    assert f"{failed.sum()} failed cells filled" in done.out
    assert f"embedding cells: {failed.sum()} done in" in done.err
    assert after.complete
    assert ((after.status == CellStatus.OK) == after.wanted).all()
    got = after.read(*EVERY)
    np.testing.assert_array_equal(got[~failed], atlas.read(*EVERY)[~failed])
    assert np.isfinite(got[failed]).all()
    assert {tile for tile in asked if broken(tile)} <= set(asked_again) < set(asked)
    assert len(asked_again) < len(asked) / 2
    assert run("atlas", "verify", after.path).status == 0


def test_what_repair_fills_is_what_would_have_been(server, repaired, tmp_path):
    """Against a run that never met a broken tile; where two reads meet, pixels differ by a level of 256."""
    server.faults = servers.no_fault
    done = run(*command(server, tmp_path / "a.zarr"))
    assert done.status == 0, done.err
    here = repaired[0].wanted
    whole, filled = (atlas.read(*EVERY)[here] for atlas in (open_atlas(tmp_path / "a.zarr"), repaired[0]))
    lengths = np.linalg.norm(whole, axis=-1) * np.linalg.norm(filled, axis=-1)
    cosines = (whole * filled).sum(-1) / lengths
    assert cosines.min() > 0.9998
    neighbours = (whole * np.roll(filled, 1, axis=0)).sum(-1) / lengths
    assert np.median(neighbours) < 0.99  # neighbours are not that alike
