"""Opening an atlas for prompts, whichever kind it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sat2cap.api.atlas import OpenAtlas
from sat2cap.api.inputs import CrsLike, to_crs_text
from sat2cap.api.wide_atlas import WideOpenAtlas
from sat2cap.arguments import check_path
from sat2cap.atlas import WideAtlas, open_atlas
from sat2cap.stores import Store

if TYPE_CHECKING:
    from sat2cap.model import Checkpoint


def open(
    path: str | Path | Store,
    model: str | Path | Checkpoint | None = None,
    text: str | Path | None = None,
    map_crs: CrsLike = None,
) -> OpenAtlas:
    """Open an atlas for prompts: a folder, or its address in a bucket or on a web server.

    `model` is needed when the model is no longer where it was when the atlas was made, and `text` names the
    CLIP model whose text tower reads prompts if the atlas's model has none. `map_crs` is the CRS of its maps
    where a call names none; an atlas in one CRS has its own, and one of several UTM zones EPSG:6933. Raises
    `AtlasError` if there is no atlas; the model is loaded, and its errors are raised, when it is first
    needed.

    >>> sat2cap.open("country.zarr").map("a beach").dims
    ('y', 'x')
    """
    check_path(path, "path", "the folder or address of an atlas", opened="get_range")
    atlas = open_atlas(path)
    kind = WideOpenAtlas if isinstance(atlas, WideAtlas) else OpenAtlas
    return kind(atlas, model, text, to_crs_text(map_crs))
