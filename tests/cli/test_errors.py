"""What is wrong is said in one line, with the right exit status."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from command import run
from conftest import PLANET, REGION

from sat2cap.cli.app import _protect_negative_numbers

TO = ["--model", "{model}", "-o", "{tmp}/x"]

BAD_INPUT: dict[str, tuple[list[str], str]] = {
    "unknown model": (["models", "info", "no/such/model/here"], "no/such/model/here"),
    "missing imagery": (["embed", REGION, "--imagery", "no.tif", *TO], "no.tif"),
    "image without CRS": (["embed", "--imagery", "{nowhere}", *TO], "no CRS"),
    "no extent": (["embed", "--imagery", PLANET, *TO], "give a REGION"),
    "region outside": (["embed", "1,2,3,4", "--imagery", "{somewhere}", *TO], "outside"),
    "no such feature": (["embed", "{towns}", "--where", "name=C", "--imagery", PLANET, *TO], "it has: A, B"),
    "no file's feature": (["embed", REGION, "--where", "name=C", "--imagery", PLANET, *TO], "no file"),
    "no region's layer": (["embed", "--layer", "x", "--imagery", "{somewhere}", *TO], "REGION"),
    "no cell size": (["embed", REGION, "--cell", "0", "--imagery", PLANET, *TO], "more than 0"),
    "no patch size": (["embed", REGION, "--patch", "-1", "--imagery", PLANET, *TO], "more than 0"),
    "region unreadable": (["embed", "1,2", "--imagery", PLANET, *TO], "'1,2'"),
    "not a planet": (["embed", REGION, "--imagery", "miniworld:x", *TO], "miniworld:x"),
    "empty prompt": (["map", "{atlas}", " ", "-o", "{tmp}/m.tif"], "empty"),
    "no date": (["map", "{atlas}", "snow", "--when", "yesterday", "-o", "{tmp}/m.tif"], "'yesterday'"),
    "no atlas": (["map", "{tmp}/no.zarr", "snow", "-o", "{tmp}/m.tif"], "no.zarr"),
    "unknown output": (["map", "{atlas}", "snow", "-o", "{tmp}/m.jpg"], ".tif, .tiff, .png, .geojson"),
    "areas of two": (["map", "{atlas}", "snow", "sea", "-o", "{tmp}/m.geojson"], "one map"),
    "another model": (["map", "{atlas}", "x", "--model", "{other}", "-o", "{tmp}/m.tif"], "not the model"),
    "bad places": (["map", "{atlas}", "x", "-o", "{tmp}/m.png", "--places", "{tmp}/no.gpkg"], "no.gpkg"),
    "imagery elsewhere": (
        ["map", "{atlas}", "x", "--underlay", "{somewhere}", "-o", "{tmp}/m.png"],
        "no pixels where the map is",
    ),
    "no pairs": (["pairs", "inspect", "{tmp}"], "pairs.json"),
    "no run file": (["train", "{tmp}/no.toml"], "no.toml"),
    "bad run file": (["train", "{run_file}"], "optim"),
    "no cases": (["evaluate", "maps", "{atlas}", "{tmp}/no.toml"], "no.toml"),
    "bad cases": (["evaluate", "maps", "{atlas}", "{run_file}"], "[[case]]"),
    "no truth": (["evaluate", "maps", "{atlas}", "{cases}"], "no.tif"),
    "no such split": (["evaluate", "retrieval", "{tmp}", "--model", "{model}"], "pairs.json"),
}  # fmt: skip


def two_towns(path: Path) -> Path:
    """Squares named A and B."""
    features = []
    for name, west in (("A", -10.02), ("B", -9.9)):
        ring = [[west, -45], [west + 0.02, -45], [west + 0.02, -44.98], [west, -44.98], [west, -45]]
        shape = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "properties": {"name": name}, "geometry": shape})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture
def names(tmp_path: Path, model: Path, atlas: Path) -> dict[str, Any]:
    """What the words in braces stand for."""
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 3, "dtype": "uint8"}
    transform = rasterio.transform.from_origin(500_000, 5_000_000, 10, 10)
    for name, where in (("nowhere", {}), ("somewhere", {"crs": "EPSG:32631"})):
        with rasterio.open(tmp_path / f"{name}.tif", "w", transform=transform, **profile, **where) as file:
            file.write(np.full((3, 64, 64), 99, np.uint8))
    (tmp_path / "run.toml").write_text('method = "sat2cap"\n[optim]\nlr = -1\n[model]\nnonsense = 1\n')
    (tmp_path / "cases.toml").write_text('[[case]]\nprompt = "snow"\ntruth = "no.tif"\n')
    return {
        "tmp": tmp_path,
        "model": model,
        "atlas": atlas,
        "other": model.parent / "clip",
        "nowhere": tmp_path / "nowhere.tif",
        "somewhere": tmp_path / "somewhere.tif",
        "run_file": tmp_path / "run.toml",
        "towns": two_towns(tmp_path / "towns.geojson"),
        "cases": tmp_path / "cases.toml",
    }


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_clean_line_and_status_2(name: str, names: dict[str, Any]) -> None:
    words, expected = BAD_INPUT[name]
    done = run(*(word.format(**names) for word in words))
    assert done.status == 2, done.err
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert expected in done.err
    assert not list(names["tmp"].glob("m.*")), "nothing was written"


def test_a_run_file_lists_all_its_problems(names: dict[str, Any]) -> None:
    err = run("train", names["run_file"]).err
    assert all(words in err for words in ("optim.lr", "model.nonsense", "data"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["mpa"], "no such command 'mpa', did you mean 'map'; see: sat2cap --help"),
        (["embed", "--nonsense"], "no such option: --nonsense; see: sat2cap embed --help"),
        (["search", "x.zarr"], "missing argument 'PROMPT'; see: sat2cap search --help"),
        (["map", "x.zarr", "snow"], "missing option '-o' / '--out'; see: sat2cap map --help"),
        (["map", "x.zarr", "snow", "-o"], "option '-o' requires an argument; see: sat2cap --help"),
        (
            ["atlas", "info", "x", "https://x.org/a?access_token=hush"],
            "got unexpected extra argument(s) (https://x.org/a?access_token=${SAT2CAP_ACCESS_TOKEN}; "
            "see: sat2cap atlas info --help",
        ),
        (["atlas", "info", "x", "y"], "got unexpected extra argument(s) (y); see: sat2cap atlas info --help"),
        (
            ["map", "x.zarr", "snow", "-o", "x.tif", "--scale", "log"],
            "--scale 'log' is unknown; use one of cosine, percentile, contrast",
        ),
    ],
)
def test_a_wrong_command_line_is_one_line_that_names_the_help(words: list[str], line: str) -> None:
    assert run(*words) == (2, "", f"error: {line}\n")


@pytest.mark.parametrize("words", [[], ["atlas"], ["evaluate"]])
def test_a_group_without_a_command_answers_with_its_help(words: list[str]) -> None:
    done = run(*words)
    assert done.status == 2
    assert f"Usage: {' '.join(['sat2cap', *words])} [OPTIONS] COMMAND" in done.err


def test_a_failed_job_is_status_1(monkeypatch: pytest.MonkeyPatch, atlas: Path) -> None:
    from sat2cap import api
    from sat2cap.errors import JobError

    def fail(*given: object) -> None:
        raise JobError("the disk is full;\nmake room")

    monkeypatch.setattr(api, "open", fail)
    assert run("search", atlas, "snow") == (1, "", "error: the disk is full; make room\n")


def test_a_second_writer_is_status_1_and_told_who_writes(model: Path, tmp_path: Path) -> None:
    from sat2cap.atlas import writer_lock

    out = tmp_path / "x.zarr"
    with writer_lock(out):
        done = run("embed", REGION, "--imagery", PLANET, "--model", model, "-o", out)
    assert done.status == 1
    assert done.err.splitlines()[-1].startswith(
        f"error: atlas '{out}' is being written by process {os.getpid()}"
    )


def test_a_path_that_cannot_be_written_is_status_1(atlas: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("search", atlas, "snow", "-o", tmp_path / "file" / "below.geojson")
    assert done.status == 1
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


def test_an_interruption_is_status_130_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, model: Path, tmp_path: Path
) -> None:
    from sat2cap import embedding

    def interrupted(*given: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(embedding, "embed_atlas", interrupted)
    done = run("embed", REGION, "--imagery", PLANET, "--model", model, "-o", tmp_path / "x.zarr")
    assert done.status == 130
    assert done.err.endswith("\nstopped; the same command continues where it stopped\n")


def test_a_moved_model_is_asked_for(model: Path, tmp_path: Path) -> None:
    moved, out = tmp_path / "moved", tmp_path / "x.zarr"
    shutil.copytree(model, tmp_path / "here")
    small = ("0,45,0.004,45.004", "--imagery", PLANET, "-o", out)
    assert run("embed", *small, "--model", tmp_path / "here").status == 0
    (tmp_path / "here").rename(moved)
    done = run("map", out, "snow", "-o", tmp_path / "m.tif")
    assert done.status == 2
    assert "tiny" in done.err
    assert "--model" in done.err
    assert run("map", out, "snow", "-o", tmp_path / "m.tif", "--model", moved).status == 0


def test_an_atlas_is_asked_from_another_folder(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made with a relative path, as in a project's folder, which is then used from elsewhere and moved."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    shutil.copytree(model, project / "train" / "tiny")
    elsewhere.mkdir()
    monkeypatch.chdir(project)
    small = ("0,45,0.004,45.004", "--imagery", PLANET, "-o", "atlas/x.zarr", "--model", "train/tiny")
    assert run("embed", *small).status == 0
    monkeypatch.chdir(elsewhere)
    moved = project.rename(tmp_path / "moved")
    assert run("map", moved / "atlas" / "x.zarr", "snow", "-o", "m.tif").status == 0


def test_a_date_for_a_model_that_knows_none_is_warned_of(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.zarr"
    small = ("0,45,0.004,45.004", "--imagery", PLANET, "-o", out, "--model", model.parent / "clip")
    assert run("embed", *small).status == 0
    done = run("map", out, "snow", "--when", "2024-01", "-o", tmp_path / "m.tif")
    assert (done.status, done.err.count("\n")) == (0, 1)
    assert done.err.startswith("warning: the date is ignored")


@pytest.mark.parametrize("text", ["-71.2,42.3,-71.0,42.4", "-.5,1,2,3", "-71.2,42.3,5km"])
def test_numbers_with_a_leading_minus_are_no_options(text: str) -> None:
    assert _protect_negative_numbers(text).strip() == text
    assert not _protect_negative_numbers(text).startswith("-")


@pytest.mark.parametrize("text", ["-o", "--when", "-5", "--", "-", "-x,1", "a,-1"])
def test_everything_else_is_left_as_it_is(text: str) -> None:
    assert _protect_negative_numbers(text) == text


def test_the_installed_command_is_this_one(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "sat2cap"
    done = subprocess.run([command, "atlas", "info", "no.zarr"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: 'no.zarr' does not exist")


ARRAYS = {"numpy", "pandas", "xarray", "numba", "rasterio", "geopandas", "shapely", "odc", "pyarrow", "scipy"}
NETWORKS = {"torch", "transformers", "sklearn", "matplotlib", "duckdb", "lightning_fabric", "huggingface_hub"}


def imported_packages(*words: str) -> set[str]:
    """Top-level packages that a command line imports, by Python's own account."""
    code = "import sys; from sat2cap.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, *words], capture_output=True, text=True
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert len(lines) > 100, "the list of imports was not understood"
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize("words", [["--help"], ["map", "--help"], ["map", "--nonsense"], ["nonsense"]])
def test_help_and_errors_in_arguments_import_nothing_heavy(words: list[str]) -> None:
    assert imported_packages(*words) & (ARRAYS | NETWORKS) == set()


@pytest.mark.parametrize(
    "words",
    [
        ["map", "nowhere.zarr", "a beach", "-o", "a.tif"],
        ["search", "nowhere.zarr", "a beach"],
        ["atlas", "info", "nowhere.zarr"],
        ["imagery", "check", "nowhere.tif"],
    ],
)
def test_errors_in_paths_import_no_networks(words: list[str]) -> None:
    assert imported_packages(*words) & NETWORKS == set()


def test_nan_is_null_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sat2cap.cli.console import print_values

    print_values({"a": 0.5, "b": float("nan")}, tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text()) == {"a": 0.5, "b": None}
    assert capsys.readouterr().out == "a  0.5\nb  nan\n"
