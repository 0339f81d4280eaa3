"""The one policy for requests to other people's servers: what is tried again, how often, and when.

Two engines follow it: `sat2cap.http.client.Fetcher` (threads; tiles, archives, catalogues) and
`sat2cap.photos.download` (asyncio; millions of photos). Both take from here what is tried again
(`is_transient`, `TRANSIENT_ERRORS`), how often and after what wait (`FetchPolicy`, `RetryState`), and when a
request may start (`ServerPacer`).
"""

import math
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

MAX_PAUSE_S = 120.0
"""Longest pause that is waited for, at once or added up over one request's tries."""

TRANSIENT_ERRORS = (httpx.TransportError, httpx.DecodingError, httpx.TooManyRedirects)
"""Failures of a request without a usable answer that are tried again."""

_TRANSIENT_4XX = {408, 425, 429}  # request timeout, too early, too many requests
_PERMANENT_5XX = {501, 505}  # not implemented, HTTP version not supported: no later try can succeed
_FIRST_INTERVAL_S = 0.05  # between requests, once a server has asked for a pause; doubled when it asks again
_LONGEST_INTERVAL_S = 2.0
_INTERVAL_DECAY = 0.97  # of that interval with each answer; after some hundred answers it is gone


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
    max_request_s: float = 300.0
    """Seconds after which a request with all its tries has failed, however many bytes keep coming."""
    max_answer_bytes: int = 256 * 2**20
    """Largest body of an answer, unpacked."""


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
        """Claim the start of a request to this server.

        Returns 0.0 if it may start now, else the seconds after which to ask again. Safe to call from any
        thread.
        """
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
        """Start no request for `pause_s` seconds, as the server asked, and space those after it.

        The interval between requests doubles, up to a limit, and shrinks again as the server answers.
        """
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
        """Count a try that ended without a usable answer; pauses that a server asked for are not counted."""
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
