"""Photos as prompts: what clients have sent, under names made from its content, in memory only."""

import hashlib
import io
from collections import OrderedDict
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from sat2cap.api import Prompt
from sat2cap.atlas import Version
from sat2cap.errors import PictureError, PromptError
from sat2cap.extras import has_extra, require_extra
from sat2cap.pictures import decode_picture
from sat2cap.query import PART_SEPARATOR, embed_prompts
from sat2cap.server.collection import ServedAtlas

UPLOAD = "upload:"
"""What a part of a prompt begins with that names a photo which was sent."""

_MAX_BYTES = 128 * 2**20
_MAX_VECTORS = 2048
_NAME_LETTERS = 16
_THUMBNAIL_PIXELS = 96
_PLACE = "place:"
_PURPOSE = "a photo as a prompt"

VectorKey = tuple[str, Version, str]
"""Atlas, its version, and the name of a photo."""


class PhotoPrompts:
    """Photos that clients have sent; threads may share it.

    They are kept as they came, the newest `_MAX_BYTES` of them, and embedded by the model of the atlas that
    they are asked of. None is written to disk.
    """

    def __init__(self) -> None:
        """Begin without photos."""
        self._photos: OrderedDict[str, bytes] = OrderedDict()
        self._vectors: OrderedDict[VectorKey, NDArray[np.float32]] = OrderedDict()
        self._lock = Lock()

    def are_possible(self, served: ServedAtlas) -> bool:
        """Return whether a photo can be a prompt of an atlas; imports no networks."""
        assert served.opened is not None
        return has_extra("embed") and served.opened.query_model.has_ground_tower

    def add(self, content: bytes) -> str:
        """Keep an encoded picture and return the prompt that stands for it, such as ``upload:0f3a…``.

        The same picture has the same name. Raises `PictureError` for what cannot be decoded, and
        `MissingExtraError` without torch: nothing could be asked about the photo.
        """
        require_extra("embed", _PURPOSE)
        try:
            decode_picture(content)
        except PictureError as error:
            raise PictureError(f"the photo cannot be used: {error}; send another") from None
        name = hashlib.sha256(content).hexdigest()[:_NAME_LETTERS]
        with self._lock:
            self._photos[name] = content
            self._photos.move_to_end(name)
            while len(self._photos) > 1 and sum(map(len, self._photos.values())) > _MAX_BYTES:
                self._photos.popitem(last=False)
        return UPLOAD + name

    def thumbnail(self, name: str) -> bytes:
        """Return a small WebP picture of a photo. Raises `PromptError` if it is not here."""
        size = (_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS)
        picture = decode_picture(self._find(name), at_least=size)
        picture.thumbnail(size)
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=80)
        return buffer.getvalue()

    def resolve(self, served: ServedAtlas, prompt: str) -> Prompt:
        """Return a prompt as the library takes it: one that names photos as its unit vector `[D]`.

        Any other is returned as it is. Raises `PromptError` for a photo that is not here, and for one that is
        joined with a place.
        """
        parts = [part.strip() for part in f" {prompt} ".split(PART_SEPARATOR)]
        if not any(part.startswith(UPLOAD) for part in parts):
            return prompt
        if any(part.startswith(_PLACE) for part in parts):
            raise PromptError("a photo and a place cannot be joined in one prompt; give one of them")
        assert served.opened is not None

        def embed_photo(part: str) -> NDArray[np.float32] | None:
            return self._embed(served, part.removeprefix(UPLOAD)) if part.startswith(UPLOAD) else None

        vectors = embed_prompts(served.opened.query_model, [prompt], embed_example=embed_photo)
        return np.asarray(vectors[0], np.float32)

    def _find(self, name: str) -> bytes:
        with self._lock:
            content = self._photos.get(name)
            if content is None:
                raise PromptError(f"photo {name[:40]!r} is not here, or no longer; send it again")
            self._photos.move_to_end(name)
        return content

    def _embed(self, served: ServedAtlas, name: str) -> NDArray[np.float32]:
        """Return the unit vector `[D]` of a photo. Raises `MissingExtraError` without torch."""
        assert served.opened is not None
        require_extra("embed", _PURPOSE)
        content, key = self._find(name), (served.slug, served.version, name)
        with self._lock:
            vector = self._vectors.get(key)
        if vector is None:
            vector = np.asarray(
                served.opened.query_model.embed_ground([decode_picture(content)])[0], np.float32
            )
            with self._lock:
                self._vectors[key] = vector
                while len(self._vectors) > _MAX_VECTORS:
                    self._vectors.popitem(last=False)
        return vector
