"""Fetching from servers of others politely: few at once, patient, and as one that says who it is."""

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
from sat2cap.sources.template import headers_with_secrets

Read = TypeVar("Read")

_ABSENT = {204, 404, 410}
_LATER = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_PAUSE_S = 120.0  # a server that asks for more is not waited for


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
        timeouts, broken connections, 429 and server errors. `what` names it in messages. Raises
        `ImageryError` when it cannot be had, `JobError` when the server does not let us in at all.
        """
        reason = ""
        for attempt in range(self.manners.attempts):
            self._rest(attempt)
            try:
                answer = self._connected().get(url, headers=headers)
                if answer.status_code in _ABSENT:
                    return None
                if answer.is_success:
                    return read(answer.content)
                reason = f"{answer.status_code} {answer.reason_phrase}".strip()
            except (httpx.TransportError, httpx.DecodingError, httpx.TooManyRedirects) as error:
                reason = str(error) or type(error).__name__
                continue
            except (OSError, ValueError, SyntaxError) as error:  # the last is Pillow's word for a broken PNG
                reason = f"the answer is broken: {error}"
                continue
            self._heed(answer, what, reason)
        times = f"failed {self.manners.attempts} times ({reason})"
        raise ImageryError(f"{what} of {self.name!r} {times}; {_LATER_ON}")

    def _heed(self, answer: httpx.Response, what: str, reason: str) -> None:
        """Raise if trying again is in vain; otherwise remember how long the server wants to be left alone."""
        if answer.status_code == 401:
            fix = "check the key or token, and that it is in the environment"
            raise JobError(f"{self.name!r} does not let us in ({reason}); {fix}")
        if answer.status_code not in _LATER:
            fix = "check the address and its terms"
            raise ImageryError(f"{what} of {self.name!r} is refused ({reason}); {fix}")
        pause = _retry_after_s(answer.headers.get("Retry-After"))
        if pause > _LONGEST_PAUSE_S:
            wish = f"{reason}, to try again in {pause:.0f} s"
            raise ImageryError(f"{what} of {self.name!r}: {wish}; {_LATER_ON}")
        with self._lock:
            self._pause_until = max(self._pause_until, time.monotonic() + pause)

    def _rest(self, attempt: int) -> None:
        """Wait before a try: longer each time, and as long as the server has asked any of us to."""
        if attempt:
            time.sleep(self.manners.wait_s * 2 ** (attempt - 1))
        while (left := self._pause_until - time.monotonic()) > 0:
            time.sleep(left)

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
