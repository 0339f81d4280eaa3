"""The commands on the page are real ones."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from conftest import Ran

from sat2cap.cli import main
from sat2cap.cli.app import make_command
from sat2cap.demo.commands import list_commands
from sat2cap.demo.labels import to_slug
from sat2cap.demo.plan import DemoPlan


def test_every_command_is_one_that_the_command_line_knows(ran: Ran) -> None:
    lines = [shlex.split(command.line) for command in list_commands(DemoPlan(), ran.out)]
    assert len(lines) >= 6
    whole: Any = make_command()
    for name, *words in lines:
        assert name == "sat2cap"
        group = whole
        while hasattr(group, "commands"):
            group, words = group.commands[words[0]], words[1:]
        words = [f" {word}" if word[:1] == "-" and "," in word else word for word in words]  # as main shields
        group.make_context("sat2cap", words)  # raises for what it does not know


def test_a_map_made_by_hand_is_that_of_the_demo(ran: Ran, tmp_path: Path) -> None:
    command = next(c for c in list_commands(ran.plan, ran.out) if c.line.endswith(".tif"))
    words = [*shlex.split(command.line)[1:-1], str(tmp_path / "mine.tif")]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert not stop.value.code
    prompt = next(p for p in ran.plan.map_prompts if p.when)
    with (
        rasterio.open(words[-1]) as mine,
        rasterio.open(ran.out / "maps" / f"{to_slug(prompt.text)}-north.tif") as theirs,
    ):
        # asking reads texts by its own arithmetic, the demo by torch's
        np.testing.assert_allclose(mine.read(), theirs.read(), atol=1e-6)
