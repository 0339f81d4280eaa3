"""The data card, the contact sheet and the commands that show a set, as a user types them."""

import csv
import sys

import numpy as np
import pytest
from made_up import Album, Land, build_small
from PIL import Image
from real_data import COUNTRIES, DATA, mosaic, needs_data, photo_site

from sat2cap.cli import main
from sat2cap.pairs import PatchSpec, open_pairs
from sat2cap.pairs.overview.card import write_card
from sat2cap.pairs.overview.pictures import contact_sheet, draw_funnel, read_borders
from sat2cap.pairs.overview.storage_loss import measure_storage_psnr


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return build_small(tmp_path_factory.mktemp("made") / "pairs", Album(torn="1", gone="2"))


def run(capsys, *arguments):
    """Exit status and both outputs of a command line."""
    capsys.readouterr()
    status = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as error:
        status = int(error.code or 0)
    done = capsys.readouterr()
    return status, done.out, done.err


def test_the_card_says_what_the_set_holds(made, tmp_path):
    loss = {"whole_db": 31.5, "crop_db": 25.0, "stored_bytes": 9, "full_bytes": 90, "patches": 4}
    card = write_card(made, tmp_path, loss=loss)
    text = card.read_text()
    for name, count in made.manifest["counts"].items():
        assert f"| {name} | {count} |" in text
    funnel = made.manifest["funnel"]
    for reason, count in funnel["dropped"].items():
        assert f"| {reason} | {count} |" in text
    assert f"| **kept** | {funnel['kept']} |" in text
    assert f"| CC-BY-4.0 | {len(made.index)} |" in text
    assert "Nobody; licence: CC0-1.0" in text
    assert "31.5 dB" in text
    assert "| train, test |" in text
    rows = list(csv.DictReader((tmp_path / "attribution.csv").open(newline="")))
    assert [row["key"] for row in rows] == sorted(made.index.key)
    assert all(row["source"] == f"https://a.test/{int(row['key'][1:])}" for row in rows)
    for name in ("funnel.png", "density.png", "times.png"):
        assert f"({name})" in text
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 5


def test_the_funnel_picture_shows_more_the_more_was_dropped(tmp_path):
    def grey(dropped: int) -> int:
        funnel = {"records": 100, "dropped": {"no place": dropped}, "kept": 100 - dropped}
        draw_funnel(funnel, tmp_path / "f.png")
        pixels = np.asarray(Image.open(tmp_path / "f.png").convert("RGB")).reshape(-1, 3)
        return int((pixels == (0xB8, 0xB8, 0xB8)).all(1).sum())

    assert grey(80) > 1.7 * grey(40) > 0


def test_the_loss_of_storing_less_is_measured(tmp_path):
    full = build_small(tmp_path / "full", Album(6), patch=PatchSpec(480, 800))
    small = build_small(tmp_path / "small", Album(6), patch=PatchSpec(480, 224))
    tiny = build_small(tmp_path / "tiny", Album(6), patch=PatchSpec(480, 16))
    measured = [measure_storage_psnr(pairs, Land(), sample=2) for pairs in (full, small, tiny)]
    assert measured[0]["whole_db"] > measured[1]["whole_db"] > measured[2]["whole_db"]
    assert measured[0]["crop_db"] > measured[1]["crop_db"] > measured[2]["crop_db"]
    assert measured[1]["stored_bytes"] < measured[0]["stored_bytes"] == measured[0]["full_bytes"]
    assert measured[1]["patches"] == 2


@needs_data
def test_the_contact_sheet_shows_pairs_with_map_and_time(made, tmp_path):
    pairs = made.sample_pairs(7, seed=1)
    assert [pair.key for pair in pairs] == [pair.key for pair in made.sample_pairs(7, seed=1)]
    assert {pair.key for pair in pairs} != {pair.key for pair in made.sample_pairs(7, seed=2)}
    borders = read_borders(COUNTRIES)
    contact_sheet(pairs, ["train"] * 7, tmp_path / "a.png")
    contact_sheet(pairs, ["train"] * 7, tmp_path / "b.png", borders)
    one, other = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"), int) for name in "ab")
    assert one.shape == other.shape
    assert one.shape[0] > 1000, "three rows of pairs under a map"
    assert len(made.sample_pairs(99, "test")) == made.count("test")


