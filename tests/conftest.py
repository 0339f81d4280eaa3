"""Puts this folder on the path, so that any test can `import servers`, names cases, and waits for no disk."""

import hashlib
import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """Leave out fsync, which takes milliseconds, and does nothing unless the machine loses its power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names a case that is bytes by its length and hash, since escaped bytes are hard to read and to type."""
    if isinstance(val, bytes) and len(val) > 20:
        return f"{argname}-{len(val)}-bytes-{hashlib.sha256(val).hexdigest()[:8]}"
    return None
