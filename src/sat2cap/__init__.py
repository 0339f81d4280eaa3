"""Type a sentence, get a map: text-prompted maps from overhead imagery, after the Sat2Cap paper."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sat2cap.api import OpenAtlas, save

__all__ = ["open", "save"]


def open(
    path: "str | Path", model: "str | Path | None" = None, text: "str | Path | None" = None
) -> "OpenAtlas":
    """Open an atlas for prompts: ``sat2cap.open("x.zarr").map("a busy street")``; see `sat2cap.api`."""
    from sat2cap import api  # here, so that importing the package alone costs nothing

    return api.open(path, model, text)


def __getattr__(name: str) -> object:
    """``sat2cap.save``, imported when first used, as all of `sat2cap.api` is."""
    if name == "save":
        from sat2cap.api import save

        return save
    raise AttributeError(f"module 'sat2cap' has no attribute {name!r}")
