"""Running a command line in this process."""

import contextlib
import io
import warnings
from typing import NamedTuple

from sat2cap.cli import main


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


def run(*words: object) -> Done:
    """What ``sat2cap WORDS`` does, prints and exits with."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)  # a line for people, as in a shell, and no error
        try:
            main([str(word) for word in words])
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return Done(status, out.getvalue(), err.getvalue())
