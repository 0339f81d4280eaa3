"""Type a sentence, get a map: text-prompted maps from overhead imagery, after the Sat2Cap paper."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sat2cap.api import OpenAtlas

__all__ = ["open"]


def open(
    path: "str | Path", model: "str | Path | None" = None, text: "str | Path | None" = None
) -> "OpenAtlas":
    """Open an atlas for prompts: ``sat2cap.open("x.zarr").map("a busy street")``; see `sat2cap.api`."""
    from sat2cap import api  # here, so that importing the package alone costs nothing

    return api.open(path, model, text)
