"""Vectors of texts, kept for as long as their model is: most of what a map asks for was asked before.

A slider of months asks for one prompt at twelve dates, contrast compares every prompt with the same bank, and
a place is described by the same phrases; each text is a run of the text tower otherwise.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from sat2cap.model import QueryModel

Floats = NDArray[np.float32]
CheckTexts = Callable[[QueryModel, Sequence[str]], None]

KEPT_TEXTS = 4096
"""Texts whose vectors are kept for each model, the last used ones: 8 MB at 512 numbers."""


class TextVectors:
    """The unit vectors of texts by one model; threads may share it."""

    def __init__(self, capacity: int = KEPT_TEXTS) -> None:
        """Begin with none; at most `capacity` are remembered."""
        self._vectors: OrderedDict[str, Floats] = OrderedDict()
        self._capacity, self._lock = capacity, Lock()

    def embed(self, checkpoint: QueryModel, texts: Sequence[str], check: CheckTexts) -> Floats:
        """Return the unit vectors of B texts by `checkpoint`, float32 `[B, D]`.

        Only new ones are computed, once `check` has let them through.
        """
        with self._lock:
            ready = {text: self._vectors[text] for text in texts if text in self._vectors}
            for text in ready:
                self._vectors.move_to_end(text)
        new = [text for text in dict.fromkeys(texts) if text not in ready]
        if new:
            check(checkpoint, new)
            ready |= {
                text: row.copy() for text, row in zip(new, checkpoint.embed_text(new), strict=True)
            }  # copies, as a row alone would keep all rows
            with self._lock:
                self._vectors.update((text, ready[text]) for text in new)
                while len(self._vectors) > self._capacity:
                    self._vectors.popitem(last=False)
        return np.stack([ready[text] for text in texts])


_OF_MODELS: WeakKeyDictionary[QueryModel, TextVectors] = WeakKeyDictionary()
_LOCK = Lock()


def embed_texts(checkpoint: QueryModel, texts: Sequence[str], check: CheckTexts) -> Floats:
    """Return the unit vectors of B texts, float32 `[B, D]`, as `QueryModel.embed_text` does, or from memory.

    `check` is called with the texts that are new, and raises for one that cannot be embedded. Raises
    `ModelError` if the model has no text tower.
    """
    with _LOCK:
        vectors = _OF_MODELS.setdefault(checkpoint, TextVectors())
    return vectors.embed(checkpoint, texts, check)
