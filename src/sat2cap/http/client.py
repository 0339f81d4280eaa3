"""The client that reads tiles, archives and catalogues over HTTP, following `sat2cap.http.policy`."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import httpx

from sat2cap.errors import ImageryError, JobError, quote
from sat2cap.http.addresses import redirect_guard
from sat2cap.http.policy import (
    MAX_PAUSE_S,
    TRANSIENT_ERRORS,
    FetchPolicy,
    RetryState,
    ServerPacer,
    is_transient,
    retry_after_s,
)
from sat2cap.http.secrets import headers_with_secrets

Value = TypeVar("Value")


class _TooLargeError(Exception):
    """A body is larger than the policy allows."""


_ABSENT_STATUSES = {204, 404, 410}
_TRY_LATER = "try again later; what is finished is kept"


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
        messages. Raises `ImageryError` when it cannot be fetched within the policy's limits of tries, time
        and bytes, `JobError` when the server demands a key (401), so that no other request would succeed.
        """
        return self.send("GET", url, what, read, headers)

    def send(
        self,
        method: str,
        url: str,
        what: str,
        read: Callable[[bytes], Value],
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Value | None:
        """Do what `get` does with another method, and with `body` as JSON unless it is None.

        Returns None where the server says that there is nothing. Raises `ImageryError` as `get` does.
        """
        retry = RetryState(self.policy, self._pacer)
        deadline_s = time.monotonic() + self.policy.max_request_s
        reason = "the server asks for pauses"
        while not retry.exhausted and time.monotonic() < deadline_s:
            self._wait_for_start(retry)
            try:
                answer, content = self._receive(method, url, headers, body, deadline_s)
            except TRANSIENT_ERRORS as error:
                reason = quote(str(error).replace(url, self.name) or type(error).__name__)
                retry.record_failure()
                continue
            except (httpx.InvalidURL, UnicodeError):
                raise ImageryError(f"{what} of {self.name!r} has no valid address; check it") from None
            except _TooLargeError:
                limit = f"more than {self.policy.max_answer_bytes / 2**20:g} MiB"
                raise ImageryError(
                    f"{what} of {self.name!r} is {limit}, which is not read; check the address"
                ) from None
            if answer.status_code in _ABSENT_STATUSES or answer.is_success:
                self._pacer.record_answer()
                try:
                    return None if answer.status_code in _ABSENT_STATUSES else read(content)
                except (
                    OSError,
                    ValueError,
                    SyntaxError,
                    RecursionError,
                ) as error:  # Pillow's, of a broken PNG
                    kind = answer.headers.get("Content-Type", "").partition(";")[0] or "of no stated type"
                    reason = f"the answer, {quote(kind)}, is broken: {quote(error)}"
                    retry.record_failure()
                    continue
            reason = f"{answer.status_code} {quote(answer.reason_phrase)}".strip()
            retry.record_status(self._read_pause(answer, what, reason))
        raise ImageryError(f"{what} of {self.name!r} {self._outcome(retry)} ({reason}); {_TRY_LATER}")

    def _outcome(self, retry: RetryState) -> str:
        """Return how a request ended whose tries or time are used up."""
        if retry.out_of_patience:
            return "had to wait too often"
        tries = "once" if retry.failures == 1 else f"{retry.failures} times"
        spent = "" if retry.exhausted else f" in {self.policy.max_request_s:g} s"
        return f"failed {tries}{spent}"

    def _receive(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: Any, deadline_s: float
    ) -> tuple[httpx.Response, bytes]:
        """Return an answer and its body. Raises `_TooLargeError` and errors of httpx, at the deadline too."""
        timeout_s = min(self.policy.timeout_s, max(deadline_s - time.monotonic(), 0.01))
        options: dict[str, Any] = {} if body is None else {"json": body}
        with self._open_client().stream(method, url, headers=headers, timeout=timeout_s, **options) as answer:
            content = bytearray()
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > self.policy.max_answer_bytes:
                    raise _TooLargeError
                if time.monotonic() > deadline_s:
                    reached = f"{len(content)} bytes in {self.policy.max_request_s:g} s"
                    raise httpx.ReadTimeout(f"the answer never ended: {reached}")
            return answer, bytes(content)

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
        """Return the client, which is made when it is first used."""
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(
                    headers={"User-Agent": user_agent(), **headers_with_secrets(self.headers, self.name)},
                    timeout=self.policy.timeout_s,
                    limits=httpx.Limits(max_connections=self.policy.max_concurrent),
                    follow_redirects=True,
                    event_hooks={"response": [redirect_guard(self.name)]},
                )
            return self._client


def user_agent() -> str:
    """Return the User-Agent header of every request, such as ``sat2cap/0.1.0``."""
    try:
        return f"sat2cap/{version('sat2cap')}"
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "sat2cap"
