"""Options of map and search that decide what is scored, and disks that fill."""

import importlib
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
from command import run

import sat2cap
from sat2cap.geo.grid import cell_lonlat


@pytest.fixture(scope="module")
def inner(atlas: Path) -> str:
    """A part of the atlas, as a user writes it."""
    lon, lat = cell_lonlat(sat2cap.open(atlas).atlas.grid)
    return f"{lon[4, 4]:.5f},{lat[4, 4]:.5f},800m"


def bands(out: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    with rasterio.open(out) as file:
        return file.read(), file.descriptions


def test_map_within_a_region_is_smaller_and_equal_there(atlas: Path, inner: str, tmp_path: Path) -> None:
    assert run("map", atlas, "snow", "-o", tmp_path / "all.tif").status == 0
    assert run("map", atlas, "snow", "--within", inner, "-o", tmp_path / "part.tif").status == 0
    with rasterio.open(tmp_path / "all.tif") as whole, rasterio.open(tmp_path / "part.tif") as part:
        values = part.read(1)
        same = whole.read(1, window=rasterio.windows.from_bounds(*part.bounds, whole.transform))
        assert part.width < whole.width
    assert np.isfinite(values).sum() >= 9
    np.testing.assert_array_equal(values[np.isfinite(values)], same[np.isfinite(values)])


def test_search_within_a_region(atlas: Path, inner: str) -> None:
    found = sat2cap.open(atlas).search("snow", top=3, region=inner)
    done = run("search", atlas, "snow", "--top", 3, "--within", inner)
    assert done.status == 0, done.err
    assert f"{found.lon[0]:.5f}" in done.out
    lon, lat = (float(number) for number in inner.split(",")[:2])
    assert np.hypot(found.lon - lon, found.lat - lat).max() < 0.02


def test_templates_and_spread_make_bands(atlas: Path, tmp_path: Path) -> None:
    words = ("--template", "a photo of {}", "--template", "{}", "--spread", "templates")
    assert run("map", atlas, "snow", *words, "-o", tmp_path / "m.tif").status == 0
    values, names = bands(tmp_path / "m.tif")
    assert names == ("snow", "snow (spread over templates)")
    each = sat2cap.open(atlas).map(["a photo of snow", "snow"]).values
    np.testing.assert_allclose(values[1], np.std(each, axis=0), atol=1e-5)


def test_a_place_is_a_prompt(atlas: Path, inner: str, tmp_path: Path) -> None:
    place = "place:" + ",".join(inner.split(",")[:2])
    assert run("map", atlas, place, "-o", tmp_path / "m.tif").status == 0
    values, _ = bands(tmp_path / "m.tif")
    assert np.unravel_index(np.nanargmax(values[0]), values[0].shape) == (4, 4)


def test_prepare_says_where_and_changes_no_score(atlas: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(atlas, tmp_path / "x.zarr")  # other tests ask the atlas as it was embedded
    before = sat2cap.open(atlas).map("snow", when="2024-05-20").values
    done = run("atlas", "prepare", copy)
    assert (done.status, done.out) == (0, f"{copy}/_sat2cap/scan\n")
    assert run("atlas", "verify", copy).status == 0
    np.testing.assert_array_equal(sat2cap.open(copy).map("snow", when="2024-05-20").values, before)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["snow", "--within", "100,10,5km"], "covers no cell of atlas"),
        (["snow", "--within", "nonsense"], "nonsense"),
        (["the"], "names no thing"),
        (["snow " * 90], "would be cut off"),
        (["place:100,10"], "outside the atlas"),
        (["photo:no.jpg"], "no.jpg"),
        (["snow", "--spread", "hours"], "no date is given"),
    ],
)
def test_what_cannot_be_scored_is_one_line(
    atlas: Path, tmp_path: Path, words: list[str], expected: str
) -> None:
    done = run("map", atlas, *words, "-o", tmp_path / "m.tif")
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert expected in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_date_outside_the_training_years_is_warned_of(
    atlas: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("sat2cap.query.attributes")
    monkeypatch.setattr(module, "training_years", lambda checkpoint: (2015, 2020))
    done = run("map", atlas, "snow", "--when", "2031-05-20", "-o", tmp_path / "m.tif")
    assert done.status == 0
    assert done.err == (
        "warning: the date is outside the years of the training photos, 2015 to 2020: the model guesses\n"
    )
    assert np.isfinite(bands(tmp_path / "m.tif")[0]).any()


def test_an_atlas_of_a_newer_format_is_refused(atlas: Path, tmp_path: Path) -> None:
    plan = (atlas / "_sat2cap/plan.json").read_text()
    newer = tmp_path / "newer.zarr" / "_sat2cap/plan.json"
    newer.parent.mkdir(parents=True)
    newer.write_text(plan.replace('"version": 1', '"version": 99'))
    done = run("map", tmp_path / "newer.zarr", "snow", "-o", tmp_path / "m.tif")
    assert done.status == 2
    assert "format version 99" in done.err
    assert "install a newer sat2cap" in done.err
    assert not (tmp_path / "m.tif").exists()


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: what fails at the end of a disk fails here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["m.tif", "m.png", "m.geojson"])
def test_a_disk_that_fills_leaves_nothing_under_the_name(atlas: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    assert run("map", atlas, "snow", "-o", out).status == 0
    whole = out.read_bytes()
    with small_disk(len(whole) // 2):
        done = run("map", atlas, "snow", "-o", out)
    assert done.status == 1, done.err
    assert done.err.startswith("error: ")
    assert out.read_bytes() == whole, "the old file is still there"
    out.unlink()
    with small_disk(len(whole) // 2):
        assert run("map", atlas, "snow", "-o", out).status == 1
    assert not out.exists()
    assert not [file for file in tmp_path.iterdir() if file.suffix == out.suffix]