@needs_data
def test_the_commands_on_real_rows(tmp_path, capsys):
    """From the 1,000 rows to a split set with card and sheet, by nothing but commands."""
    image = mosaic(tmp_path / "mosaic.vrt")
    out = tmp_path / "pairs"
    with photo_site() as site:
        command = (
            *("pairs", "build", "--photos", f"yfcc:{DATA / 'yfcc' / 'yfcc100m_1k.tsv'}", "--imagery", image),
            *("--download", tmp_path / "photos", "--mirror", f"{site.url}/{{path}}", "--accuracy", 13),
            *("--exclude", f"{COUNTRIES}:ADM0_A3=USA", "--patch", 3000, "--pixels", 64, "-o", out),
            *("--split", "random", "--look-alike", 2, "--licence", "CC-BY-NC*", "--per-user", 5),
        )
        status, printed, problems = run(capsys, *command)
        assert status == 0, problems
        assert len(site.requested_paths) == 4
    assert f"{out}: 4 pairs" in printed
    assert set(open_pairs(out).index.key) == {"451484067", "2677583631", "13137609893", "3464703920"}
    licences = open_pairs(out).index.set_index("key").licence
    assert licences["451484067"] == "CC-BY-NC-ND-2.0"
    assert "in an excluded area" in printed
    status, printed, problems = run(capsys, "pairs", "inspect", out, "--check", "--sheet", tmp_path / "s.png")
    assert (status, problems) == (0, "")
    assert "s.png: 4 pairs" in printed
    assert Image.open(tmp_path / "s.png").width > 1000
    status, printed, problems = run(capsys, "pairs", "card", out, "--imagery", image, "--borders", COUNTRIES)
    assert (status, printed) == (0, f"{out}/card/README.md\n"), problems
    assert "PSNR" in (out / "card" / "README.md").read_text()
    assert "CC-BY-NC-SA-2.0" in (out / "card" / "attribution.csv").read_text()
    status, printed, problems = run(
        capsys, "pairs", "split", out, "--split", "user", "-o", tmp_path / "by-user"
    )
    assert status == 0, problems
    assert "split" in printed
    assert open_pairs(tmp_path / "by-user").manifest["provenance"]["split"]["method"] == "user"


def test_a_split_that_breaks_its_promise_is_status_1(made, tmp_path, capsys, monkeypatch):
    assert run(capsys, "pairs", "split", made.path)[0] == 0
    module = sys.modules["sat2cap.pairs.splits.leakage"]
    monkeypatch.setattr(module, "find_overlapping_pairs", lambda lon, *rest: np.ones(len(lon), bool))
    status, printed, problems = run(capsys, "pairs", "split", made.path)
    assert status == 1
    assert "overlapping patches" in problems
    assert "train, test" in printed


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--photos", "yfcc:nowhere"), "no such file"),
        (("--photos", "rows.csv"), "no such file"),
        (("--photos", "flickr"), "give a folder"),
        (("--photos", "yfcc:here.tsv"), "--download"),
        (("--photos", "yfcc:here.tsv", "--files", ".", "--download", "x"), "give one"),
        (("--photos", "yfcc:here.tsv", "--files", "nowhere"), "no such folder or tar"),
        (("--photos", ".", "--count", "3"), "miniworld only"),
        (("--photos", ".", "--column", "lon"), "FIELD=COLUMN"),
        (("--photos", ".", "--exclude", "here.tsv"), "has no shapes"),
        (("--photos", "miniworld:7", "--per-user", "0"), "1 or more"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_2(options, word, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.tsv").write_text("x")
    status, printed, problems = run(
        capsys, "pairs", "build", *options, "--imagery", "miniworld:7", "-o", "pairs"
    )
    assert (status, printed) == (2, "")
    assert word in problems
    assert problems.count("\n") == 1
