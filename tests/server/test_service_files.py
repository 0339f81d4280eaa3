"""The systemd unit and the container file of docs/serve.md, as far as they can be tried without running."""

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

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text()


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


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
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


def test_the_container_starts_the_server_on_every_address():
    steps = dict(line.split(" ", 1) for line in read_block("dockerfile").splitlines())
    assert assert_serves(json.loads(steps["CMD"]))["host"] == "0.0.0.0"
    assert steps["EXPOSE"] == "8000"
    assert steps["USER"] != "root"
