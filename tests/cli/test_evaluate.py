"""Evaluations as a user types them, on the miniature world with a tiny random model."""

import json
import shutil
from pathlib import Path

import pytest
from command import Done, run
from conftest import PLANET
from PIL import Image

from sat2cap.evaluation.record import read_run


@pytest.fixture(scope="module")
def region(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough that something can be judged."""
    out = tmp_path_factory.mktemp("region") / "north.zarr"
    done = run("embed", "8,44.6,8.8,45.1", "--cell", 2600, "--imagery", PLANET, "--model", model, "-o", out)
    assert done.status == 0, done.err
    return out


@pytest.fixture(scope="module")
def run_folder(
    pairs: tuple[Path, Done], model: Path, region: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with every evaluation."""
    out = tmp_path_factory.mktemp("run") / "run"
    on_pairs = (pairs[0], "--model", model, "--clip", model, "--split", "train", "--gallery", 60, "-o", out)
    for words in (
        ("retrieval", *on_pairs, "--linear", model, "--draws", 20),
        ("clusters", *on_pairs, "--k", 3, "--k", 8, "--seeds", 2, "--map", region, "--map-k", 3),
        (
            *("landcover", region, "miniworld", "--reference", PLANET, "--linear", region),
            *("--block-km", 10, "--draws", 20, "-o", out),
        ),
        ("time", region, "--draws", 20, "-o", out),
    ):
        done = run("evaluate", *words)
        assert done.status == 0, done.err
        assert done.out.splitlines()[-1].startswith(f"{out}/{words[0]}-")
    return out


def test_every_evaluation_is_kept_with_its_pictures(run_folder: Path) -> None:
    records = {record.kind: record for record in read_run(run_folder)}
    assert set(records) == {"retrieval", "clusters", "landcover", "time"}
    names = {kind: [name for name, _ in record.pictures] for kind, record in records.items()}
    assert names == {
        "retrieval": ["top9.jpg", "times.jpg"],
        "clusters": ["silhouette.png", "clusters.png"],
        "landcover": ["landcover.png"],
        "time": ["time.png"],
    }
    for record in records.values():
        for name, _ in record.pictures:
            with Image.open(record.folder / name) as image:
                assert min(image.size) > 200
        assert any(figure.interval for figure in record.metrics)
    ((_, about),) = records["time"].pictures
    assert "the first 12 of 22 prompts" in about, "what a picture leaves out is said"
    rows = [row["name"] for row in records["retrieval"].table_data["rows"]]
    assert rows == ["", "own_photo", "no_metadata", "location", "linear", "clip", "chance"]


def test_the_same_question_is_answered_from_the_folder(
    run_folder: Path, pairs: tuple[Path, Done], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sat2cap.evaluation

    def fail(*args: object, **options: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(sat2cap.evaluation, "evaluate_table", fail)
    asked = (
        pairs[0],
        "--model",
        model,
        "--clip",
        model,
        "--linear",
        model,
        "--split",
        "train",
        "--gallery",
        60,
        "-o",
        run_folder,
    )
    done = run("evaluate", "retrieval", *asked, "--draws", 20, "--paper")
    assert done.status == 0, done.err
    assert "overhead2ground.r10 " in done.out
    assert "transposed" in done.out
    with pytest.raises(AssertionError, match="measured again"):
        run("evaluate", "retrieval", *asked, "--draws", 21)


def test_a_model_named_like_a_baseline_keeps_its_own_figures(
    pairs: tuple[Path, Done], model: Path, tmp_path: Path
) -> None:
    """The tiny CLIP's folder is called clip, and so is the row of --clip."""
    clip, out = model.parent / "clip", tmp_path / "f.json"
    asked = (pairs[0], "--split", "train", "--gallery", 30, "--draws", 0, "--clip", clip, "--json", out)
    done = run("evaluate", "retrieval", *asked, "--model", model, "--model", clip, "--model", clip)
    assert done.status == 0, done.err
    rows = {name.split(".")[0] for name in json.loads(out.read_text()) if name.endswith(".r10")}
    assert {"clip", "clip 2", "clip 3", "location", "chance", "no_metadata"} <= rows


def test_cells_filled_later_are_measured_again(region: Path, tmp_path: Path) -> None:
    """`repair` changes what an atlas holds, not its identity."""
    from sat2cap.atlas import open_atlas

    atlas, out = tmp_path / "x.zarr", tmp_path / "run"
    shutil.copytree(region, atlas)
    asked = ("evaluate", "time", atlas, "--prompt", "snow", "-o", out)
    assert run(*asked).status == run(*asked).status == 0
    assert len(read_run(out)) == 1
    before, journal = open_atlas(atlas), atlas / "_sat2cap/journal.jsonl"
    old = before.fingerprint
    lines = journal.read_text()
    digit = "0" if lines[-6] != "0" else "1"
    journal.write_text(lines[:-6] + digit + lines[-5:])  # as if a chunk held something else
    assert (open_atlas(atlas).identity, open_atlas(atlas).fingerprint == old) == (before.identity, False)
    assert run(*asked).status == 0
    assert len(read_run(out)) == 2


def test_a_report_of_them_all(run_folder: Path, tmp_path: Path) -> None:
    done = run("report", run_folder, "-o", tmp_path / "page.html", "--title", "All of it")
    assert (done.status, done.out) == (0, f"{tmp_path / 'page.html'}\n{tmp_path / 'page.md'}\n")
    page = (tmp_path / "page.html").read_text()
    for title in ("All of it", "Finding each other", "Kinds of place", "Land cover", "Months and hours"):
        assert title in page
    assert page.count('src="data:image/') == 6


def test_figures_go_to_a_file_with_null_for_what_is_open(region: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.json"
    done = run("evaluate", "time", region, "--prompt", "snow", "--prompt", "a dog", "--json", out)
    assert done.status == 0, done.err
    figures = json.loads(out.read_text())
    assert {"swing.north.snow", "peak_month.north.a dog"} <= set(figures)


def test_maps_of_the_miniature_world_are_judged_by_its_truth(region: Path, tmp_path: Path) -> None:
    done = run("evaluate", "maps", region, "--json", tmp_path / "m.json")
    assert done.status == 0, done.err
    figures = json.loads((tmp_path / "m.json").read_text())
    each = [value for name, value in figures.items() if name.startswith("auroc.") and " " in name]
    assert len(each) >= 5
    assert all(0 <= value <= 1 for value in each)


def test_maps_against_a_truth_of_ones_own_are_kept_until_it_changes(atlas: Path, tmp_path: Path) -> None:
    truth, cases, out = tmp_path / "truth.tif", tmp_path / "cases.toml", tmp_path / "run"
    cases.write_text('[[case]]\nprompt = "snow"\ntruth = "truth.tif"\nthreshold = 0.0\n')
    asked = ("evaluate", "maps", atlas, cases, "--block-km", 0.5, "--draws", 10, "-o", out)
    for prompt, records in (("snow", 1), ("snow", 1), ("a dog", 2)):
        assert run("map", atlas, prompt, "-o", truth).status == 0
        done = run(*asked)
        assert done.status == 0, done.err
        assert len(read_run(out)) == records
    figures = {figure.name: figure for record in read_run(out) for figure in record.metrics}
    assert {"auroc.1", "f1.1", "spearman.mean", "prompts"} <= set(figures)
    assert run("report", out, "-o", tmp_path / "r.html").status == 0
    assert "spearman.1" in (tmp_path / "r.html").read_text(), "a kind that has no table of its own"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "{tmp}"], "holds no evaluation"),
        (["evaluate", "landcover", "{region}", "worldcover"], "--reference"),
        (["evaluate", "landcover", "{region}", "nonsense"], "worldcover"),
        (
            ["evaluate", "clusters", "{pairs}", "--model", "{model}", "--split", "train", "--k", "500"],
            "too few",
        ),
        (["evaluate", "clusters", "{pairs}", "--model", "{model}", "--phrases", "{tmp}/no.txt"], "no.txt"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str], message: str, pairs: tuple[Path, Done], model: Path, region: Path, tmp_path: Path
) -> None:
    places = {"tmp": tmp_path, "pairs": pairs[0], "model": model, "region": region}
    done = run(*(word.format(**places) for word in words))
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert message in done.err
