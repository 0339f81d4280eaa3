"""Checks of the prompts on a command line."""

from pathlib import Path
from typing import TypeVar

from sat2cap.errors import PromptError
from sat2cap.query import split_prompt

Prompts = TypeVar("Prompts", str | None, list[str] | None)


def refuse_paths(prompts: Prompts) -> Prompts:
    """Return prompts as they are. Raises `PromptError` for one without words, or the path of something.

    A second atlas where a prompt belongs, as in ``sat2cap difference NEW.zarr OLD.zarr "water"``, would be
    embedded as text, and the map would mean nothing.
    """
    for prompt in [prompts] if isinstance(prompts, str) else prompts or []:
        split_prompt(prompt)
        path = Path(prompt)
        if not _exists(path):
            continue
        if path.is_dir() and (path / "_sat2cap").is_dir():
            fix = f"to compare two atlases, write: sat2cap difference NEW 'water' --less-atlas {prompt}"
        else:
            fix = f"give photo:{prompt} for an image, or write it in other words, such as 'a photo of …'"
        raise PromptError(f"prompt {prompt!r} is the path of something that exists; {fix}")
    return prompts


def _exists(path: Path) -> bool:
    """Return whether there is something at a path; False for a text that no path can be."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a file name, or with a null character
        return False
