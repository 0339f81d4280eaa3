"""The one policy for requests to other people's servers, and the client that reads imagery with it.

Two engines follow the policy: `Fetcher` below (threads; tiles, archives, catalogues) and
`sat2cap.photos.download` (asyncio; millions of photos). Both take from here what is tried again
(`is_transient`, `TRANSIENT_ERRORS`), how often and after what wait (`FetchPolicy`, `RetryState`), and when a
request may start (`ServerPacer`).
"""

import math
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

Value = TypeVar("Value")

MAX_PAUSE_S = 120.0
"""Longest pause that is waited for, at once or added up over one request's tries."""

TRANSIENT_ERRORS = (httpx.TransportError, httpx.DecodingError, httpx.TooManyRedirects)
"""Failures of a request without a usable answer that are tried again."""

_SECRET = re.compile(r"\$\{(\w+)\}")
_ABSENT_STATUSES = {204, 404, 410}
_TRANSIENT_4XX = {408, 425, 429}  # request timeout, too early, too many requests
_PERMANENT_5XX = {501, 505}  # not implemented, HTTP version not supported: no later try can succeed
_FIRST_INTERVAL_S = 0.05  # between requests, once a server has asked for a pause; doubled when it asks again
_LONGEST_INTERVAL_S = 2.0
_INTERVAL_DECAY = 0.97  # of that interval with each answer; after some hundred answers it is gone
_TRY_LATER = "try again later; what is finished is kept"


@dataclass(frozen=True)
class FetchPolicy:
    """How many requests one server gets, and how often a failed one is repeated."""

    max_concurrent: int = 8
    """Requests under way at the same time."""
    max_attempts: int = 4
    """Tries of one request before it counts as failed; a pause that the server asks for is no try."""
    first_backoff_s: float = 0.25
    """Seconds before the second try; doubled for each further one."""
    timeout_s: float = 30.0
    """Seconds without an answer, or the next part of one, after which a try has failed."""
    max_per_s: float = math.inf
    """Requests begun in a second."""


def is_transient(status: int) -> bool:
    """Return whether a request that was answered with this HTTP status may succeed later.

    True for 408, 425, 429 and all of 5xx but 501 and 505. Proxies use numbers of their own, such as 520 to
    527, for a server that cannot be reached.
    """
    return status in _TRANSIENT_4XX or (status >= 500 and status not in _PERMANENT_5XX)


def retry_after_s(value: str | None) -> float:
    """Return the seconds that a Retry-After header asks for: a number or an HTTP date (RFC 9110, 10.2.3).

    0 for no header, for a date that has passed and for text that is neither.
    """
    if value is None:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return max(0.0, seconds) if math.isfinite(seconds) else 0.0
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


class ServerPacer:
    """The times at which requests to one server may start, shared by all threads or tasks that send them.

    A request is delayed by the policy's rate, by a pause that the server has asked for, and by an interval
    that grows with each pause asked for and shrinks with each answer.
    """

    def __init__(self, policy: FetchPolicy) -> None:
        self.patience_s = MAX_PAUSE_S
        """Seconds that a new request may spend in pauses; 0 after one has used up all of it in vain."""
        self._lock = threading.Lock()
        self._min_interval_s = 1 / policy.max_per_s
        self._interval_s = 0.0
        self._pause_until_s = 0.0
        self._next_start_s = 0.0

    def claim_start(self) -> float:
        """Claim a start: return 0.0 if the request may start now, else the seconds until asking again."""
        with self._lock:
            now = time.monotonic()
            start = max(self._next_start_s, self._pause_until_s)
            if now < start:
                return start - now
            self._next_start_s = now + max(self._interval_s, self._min_interval_s)
            return 0.0

    def record_answer(self) -> None:
        """Shorten the interval a little and be patient again: the server has answered a request."""
        with self._lock:
            fading = self._interval_s > _FIRST_INTERVAL_S / 10
            self._interval_s = self._interval_s * _INTERVAL_DECAY if fading else 0.0
            self.patience_s = MAX_PAUSE_S

    def record_pause(self, pause_s: float) -> None:
        """Start no request for `pause_s` seconds, and space those after it."""
        with self._lock:
            now = time.monotonic()
            if now >= self._pause_until_s:  # not again for requests that were under way with the first
                doubled = max(2 * self._interval_s, _FIRST_INTERVAL_S)
                self._interval_s = min(doubled, _LONGEST_INTERVAL_S)
            self._pause_until_s = max(self._pause_until_s, now + pause_s)

    def give_up_waiting(self) -> None:
        """Let other requests fail at their first pause, until the server answers one."""
        self.patience_s = 0.0


class RetryState:
    """The failures and pauses of one request so far.

    ::

        retry = RetryState(policy, pacer)
        while not retry.exhausted:
            sleep(retry.backoff_s)
            ...  # wait until pacer.claim_start() is 0.0, send the request, return a usable answer
            retry.record_failure()  # or, for a transient status: retry.record_status(pause_s)
    """

    def __init__(self, policy: FetchPolicy, pacer: ServerPacer) -> None:
        self.failures = 0
        self._policy, self._pacer = policy, pacer
        self._patience_s = pacer.patience_s

    @property
    def exhausted(self) -> bool:
        """Whether the request has failed for good."""
        return self.out_of_patience or self.failures >= self._policy.max_attempts

    @property
    def out_of_patience(self) -> bool:
        """Whether the server has asked for more pauses than are waited for."""
        return self._patience_s < 0

    @property
    def backoff_s(self) -> float:
        """Seconds to wait before the next try, besides what the pacer asks for."""
        return self._policy.first_backoff_s * 2 ** (self.failures - 1) if self.failures else 0.0

    def record_failure(self) -> None:
        """Count a try that ended without a usable answer."""
        self.failures += 1

    def record_status(self, pause_s: float) -> None:
        """Count a try that was answered with a transient status and a request for a pause, 0 for none.

        A pause delays every request to the server and is no failure; without one, the try has failed. A pause
        above `MAX_PAUSE_S` uses up the patience at once.
        """
        if pause_s <= 0:
            self.failures += 1
            return
        self._patience_s -= pause_s
        if pause_s <= MAX_PAUSE_S:
            self._pacer.record_pause(pause_s)
            if self.out_of_patience:
                self._pacer.give_up_waiting()


