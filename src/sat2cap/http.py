"""Fetching from servers of others politely: few at once, patient, and as one that says who it is."""

import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import httpx

from sat2cap.errors import ImageryError, JobError

Read = TypeVar("Read")

_SECRET = re.compile(r"\$\{(\w+)\}")
_ABSENT = {204, 404, 410}
_LATER = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_PAUSE_S = 120.0  # a server that asks for more, at once or in all, is not waited for
_FIRST_PACE_S = 0.05  # between requests, once a server has asked for a pause; doubled when it asks again
_SLOWEST_PACE_S = 2.0
_QUICKER = 0.97  # the pace after an answer; after some hundred of them it is forgotten


@dataclass(frozen=True)
class Manners:
    """How a server is treated."""

    at_once: int = 8
    """Requests under way at the same time."""
    attempts: int = 4
    """Tries of one request before it counts as failed."""
    wait_s: float = 0.25
    """Before the second try; doubled for each one after, unless the server says how long (Retry-After)."""
    timeout_s: float = 30.0
    """Without an answer, or a part of one, a try has failed."""


@dataclass
class Fetcher:
    """GET with retries; one connection pool, which does not travel to other processes."""

    name: str
    """Of the source, as the user wrote it, for messages: URLs may hold secrets."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request; ``${NAME}`` is read from the environment."""
    manners: Manners = field(default_factory=Manners)

    def __post_init__(self) -> None:
        """Raises `ImageryError` for a secret that is not there."""
        headers_with_secrets(self.headers, self.name)
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()
        self._pause_until = 0.0
        self._pace_s = 0.0
        self._next = 0.0
        self._patience_s = _LONGEST_PAUSE_S

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without its connections."""
        return Fetcher, (self.name, dict(self.headers), self.manners)

    def get(
        self,
        url: str,
        what: str,
        read: Callable[[bytes], Read],
        headers: Mapping[str, str] | None = None,
    ) -> Read | None:
        """`read` of the body, None when the server says that there is nothing (204, 404, 410).

        What `read` cannot make sense of (`OSError`, `ValueError`: a truncated answer) is tried again, as are
        timeouts, broken connections and server errors. A server that asks for a pause is given it, and it is
        no failure; from then on requests are spaced. `what` names it in messages. Raises `ImageryError` when
        it cannot be had, `JobError` when the server does not let us in at all.
        """
        failures, patience = 0, self._patience_s
        while failures < self.manners.attempts and patience >= 0:
            self._rest(failures)
            try:
                answer = self._connected().get(url, headers=headers)
            except (httpx.TransportError, httpx.DecodingError, httpx.TooManyRedirects) as error:
                reason = str(error) or type(error).__name__
                failures += 1
                continue
            if answer.status_code in _ABSENT or answer.is_success:
                self._hurry()
                try:
                    return None if answer.status_code in _ABSENT else read(answer.content)
                except (OSError, ValueError, SyntaxError) as error:  # the last is Pillow's, of a broken PNG
                    kind = answer.headers.get("Content-Type", "").partition(";")[0] or "of no stated type"
                    reason = f"the answer, {kind}, is broken: {error}"
                    failures += 1
                    continue
            reason = f"{answer.status_code} {answer.reason_phrase}".strip()
            pause = self._heed(answer, what, reason)
            failures, patience = failures + (pause == 0), patience - pause
        if patience < 0:
            self._patience_s = 0.0  # others need not find out for themselves
        times = f"failed {failures} times" if patience >= 0 else "had to wait too often"
        raise ImageryError(f"{what} of {self.name!r} {times} ({reason}); {_LATER_ON}")

    def _heed(self, answer: httpx.Response, what: str, reason: str) -> float:
        """For how many seconds the server wants to be left alone; raises if trying again is in vain."""
        if answer.status_code == 401:
            fix = "check the key or token, and that it is in the environment"
            raise JobError(f"{self.name!r} does not let us in ({reason}); {fix}")
        if answer.status_code not in _LATER:
            fix = "check the address, the key if it needs one, and the terms"
            raise ImageryError(f"{what} of {self.name!r} is refused ({reason}); {fix}")
        pause = _retry_after_s(answer.headers.get("Retry-After"))
        if pause > _LONGEST_PAUSE_S:
            wish = f"{reason}, to try again in {pause:.0f} s"
            raise ImageryError(f"{what} of {self.name!r}: {wish}; {_LATER_ON}")
        if pause > 0:
            with self._lock:
                now = time.monotonic()
                if now >= self._pause_until:  # not again for those that were under way with the first
                    self._pace_s = min(max(2 * self._pace_s, _FIRST_PACE_S), _SLOWEST_PACE_S)
                self._pause_until = max(self._pause_until, now + pause)
        return pause

    def _hurry(self) -> None:
        """After an answer: a little quicker again, and as patient as at first."""
        with self._lock:
            self._pace_s = self._pace_s * _QUICKER if self._pace_s > _FIRST_PACE_S / 10 else 0.0
            self._patience_s = _LONGEST_PAUSE_S

    def _rest(self, failures: int) -> None:
        """Wait before a try: longer after each failure, and as long as the server has asked any of us to."""
        if failures:
            time.sleep(self.manners.wait_s * 2 ** (failures - 1))
        while True:
            with self._lock:
                now = time.monotonic()
                start = max(self._next, self._pause_until)
                if now >= start:
                    self._next = now + self._pace_s
                    return
            time.sleep(start - now)

    def _connected(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(
                    headers={"User-Agent": user_agent(), **headers_with_secrets(self.headers, self.name)},
                    timeout=self.manners.timeout_s,
                    limits=httpx.Limits(max_connections=self.manners.at_once),
                    follow_redirects=True,
                )
            return self._client


_LATER_ON = "try again later; what is finished is kept"


def _retry_after_s(value: str | None) -> float:
    """Seconds or a date, as HTTP has both (RFC 9110, 10.2.3); 0 for none or nonsense."""
    if value is None:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def user_agent() -> str:
    """How this package names itself to servers."""
    try:
        return f"sat2cap/{version('sat2cap')}"
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "sat2cap"


def with_secrets(text: str, shown: str) -> str:
    """`text` with every ``${NAME}`` replaced from the environment. Raises `ImageryError`, quoting `shown`."""

    def value(found: re.Match[str]) -> str:
        secret = os.environ.get(found[1])
        if not secret:
            fix = f"set it first: export {found[1]}=…"
            raise ImageryError(f"imagery {shown!r} needs {found[1]} from the environment; {fix}")
        return secret

    return _SECRET.sub(value, text)


def headers_with_secrets(headers: Mapping[str, str], shown: str) -> dict[str, str]:
    """Headers as sent. Raises `ImageryError`."""
    return {name: with_secrets(value, shown) for name, value in headers.items()}
