"""The command line: a thin skin that reads arguments, calls the package and prints.

Nothing heavy is imported before a command runs, so that ``--help`` and errors in arguments come at once.
"""

from sat2cap.cli.app import main

__all__ = ["main"]
