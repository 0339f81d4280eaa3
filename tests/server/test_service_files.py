"""The systemd unit and the container file of docs/serve.md, as far as they can be tried without running."""
# What they do when they run was tried by hand, as the page says.

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from sat2cap.cli.ask.serve import serve
from sat2cap.errors import InputError, JobError
from sat2cap.server import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serve.md").read_text()
NEEDS_SYSTEMD = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here; apt-get install systemd"
)


def read_block(language):
    """Return the one block of the page in a language."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    return block


def assert_serves(words):
    """Check the words of a command line against the options and arguments of `sat2cap serve`."""
    assert [Path(words[0]).name, words[1]] == ["sat2cap", "serve"]
    app = typer.Typer()
    app.command()(serve)
    command = typer.main.get_command(app)
    context = command.make_context("serve", list(words[2:]), resilient_parsing=False)
    assert context.params["atlases"]
    assert context.params["browser"] is False, "nobody sits in front of it"
    return context.params


@NEEDS_SYSTEMD
def test_systemd_takes_the_unit(tmp_path):
    unit = tmp_path / "sat2cap.service"
    text = read_block("ini")
    assert "/opt/sat2cap/bin/sat2cap" in text
    unit.write_text(text.replace("/opt/sat2cap/bin/sat2cap", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_the_server_behind_a_proxy():
    (command,) = re.findall(r"^ExecStart=(.*)$", read_block("ini"), re.M)
    assert assert_serves(shlex.split(command))["public_url"].startswith("https://")


@NEEDS_SYSTEMD
def test_the_unit_exposes_little(tmp_path):
    unit = tmp_path / "sat2cap.service"
    unit.write_text(read_block("ini"))
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", unit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-200:]  # an exposure above 2.0 of 10


def test_a_mistake_in_the_unit_is_not_tried_again_and_again():
    (status,) = re.findall(r"^RestartPreventExitStatus=(.*)$", read_block("ini"), re.M)
    assert int(status) == InputError.exit_status != JobError.exit_status


def read_steps():
    """Return the steps of the container file as instruction and argument, those of each stage in a list."""
    stages = []
    for line in filter(None, read_block("dockerfile").splitlines()):
        instruction, argument = line.split(" ", 1)
        if instruction == "FROM":
            stages.append([])
        stages[-1].append((instruction, argument))
    return stages


def test_the_container_starts_the_server_on_every_address():
    _, last = read_steps()
    steps = dict(last)
    assert assert_serves(json.loads(steps["CMD"]))["host"] == "0.0.0.0"
    assert steps["EXPOSE"] == "8000"
    assert steps["USER"] != "root"


def test_the_container_is_built_from_what_the_repository_has():
    build, last = read_steps()
    sources = [word for step, words in build if step == "COPY" for word in words.split()[:-1]]
    assert {"pyproject.toml", "hatch_build.py", "src", "web"} <= set(sources)
    named = re.findall(r'^(?:readme|path) = "([^"]*)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert set(named) <= set(sources)
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert ("COPY", "--from=build /wheels /wheels") in last
    assert "**/node_modules" in (ROOT / ".dockerignore").read_text().splitlines()


def test_a_container_without_the_page_is_not_built(monkeypatch):
    _, last = read_steps()
    (command,) = [words for step, words in last if step == "RUN" and "find_page" in words]
    _, option, code = shlex.split(command)
    assert option == "-c"
    monkeypatch.setattr(app, "find_page", lambda: Path("index.html"))
    exec(code, {})
    monkeypatch.setattr(app, "find_page", lambda: None)
    with pytest.raises(AssertionError, match="the page was not built"):
        exec(code, {})
