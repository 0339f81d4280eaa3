"""Getting ready before anyone asks: every atlas is opened and answers once, so that prompts are quick."""

import logging
import time
from collections.abc import Callable

from sat2cap.errors import Sat2CapError
from sat2cap.geo import When
from sat2cap.query import ScoreScale
from sat2cap.server.collection import AtlasCollection, ServedAtlas
from sat2cap.server.nonsense import NonsenseChances
from sat2cap.server.scores import ScoreService

log = logging.getLogger("sat2cap.server")

_PROMPT = "a photo of a place"
_MOMENT = When(2024, 6, 21, 12.0)
_MOST_CELLS = 1_500_000
"""Atlases with more cells are opened, but what nonsense reaches there is computed when it is asked for."""


class WarmUp:
    """Opens the atlases of a server one after another, in the order in which the page offers them."""

    def __init__(
        self, collection: AtlasCollection, finished: Callable[[AtlasCollection, float], None] | None = None
    ) -> None:
        """`finished` is called once with the collection and the seconds that it took."""
        self._collection, self._finished = collection, finished
        self.is_done = False
        """Whether every atlas has been opened, or has shown why it cannot be."""

    async def run(self, service: ScoreService, nonsense: NonsenseChances) -> None:
        """Open the atlases and ask each once; one that fails keeps no other from it."""
        start_s = time.perf_counter()
        for slug in self._collection.slugs:
            try:
                served = await service.run(self._collection.describe, slug)
                if served.opened is not None:
                    await service.run(_ask_once, served)
                    if int(served.opened.atlas.wanted.sum()) <= _MOST_CELLS:
                        await nonsense.chance(served, None)
            except Sat2CapError as error:
                log.warning("atlas %s cannot be warmed up: %s", slug, error)
            except Exception:
                log.exception("a fault while atlas %s was warmed up", slug)
        self.is_done = True
        if self._finished is not None:
            self._finished(self._collection, time.perf_counter() - start_s)


def _ask_once(served: ServedAtlas) -> None:
    """Score a prompt as the page will: this loads the text tower and the compiled loops."""
    assert served.opened is not None
    model = served.opened.query_model
    scale: ScoreScale = "cosine" if model.calibration is None else "contrast"
    served.opened.map(_PROMPT, scale=scale)
    if model.dynamic_weights is not None:
        served.opened.map(_PROMPT, _MOMENT, scale=scale)
