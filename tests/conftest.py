"""Makes `import servers` work; tests are named, ordered and seeded, and wait for no disk."""

import gc
import hashlib
import os
import random
import sys
from collections.abc import Iterator

import pytest

LONGEST = ("test_base_install", "test_ray_engine", "test_live_page", "test_loop", "test_live_page_answers")
"""Files of half a minute and more, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first, so that no process is left with one of them when the others are done."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


def pytest_collection_finish() -> None:
    """Leaves out what was imported and collected when Python looks for unused objects: it stays anyway."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """Leave out fsync, which takes milliseconds, and does nothing unless the machine loses its power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def the_same_random_numbers() -> None:
    """Seed the generators that tests share, so that a test gives the same result in every run and order."""
    random.seed(0)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names a case that is bytes by its length and hash, since escaped bytes are hard to read and to type."""
    if isinstance(val, bytes) and len(val) > 20:
        return f"{argname}-{len(val)}-bytes-{hashlib.sha256(val).hexdigest()[:8]}"
    return None
