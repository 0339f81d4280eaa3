"""``--version``, and the one line that says which extra brings a missing module."""

import importlib
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from sat2cap.cli.app import main
from sat2cap.cli.extras import EXTRA_OF_MODULE, explain_missing_module

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
PACKAGE_OF_MODULE = {"faiss": "faiss-cpu", "sklearn": "scikit-learn", "google.protobuf": "protobuf"}


def test_version_is_that_of_the_installed_package(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["--version"])
    assert not exit_info.value.code
    assert capsys.readouterr().out == f"sat2cap {metadata.version('sat2cap')}\n"


def test_every_requirement_of_an_extra_is_in_the_table():
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    declared = {
        (re.split(r"[<>=~!\[ ;]", requirement)[0], extra)
        for extra, requirements in extras.items()
        for requirement in requirements
        if extra != "dev"
    }
    table = {
        (PACKAGE_OF_MODULE.get(module, module.replace("_", "-").replace(".", "-")), extra)
        for module, extra in EXTRA_OF_MODULE.items()
    }
    assert table
    assert table == declared


def test_a_missing_extra_is_one_line_and_status_2(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)  # what Python sees where it is not installed
    monkeypatch.setattr("sat2cap.cli.app.app", lambda **_: importlib.import_module("lightning_fabric"))
    with pytest.raises(SystemExit) as exit_info:
        main(["train", "run.toml"])
    assert exit_info.value.code == 2
    assert capsys.readouterr().err == (
        "error: this command needs lightning_fabric, which comes with an extra: "
        "pip install 'sat2cap[train]'\n"
    )


def test_another_missing_module_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("sat2cap.cli.app.app", lambda **_: importlib.import_module("no_such_module"))
    with pytest.raises(ModuleNotFoundError):
        main(["train", "run.toml"])


def test_only_modules_of_extras_are_explained():
    assert explain_missing_module("odc.stac.model") == (
        "this command needs odc.stac, which comes with an extra: pip install 'sat2cap[stac]'"
    )
    assert explain_missing_module("averages") is None
    assert explain_missing_module(None) is None
