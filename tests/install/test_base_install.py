"""The wheel, installed without extras into an environment of its own, as a mapper would: what runs there, and
what names the extra that it needs.

It is skipped, and says so, where no package index can be reached.
"""

import json
import os
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

import sat2cap

pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).parents[2]
REGION = (-69.98, 46.0, -69.95, 46.02)
NO_INDEX = ("connection", "Connection", "No matching distribution", "Temporary failure", "timed out")
"""What pip says where it reaches no package index."""

Run = Callable[..., subprocess.CompletedProcess[str]]


def run_pip(*words: str | Path) -> str:
    """Return what pip of this environment prints, or skip the test if it reaches no package index.

    The new environment needs none of its own: ``--python`` names the one that pip is to work on.
    """
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, cwd=ROOT)
    if done.returncode and any(sign in done.stderr for sign in NO_INDEX):
        pytest.skip(f"no package index can be reached, so no base install: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing but the wheel and what it depends on; its folder of programs."""
    folder = tmp_path_factory.mktemp("base")
    run_pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("sat2cap-*.whl")
    environment = folder / "venv"
    venv.create(environment)
    programs = environment / ("Scripts" if sys.platform == "win32" else "bin")
    run_pip("--python", programs / "python", "install", "--quiet", "--no-compile", wheel)
    return programs


@pytest.fixture(scope="module")
def run(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run ``sat2cap`` of the base install in a folder of its own, where nothing of the checkout is found."""
    folder = tmp_path_factory.mktemp("elsewhere")

    def run_command(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(base), "HOME": str(folder), "MPLCONFIGDIR": str(folder / "matplotlib")}
        command = [str(base / "sat2cap"), *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)

    return run_command


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small atlas, embedded by this environment, which has all extras."""
    path = tmp_path_factory.mktemp("atlas") / "country.zarr"
    sat2cap.embed(REGION, "miniworld:2", "miniclip", path)
    return str(path)


def test_the_base_install_has_no_networks(base: Path) -> None:
    listed = run_pip("--python", base / "python", "list", "--format=freeze")
    names = {line.split("==")[0].lower() for line in listed.splitlines()}
    assert {"sat2cap", "numpy", "rasterio"} <= names
    assert names & {"torch", "transformers", "lightning-fabric", "kornia", "scikit-learn", "duckdb"} == set()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--version"], "sat2cap "),
        (["imagery", "list"], "pdok-ortho-25cm"),
        (["imagery", "check", "miniworld:2", "--at", "-69.97,46.01"], "mean colour"),
    ],
)
def test_commands_without_an_atlas_run(run: Run, words: list[str], expected: str) -> None:
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


@pytest.mark.parametrize("command", ["info", "verify"])
def test_an_atlas_is_described_and_verified(run: Run, atlas: str, command: str) -> None:
    done = run("atlas", command, atlas)
    assert done.returncode == 0, done.stderr
    assert atlas in done.stdout


@pytest.mark.parametrize(
    ("options", "suffix"),
    [
        ([], ".tif"),
        (["--when", "2021-07-15T10:00"], ".tif"),
        (["--scale", "contrast"], ".png"),
        ([], ".geojson"),
        ([], ".html"),
        ([], ".pmtiles"),
    ],
)
def test_a_prompt_becomes_a_map_without_torch(
    run: Run, atlas: str, tmp_path: Path, options: list[str], suffix: str
) -> None:
    path = tmp_path / f"beach{suffix}"
    done = run("map", atlas, "a quiet beach", *options, "-o", str(path))
    assert done.returncode == 0, done.stderr
    assert path.stat().st_size > 0


@pytest.mark.parametrize(
    "words",
    [
        ["concepts", "ATLAS", "--at", "-69.97,46.01"],
        ["difference", "ATLAS", "a town", "the sea", "-o", "change.tif"],
        ["classify", "ATLAS", "a forest", "the sea", "-o", "kinds.tif"],
        ["zones", "ATLAS", "a forest", "--zones", "AREAS", "-o", "means.csv"],
        ["atlas", "prepare", "ATLAS"],
    ],
    ids=lambda words: words[0],
)
def test_everything_else_that_asks_runs_without_torch(
    run: Run, atlas: str, tmp_path: Path, words: list[str]
) -> None:
    areas = tmp_path / "areas.geojson"
    west, south, east, north = REGION
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    areas.write_text(json.dumps({"type": "Polygon", "coordinates": [corners]}))
    done = run(*[{"ATLAS": atlas, "AREAS": str(areas)}.get(word, word) for word in words])
    assert done.returncode == 0, done.stderr


def test_a_search_finds_what_the_whole_installation_finds(run: Run, atlas: str) -> None:
    done = run("search", atlas, "a busy street", "--top", "1")
    assert done.returncode == 0, done.stderr
    rank, score, *_ = done.stdout.splitlines()[1].split()
    best = float(sat2cap.open(atlas).map("a busy street").max())
    assert (rank, float(score)) == ("1", pytest.approx(best, abs=1e-4))


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["embed", "--imagery", "missing.tif", "--model", "nobody", "-o", "x.zarr"], "embed"),
        (["train", "missing.toml"], "train"),
        (["demo"], "demo"),
        (["pairs", "build", "--photos", "missing", "--imagery", "missing.tif", "-o", "x"], "pairs"),
        (["evaluate", "retrieval", "missing", "--model", "nobody"], "evaluate"),
        (["evaluate", "maps", "missing.zarr"], "evaluate"),
    ],
)
def test_what_needs_an_extra_names_it_in_one_line(run: Run, words: list[str], extra: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: sat2cap {words[0]} ")
    assert done.stderr.endswith(f"pip install 'sat2cap[{extra}]'\n")
    assert len(done.stderr.splitlines()) == 1


def test_with_the_extra_serve_the_live_page_answers_without_torch(base: Path, atlas: str) -> None:
    """The extra is installed beside the base, after all tests of the base alone."""
    (wheel,) = base.parents[1].glob("sat2cap-*.whl")
    run_pip("--python", base / "python", "install", "--quiet", "--no-compile", f"{wheel}[serve]")
    command = [str(base / "sat2cap"), "serve", atlas, "--no-open", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": ""}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            address = next(word for line in server.stdout for word in line.split() if word.startswith("http"))
            api = f"{address}api/atlases/country"
            described = json.loads(urllib.request.urlopen(api, timeout=60).read())
            levels = urllib.request.urlopen(f"{api}/scores?prompt=snow", timeout=60).read()
            place = urllib.request.urlopen(f"{api}/point?prompt=snow&lon=-69.97&lat=46.01", timeout=60).read()
        finally:
            server.terminate()
    height, width = described["grid"]["shape"]
    assert (described["captions"], len(levels)) == (False, height * width)
    assert len(json.loads(place)["phrases"]) > 0
