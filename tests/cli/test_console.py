"""Progress on a terminal and in a log, and the page of the command line."""

import io
import sys
from pathlib import Path

import pytest

from sat2cap.cli import console
from sat2cap.cli.reference import render_reference

ROOT = Path(__file__).parents[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_page_is_current() -> None:
    written = (ROOT / "docs" / "cli.md").read_text()
    assert written == render_reference(), "run: python -m sat2cap.cli.reference > docs/cli.md"
    for command in (
        "demo",
        "train",
        "embed",
        "map",
        "search",
        "pairs build",
        "atlas verify",
        "evaluate maps",
    ):
        assert f"## sat2cap {command}\n" in written


def test_every_option_is_explained() -> None:
    lines = [line for line in render_reference().splitlines() if line.startswith("- `")]
    assert len(lines) > 50
    assert [line for line in lines if "None" in line or not line.split("`: ", 1)[1].strip()] == []


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(console.time, "monotonic", iter(range(100)).__next__)
    monkeypatch.setenv("COLUMNS", "120")
    with console.show_progress() as progress:
        for done in range(0, 101, 20):
            progress(f"training, loss {done}", done, 100)
        progress("embedding", 5, 10)
    text = terminal.getvalue()
    assert "100/100" in text
    assert "5/10" in text
    assert text.count("training, loss 100") >= 1, "a stage that changes its words stays one bar"
    assert "/s" in text


def test_lines_in_a_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with console.show_progress() as progress:
        for second in range(0, 101, 10):
            now[0] = float(second)
            progress("embedding", 500 + second * 5, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "embedding: 650 of 1000, 5.0/s, 70 s left",
        "embedding: 800 of 1000, 5.0/s, 40 s left",
        "embedding: 950 of 1000, 5.0/s, 10 s left",
        "embedding: 1000 done in 100.0 s",
    ]


def test_a_job_that_cannot_resume_does_not_promise_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), console.show_progress(resumes=False):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "stopped\n"


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(("rank", "x"), [("1", "10.5"), ("200", "3")])
    assert capsys.readouterr().out == "rank     x\n   1  10.5\n 200     3\n"
