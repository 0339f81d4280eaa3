"""``--version``, and the one line that says which extra brings a missing module."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module, metadata
from pathlib import Path

import pytest

from sat2cap.cli.app import main
from sat2cap.extras import EXTRA_OF_MODULE, EXTRAS_WITHIN, explain_missing_module

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
PACKAGE_OF_MODULE = {
    "attr": "attrs",
    "faiss": "faiss-cpu",
    "sklearn": "scikit-learn",
    "google.protobuf": "protobuf",
}


def test_version_is_that_of_the_installed_package(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["--version"])
    assert not exit_info.value.code
    assert capsys.readouterr().out == f"sat2cap {metadata.version('sat2cap')}\n"


def test_python_runs_the_package_as_the_command():
    run = subprocess.run([sys.executable, "-m", "sat2cap", "--version"], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, f"sat2cap {metadata.version('sat2cap')}\n")


def test_every_requirement_of_an_extra_is_in_the_table():
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    declared = {
        (re.split(r"[<>=~!\[ ;]", requirement)[0], extra)
        for extra, requirements in extras.items()
        for requirement in requirements
        if extra != "dev" and not requirement.startswith("sat2cap[")
    }
    table = {
        (PACKAGE_OF_MODULE.get(module, module.replace("_", "-").replace(".", "-")), extra)
        for module, extra in EXTRA_OF_MODULE.items()
    }
    assert table
    assert table == declared


def test_a_missing_extra_is_one_line_and_status_2(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)  # what Python sees where it is not installed
    monkeypatch.setattr("sat2cap.cli.app.make_command", lambda *_: import_module("lightning_fabric"))
    with pytest.raises(SystemExit) as exit_info:
        main(["train", "run.toml"])
    assert exit_info.value.code == 2
    assert capsys.readouterr().err == (
        "error: this command needs lightning_fabric, which comes with an extra: "
        "pip install 'sat2cap[train]'\n"
    )


@pytest.mark.parametrize(
    ("words", "missing", "extra"),
    [
        (["embed", "--imagery", "missing.tif", "--model", "nobody", "-o", "x.zarr"], "torch", "embed"),
        (["train", "missing.toml"], "peft", "train"),
        (["demo", "--out", "x"], "duckdb", "demo"),
        (["pairs", "build", "--photos", "missing", "--imagery", "missing.tif", "-o", "x"], "duckdb", "pairs"),
        (["evaluate", "retrieval", "missing", "--model", "nobody"], "sklearn", "evaluate"),
        (["evaluate", "clusters", "missing", "--model", "nobody"], "sklearn", "evaluate"),
        (["evaluate", "maps", "missing.zarr"], "torch", "evaluate"),
        (["evaluate", "landcover", "missing.zarr", "missing.toml"], "torch", "evaluate"),
        (["evaluate", "time", "missing.zarr"], "torch", "evaluate"),
        (["evaluate", "captions", "missing", "--model", "nobody"], "torch", "evaluate"),
    ],
)
def test_an_extra_that_is_missing_is_named_before_any_work(
    words, missing, extra, capsys, monkeypatch, tmp_path
):
    """None of the inputs exists, so a command that looked at one of them first would complain of that."""
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_info:
        main(words)
    assert exit_info.value.code == 2
    command = " ".join(words[: 2 if words[0] in ("pairs", "evaluate") else 1])
    expected = f"error: sat2cap {command} needs {missing}, not installed; pip install 'sat2cap[{extra}]'\n"
    assert capsys.readouterr().err == expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [["embed", "--imagery", "x.tif", "--model", "x", "-o", "x"], ["atlas", "repair", "x"]]
)
def test_a_cluster_without_ray_is_one_line_before_any_work(words, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.chdir(tmp_path)
    for more, line in [
        (["--engine", "ray"], "--engine ray needs ray, not installed; pip install 'sat2cap[cluster]'"),
        (["--engine", "ray", "--workers", "0"], "--workers '0' must be a whole number of 1 or more"),
        (["--workers", "2"], "--address and --workers are those of a cluster; add --engine ray"),
    ]:
        with pytest.raises(SystemExit):
            main([*words, *more])
        assert capsys.readouterr().err == f"error: {line}\n"
    assert list(tmp_path.iterdir()) == []


def test_what_an_extra_brings_is_what_its_commands_ask_for():
    """An extra that includes others in pyproject.toml is checked for their modules too."""
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]

    def included(extra):
        nested = [name for line in extras[extra] for name in re.findall(r"sat2cap\[([a-z,]+)\]", line)]
        return {extra}.union(*(included(inner) for names in nested for inner in names.split(",")))

    assert set(EXTRAS_WITHIN) == {"embed", "train", "pairs", "evaluate", "demo", "publish", "cluster"}
    for extra, within in EXTRAS_WITHIN.items():
        assert included(extra) == set(within)


def test_another_missing_module_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("sat2cap.cli.app.make_command", lambda *_: import_module("no_such_module"))
    with pytest.raises(ModuleNotFoundError):
        main(["train", "run.toml"])


def test_only_modules_of_extras_are_explained():
    assert explain_missing_module("pystac_client.client") == (
        "this command needs pystac_client, which comes with an extra: pip install 'sat2cap[stac]'"
    )
    assert explain_missing_module("averages") is None
    assert explain_missing_module(None) is None
