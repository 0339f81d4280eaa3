"""Prompts by example: a place of the atlas, or a photo, in place of a text.

``place:4.9,52.37`` stands for the embedding of the cell there, ``photo:market.jpg`` for that of the photo.
Examples may stand wherever a text may: combined (``"photo:market.jpg + by the water"``), or as a negative.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import STATUS_MEANINGS, Atlas, CellStatus
from sat2cap.errors import PictureError, PromptError, RegionError
from sat2cap.model import QueryModel
from sat2cap.query.engine.blocks import place_features
from sat2cap.query.engine.cosine import DynamicOffset
from sat2cap.query.prompt_text import split_prompt

# Places and photos are rare in prompts: pyproj and Pillow are imported when one comes.

Floats = NDArray[np.float32]

PLACE, PHOTO = "place:", "photo:"


def has_example(prompt: str) -> bool:
    """Return whether any part of a prompt is an example: a place of the atlas, or a photo.

    Raises `PromptError` for a prompt without text.

    >>> has_example("place:4.9,52.37 + snow"), has_example("a beach")
    (True, False)
    """
    return any(part.startswith((PLACE, PHOTO)) for part in split_prompt(prompt))


@dataclass(frozen=True)
class Examples:
    """Embeds the examples among the parts of a prompt, for one atlas and one moment."""

    atlas: Atlas
    checkpoint: QueryModel
    offset: DynamicOffset | None
    """The Dynamic Encoder at the moment asked for, added to the embeddings of places; None for no date."""
    vectors: Mapping[str, Floats] = field(default_factory=dict)
    """Unit vectors `[D]` of prompts that are no text, by name."""

    def __call__(self, part: str) -> Floats | None:
        """Return the unit vector `[D]` of an example; None for a part that is a text.

        Raises `PromptError` if there is no such place or photo, `ModelError` if the model cannot embed
        photos.
        """
        if part in self.vectors:
            return self.vectors[part]
        if part.startswith(PLACE):
            return self._embed_place(part)
        if part.startswith(PHOTO):
            return self._embed_photo(part)
        return None

    def _embed_place(self, part: str) -> Floats:
        """Return the unit vector (D,) of a cell of the atlas, with the date if one is asked for."""
        row, col = self._locate_cell(part)
        cell = slice(row, row + 1), slice(col, col + 1)
        vector = self.atlas.read(*cell)[0, 0]
        if not np.isfinite(vector).all():
            status = CellStatus(int(self.atlas.status[row, col]))
            raise PromptError(f"example {part!r} has no embedding ({STATUS_MEANINGS[status]}); take another")
        if self.offset is not None:
            from sat2cap.geo import cell_lonlat

            lon, lat = (axis.ravel() for axis in cell_lonlat(self.atlas.plain_grid[cell]))
            vector = vector + self.offset.vectors(place_features(lon, lat, self.checkpoint.encoding))[0]
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    def _locate_cell(self, part: str) -> tuple[int, int]:
        """Return row and column of a place in the atlas."""
        from sat2cap.geo import cell_at, parse_place

        try:
            lon, lat = parse_place(part.removeprefix(PLACE))
        except RegionError:
            raise PromptError(f"example {part!r} is no place; write place:LON,LAT in degrees") from None
        row, col = cell_at(self.atlas.plain_grid, lon, lat)
        if row < 0:
            raise PromptError(f"example {part!r} lies outside the atlas; take a place of {self.atlas.name}")
        return int(row), int(col)

    def _embed_photo(self, part: str) -> Floats:
        """Return the unit vector (D,) of a photo file. Raises `PromptError` if it cannot be read."""
        from sat2cap.pictures import decode_picture

        path = Path(part.removeprefix(PHOTO))
        try:
            photo = decode_picture(path)
        except PictureError as error:
            raise PromptError(
                f"example {part!r} is no photo that can be read ({error}); give another file"
            ) from None
        vector: Floats = self.checkpoint.embed_ground([photo])[0]
        return vector
