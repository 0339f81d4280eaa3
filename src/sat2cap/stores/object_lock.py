"""Who holds the lock of a bucket: an object that names a process, its machine, and since when.

A bucket has no lock that ends with its process. A process that is gone is known to be only by another one on
the same machine, started by the same boot and in the same namespace of process numbers; elsewhere people
decide.
"""

import json
import os
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sat2cap.errors import quote
from sat2cap.files import parse_json

_BOOT = Path("/proc/sys/kernel/random/boot_id")
HELD_HERE: set[str] = set()
"""Tokens of the locks that this process holds; others that name it are left from a release that failed."""


@dataclass(frozen=True)
class Holder:
    """The process that a lock names; every field may be empty, as others may have written it."""

    host: str
    pid: int
    since: str
    """Time in UTC, such as ``2026-11-29 12:30 UTC``."""
    token: str
    """A name for this one holding of the lock, which no other has."""
    machine: str
    """The boot and the namespace that `pid` counts in; empty where the system does not tell."""
    started: str
    """When the process started, in ticks since the boot; empty where the system does not tell."""

    def as_bytes(self) -> bytes:
        """Return the content of the lock."""
        return (json.dumps(self.__dict__, indent=2) + "\n").encode()

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        return f"process {self.pid} on {quote(self.host)} since {quote(self.since)}"

    def is_gone(self) -> bool:
        """Return whether the process is known to have ended: it was of this machine, and is not there now."""
        if not self.machine or self.machine != _machine():
            return False
        if self.pid == os.getpid():
            return self.token not in HELD_HERE
        return not self.started or _start_of(self.pid) != self.started


def describe_process() -> Holder:
    """Return this process as the holder of a lock."""
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    pid = os.getpid()
    return Holder(socket.gethostname(), pid, since, uuid.uuid4().hex, _machine(), _start_of(pid))


def read_holder(data: bytes) -> Holder:
    """Return whom the content of a lock names; an empty holder for content that names nobody."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        value: Any = parse_json(data)
        texts = {name: str(value[name]) for name in ("host", "since", "token", "machine", "started")}
        return Holder(pid=int(value["pid"]), **texts)
    return Holder("", 0, "", "", "", "")


def _machine() -> str:
    """Return the boot of this machine, and the namespace that its kernel counts this process in."""
    try:
        return f"{_BOOT.read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux, or hidden
        return ""


def _start_of(pid: int) -> str:
    """Return when a process started, in ticks since the boot; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
