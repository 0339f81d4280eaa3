"""Scores for requests: computed once for all that ask the same, kept within a memory bound.

A request passes three gates::

    cache  ──miss──>  in flight  ──no──>  queue (max_waiting)  ──>  scan (max_scans at once)
      │ hit              │ yes                │ full: OverloadedError       │ nobody waits any more: dropped
      v                  v                    v                        v
    answer          same answer           503, try later            OvertakenError
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sat2cap.api import Prompt
from sat2cap.errors import JobError
from sat2cap.maps import DIFFERENCE, difference, with_standard_attributes
from sat2cap.server.collection import ServedAtlas
from sat2cap.server.metrics import Metrics
from sat2cap.server.nonsense import says_nothing
from sat2cap.server.photos import PhotoPrompts
from sat2cap.server.questions import Question
from sat2cap.server.settings import ServerSettings

Key = tuple[str, Any, Question]
"""Atlas, its version, and the question."""

_MAX_OTHER_WORKS = 1000
"""Works other than scans that may wait; a page asks for dozens of tiles at once."""

IsWanted = Callable[[], Awaitable[bool]]
"""Whether the client of a request still waits for the answer."""


class OverloadedError(JobError):
    """Too many requests wait for a scan."""


class OvertakenError(JobError):
    """Every client that asked this has gone."""


@dataclass(frozen=True, eq=False)
class Answer:
    """The scores of one question."""

    score: xr.DataArray
    """float32 ``(y, x)`` with its grid and provenance; NaN for no data."""
    levels: NDArray[np.uint8]
    """The scores in 8 bits, `[y, x]`: 0 for no data, 1 to 255 evenly from `low` to `high`."""
    low: float
    """Lowest score; NaN if no cell has data."""
    high: float
    """Highest score; NaN if no cell has data."""
    counts: NDArray[np.int64]
    """How many cells have each level, `[256]`."""
    says_nothing: bool = False
    """Whether these are chances of words that say no more than words without meaning do; of a difference,
    whether both prompts are such words."""

    @property
    def is_centred(self) -> bool:
        """Whether this is a difference: then low is -high, and level 128 is 0."""
        return str(self.score.attrs.get("scale", "")).startswith(DIFFERENCE)

    @property
    def size_bytes(self) -> int:
        """Memory that this answer takes."""
        return int(self.score.nbytes + self.levels.nbytes)


def quantise_scores(score: xr.DataArray) -> Answer:
    """Return scores ``(y, x)`` with their 8-bit levels; a level is at most (high - low) / 508 off.

    The levels of a difference are centred: from -m to m, where m is the largest change either way, so that
    128 is exactly no change.
    """
    values = np.asarray(score.values, np.float32)
    low, high = float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))
    levels = np.zeros(values.shape, np.uint8)
    if np.isfinite(low):
        first = 1
        if str(score.attrs.get("scale", "")).startswith(DIFFERENCE):
            high = max(-low, high)
            low = -high
            first = 1 if high > low else 128
        steps = np.float32(254 / (high - low) if high > low else 0.0)
        half_up = (values - np.float32(low)) * steps + np.float32(first + 0.5)  # as integers lose the rest
        levels = np.nan_to_num(half_up, nan=0.0).astype(np.uint8)
    return Answer(score, levels, low, high, np.bincount(levels.ravel(), minlength=256))


@dataclass(eq=False)
class _Flight:
    """A computation that has begun or waits to begin, and who waits for it."""

    task: "asyncio.Task[Answer]"
    waiting: list[IsWanted] = field(default_factory=list)


class ScoreService:
    """Answers questions about atlases; one for a server, used from its event loop only."""

    def __init__(self, settings: ServerSettings, metrics: Metrics, photos: PhotoPrompts) -> None:
        """Begin with an empty cache."""
        self._settings, self._metrics, self._photos = settings, metrics, photos
        self._cache: OrderedDict[Key, Answer] = OrderedDict()
        self._cached_bytes = 0
        self._flights: dict[Key, _Flight] = {}
        self._scan_slots = asyncio.Semaphore(settings.max_scans)
        self._threads = ThreadPoolExecutor(settings.max_scans, thread_name_prefix="scan")
        self._other_threads = ThreadPoolExecutor(settings.max_scans, thread_name_prefix="other")
        self._other_works = 0

    async def answer(self, served: ServedAtlas, question: Question, is_wanted: IsWanted) -> Answer:
        """Return the scores of a question.

        Raises `OverloadedError` if too many requests wait, `OvertakenError` if all who asked this have gone
        before it was computed, and what the scan raises.
        """
        key = (served.slug, served.version, question)
        cached = self._cache.get(key)
        if cached is not None:
            self._cache.move_to_end(key)
            self._metrics.count("score_cache_hits")
            return cached
        flight = self._flights.get(key)
        if flight is None:
            if len(self._flights) >= self._settings.max_waiting + self._settings.max_scans:
                self._metrics.count("overloads")
                raise OverloadedError("too many requests wait for a map; try again in a second")
            flight = self._flights[key] = _Flight(asyncio.create_task(self._compute(key, served, question)))
            flight.task.add_done_callback(lambda task: self._land(key, task))
        flight.waiting.append(is_wanted)
        return await asyncio.shield(flight.task)

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Run other work of a request in a thread.

        Such work has threads of its own, as many as scans have: a map never waits behind the tiles of
        imagery of a page that was just opened. Raises `OverloadedError` if too much of it waits.
        """
        if self._other_works >= _MAX_OTHER_WORKS:
            self._metrics.count("overloads")
            raise OverloadedError("too many requests wait for this server; try again in a second")
        self._other_works += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._other_threads, work, *arguments)
        finally:
            self._other_works -= 1

    def close(self) -> None:
        """Stop the threads; what has not begun is dropped."""
        for threads in (self._threads, self._other_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _compute(self, key: Key, served: ServedAtlas, question: Question) -> Answer:
        async with self._scan_slots:
            if not await self._is_wanted(key):
                self._metrics.count("overtaken_requests")
                raise OvertakenError("this request was overtaken by a newer one")
            loop = asyncio.get_running_loop()
            with self._metrics.time("scan_seconds"):
                return await loop.run_in_executor(self._threads, _score, served, question, self._photos)

    async def _is_wanted(self, key: Key) -> bool:
        return any([await is_wanted() for is_wanted in self._flights[key].waiting])

    def _land(self, key: Key, task: "asyncio.Task[Answer]") -> None:
        """Take a finished computation out of the air; keep its answer if there is one."""
        del self._flights[key]
        if task.cancelled() or task.exception() is not None:
            return
        answer = task.result()
        self._cache[key] = answer
        self._cached_bytes += answer.size_bytes
        while self._cached_bytes > self._settings.cache_mb * 2**20 and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].size_bytes
        self._metrics.set("score_cache_bytes", self._cached_bytes)