@dataclass
class Fetcher:
    """A client that sends GET requests under a `FetchPolicy`, for use by several threads.

    Its connection pool is made at the first request and is not pickled.
    """

    name: str
    """The source as the user wrote it, for messages: URLs may hold secrets."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of every request; ``${NAME}`` is read from the environment."""
    policy: FetchPolicy = field(default_factory=FetchPolicy)

    def __post_init__(self) -> None:
        """Check that every secret is there. Raises `ImageryError` if one is not."""
        headers_with_secrets(self.headers, self.name)
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()
        self._pacer = ServerPacer(self.policy)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without connections and locks."""
        return Fetcher, (self.name, dict(self.headers), self.policy)

    def get(
        self,
        url: str,
        what: str,
        read: Callable[[bytes], Value],
        headers: Mapping[str, str] | None = None,
    ) -> Value | None:
        """Return `read` of the answer's body, or None when the server has nothing there (204, 404, 410).

        Tried again are timeouts, broken connections, transient statuses (`is_transient`) and bodies of which
        `read` raises `OSError` or `ValueError`, such as a truncated image. `what` names the resource in
        messages. Raises `ImageryError` when it cannot be fetched, `JobError` when the server demands a key
        (401), so that no other request would succeed either.
        """
        retry = RetryState(self.policy, self._pacer)
        reason = "the server asks for pauses"
        while not retry.exhausted:
            self._wait_for_start(retry)
            try:
                answer = self._open_client().get(url, headers=headers)
            except TRANSIENT_ERRORS as error:
                reason = str(error) or type(error).__name__
                retry.record_failure()
                continue
            if answer.status_code in _ABSENT_STATUSES or answer.is_success:
                self._pacer.record_answer()
                try:
                    return None if answer.status_code in _ABSENT_STATUSES else read(answer.content)
                except (OSError, ValueError, SyntaxError) as error:  # the last is Pillow's, of a broken PNG
                    kind = answer.headers.get("Content-Type", "").partition(";")[0] or "of no stated type"
                    reason = f"the answer, {kind}, is broken: {error}"
                    retry.record_failure()
                    continue
            reason = f"{answer.status_code} {answer.reason_phrase}".strip()
            retry.record_status(self._read_pause(answer, what, reason))
        outcome = "had to wait too often" if retry.out_of_patience else f"failed {retry.failures} times"
        raise ImageryError(f"{what} of {self.name!r} {outcome} ({reason}); {_TRY_LATER}")

    def _read_pause(self, answer: httpx.Response, what: str, reason: str) -> float:
        """Return the pause in seconds that a transient answer asks for; raise for any other answer."""
        if answer.status_code == 401:
            fix = "check the key or token, and that it is in the environment"
            raise JobError(f"{self.name!r} does not let us in ({reason}); {fix}")
        if not is_transient(answer.status_code):
            fix = "check the address, the key if it needs one, and the terms"
            raise ImageryError(f"{what} of {self.name!r} is refused ({reason}); {fix}")
        pause_s = retry_after_s(answer.headers.get("Retry-After"))
        if pause_s > MAX_PAUSE_S:
            request = f"{reason}, to try again in {pause_s:.0f} s"
            raise ImageryError(f"{what} of {self.name!r}: {request}; {_TRY_LATER}")
        return pause_s

    def _wait_for_start(self, retry: RetryState) -> None:
        time.sleep(retry.backoff_s)
        while (delay_s := self._pacer.claim_start()) > 0:
            time.sleep(delay_s)

    def _open_client(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(
                    headers={"User-Agent": user_agent(), **headers_with_secrets(self.headers, self.name)},
                    timeout=self.policy.timeout_s,
                    limits=httpx.Limits(max_connections=self.policy.max_concurrent),
                    follow_redirects=True,
                )
            return self._client


def user_agent() -> str:
    """Return the User-Agent header of every request, such as ``sat2cap/0.1.0``."""
    try:
        return f"sat2cap/{version('sat2cap')}"
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "sat2cap"


def with_secrets(text: str, source: str) -> str:
    """Return `text` with every ``${NAME}`` replaced by that environment variable.

    Raises `ImageryError`, which quotes `source` rather than `text`, if a variable is empty or not set.
    """

    def read_secret(match: re.Match[str]) -> str:
        secret = os.environ.get(match[1])
        if not secret:
            fix = f"set it first: export {match[1]}=…"
            raise ImageryError(f"imagery {source!r} needs {match[1]} from the environment; {fix}")
        return secret

    return _SECRET.sub(read_secret, text)


def headers_with_secrets(headers: Mapping[str, str], source: str) -> dict[str, str]:
    """Return headers with their secrets filled in by `with_secrets`. Raises `ImageryError`."""
    return {name: with_secrets(value, source) for name, value in headers.items()}
