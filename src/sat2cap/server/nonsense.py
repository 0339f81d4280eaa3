"""What words without meaning reach, on photos and in an atlas: a prompt that stays below says nothing."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from sat2cap.api import OpenAtlas
from sat2cap.atlas import Version
from sat2cap.geo import When
from sat2cap.model import QueryModel
from sat2cap.query import embed_prompts
from sat2cap.server.collection import ServedAtlas

TEXTS = (
    "asdf qwer zxcv", "blorf wug tama", "colourless green ideas sleep furiously", "flibbertigibbet wug blick",
    "invisible unicorn logarithm", "lorem ipsum dolor sit amet", "plonk wibble quux", "qwertz uiopas",
    "the opposite of tomorrow", "the square root of democracy", "tuesday multiplied by seven",
)  # fmt: skip
"""Texts that no photo shows: made-up words, letters, and sentences that make no sense."""

_BEST_PERCENTILE = 99.9
_REMEMBERED = 1024

Key = tuple[str, Version, When | None]
"""Atlas, its version, and the date."""

Run = Callable[..., Awaitable[float | None]]
"""Runs a function with its arguments in a thread, within the limit of scans at once."""


Floats = NDArray[np.float32]

_REACHED: WeakKeyDictionary[QueryModel, tuple[Floats, float]] = WeakKeyDictionary()
_LOCK = Lock()


def says_nothing(model: QueryModel, prompt: str) -> bool:
    """Return whether a prompt fits no held-out photo of a model better than words without meaning do.

    Of all photos that count is the one which the prompt's cosine exceeds those of all `TEXTS` most. By how
    much it must: by what is typical of one of the `TEXTS` itself beside the others, their median. So the test
    has no number of its own, and holds for any CLIP. False for a model that is not calibrated. Raises
    `PromptError`.
    """
    if model.calibration is None:
        return False
    reached, typical_margin = _nonsense_on_photos(model)
    cosines = model.calibration.ground @ embed_prompts(model, [prompt])[0]
    return float((cosines - reached).max()) <= typical_margin


def _nonsense_on_photos(model: QueryModel) -> tuple[Floats, float]:
    """Return the highest cosine of `TEXTS` with each of N held-out photos, `[N]`, and the typical margin."""
    with _LOCK:
        known = _REACHED.get(model)
        if known is None:
            assert model.calibration is not None
            cosines = model.calibration.ground @ embed_prompts(model, TEXTS).T
            margins = [
                float((cosines[:, number] - np.delete(cosines, number, 1).max(1)).max())
                for number in range(len(TEXTS))
            ]
            known = _REACHED[model] = cosines.max(1), float(np.median(margins))
    return known


def typical_nonsense_chance(opened: OpenAtlas, when: When | None = None) -> float | None:
    """Return the chance that words without meaning typically reach in an atlas at a date, 0 to 1.

    Each of `TEXTS` has a chance that one cell in a thousand exceeds; the answer is their median. The highest
    would tell of the one text that happens to resemble something: in the demo's northern country two thirds
    of the prompts with a meaning lie below it. None for a model that is not calibrated, and for an atlas
    without data.
    """
    if opened.query_model.calibration is None:
        return None
    scores = opened.map(list(TEXTS), when, scale="contrast").values.reshape(len(TEXTS), -1)
    valid = scores[:, np.isfinite(scores[0])]
    return float(np.median(np.percentile(valid, _BEST_PERCENTILE, axis=1))) if valid.size else None


class NonsenseChances:
    """Remembers what nonsense reaches, by atlas and date; used from one event loop only."""

    def __init__(self, run: Run) -> None:
        """Begin with nothing remembered; `run` calls a function in a thread that computes maps."""
        self._run = run
        self._tasks: OrderedDict[Key, asyncio.Task[float | None]] = OrderedDict()

    async def chance(self, served: ServedAtlas, when: When | None) -> float | None:
        """Return `typical_nonsense_chance` of an atlas; those who ask the same share one computation.

        Raises what the scan raises; that is not remembered.
        """
        assert served.opened is not None
        key = (served.slug, served.version, when)
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.ensure_future(self._compute(served.opened, when))
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._forget_failure(key, done))
            if len(self._tasks) > _REMEMBERED:
                self._tasks.popitem(last=False)
        return await asyncio.shield(task)

    async def _compute(self, opened: OpenAtlas, when: When | None) -> float | None:
        return await self._run(typical_nonsense_chance, opened, when)

    def _forget_failure(self, key: Key, done: "asyncio.Task[float | None]") -> None:
        if done.cancelled() or done.exception() is not None:
            self._tasks.pop(key, None)