def _score(served: ServedAtlas, question: Question, photos: PhotoPrompts) -> Answer:
    """Compute the scores of a question, and return them as bytes with their range."""
    assert served.opened is not None
    negatives = [photos.resolve(served, text) for text in question.negatives]
    prompt = photos.resolve(served, question.prompt)
    minus = None if question.minus is None else photos.resolve(served, question.minus)
    if question.is_difference:
        answer = quantise_scores(_difference(served, question, prompt, minus, negatives))
    else:
        answer = quantise_scores(served.opened.map(prompt, question.when, negatives, question.scale))
    texts = [text for text in (prompt, minus) if isinstance(text, str)]
    if question.scale != "contrast" or not texts:
        return answer
    return replace(answer, says_nothing=all(says_nothing(served.opened.query_model, text) for text in texts))


def _difference(
    served: ServedAtlas, question: Question, prompt: Prompt, minus: Prompt | None, negatives: list[Prompt]
) -> xr.DataArray:
    """Compute what the map of a question has more than the one that is taken off."""
    assert served.opened is not None
    if isinstance(prompt, str) and isinstance(minus, str | None):
        return served.opened.difference(
            prompt, minus, question.when, question.minus_when, question.scale, negatives=negatives
        )
    # the library names both sides of a difference, and a photo has no words
    first = served.opened.map(prompt, question.when, negatives, question.scale)
    other = prompt if minus is None else minus
    second = served.opened.map(other, question.minus_when or question.when, negatives, question.scale)
    return with_standard_attributes(difference(first, second))
