"""The plan's file, a copy of it, and its hash: two of the three decide which bytes are the plan.

The plan holds what nothing else in an atlas tells, such as whom to credit for the imagery, and metadata is
restored from it. A damaged plan must therefore be noticed, and never be taken for the truth.
"""

import hashlib
from collections.abc import Iterator

from sat2cap.atlas.presence import PLAN, PLAN_COPY, PLAN_HASH
from sat2cap.errors import AtlasError
from sat2cap.stores import Store


def read_plan_bytes(store: Store) -> bytes | None:
    """Return the bytes of an atlas's plan; None if there is no plan.

    A plan that matches its hash is taken as it is; otherwise the copy is, if it matches the hash or the
    plan. An atlas of an older version has neither copy nor hash, and its plan is taken as it is. Raises
    `AtlasError` if no two of the three agree, and `OSError` if a file cannot be read.
    """
    plan, line = read_or_none(store, PLAN), read_or_none(store, PLAN_HASH)
    if plan is not None and line == _hash_line(plan):
        return plan
    copy = read_or_none(store, PLAN_COPY)
    if copy is None and (line is None or plan is None):
        return plan
    if copy is not None and (copy == plan or line == _hash_line(copy)):
        return copy
    raise AtlasError(
        f"atlas {store.name!r}: its plan is damaged, and so is its copy or its hash; remove it and embed anew"
    )


def write_plan_files(store: Store, plan: bytes) -> None:
    """Write those of the plan's three files that are missing or different. The plan comes first.

    Each file is replaced as a whole, so that after a kill at least two of three are as they were or as they
    will be.
    """
    for file, data in _plan_files(plan).items():
        if read_or_none(store, file) != data:
            store.put(file, data)


def find_plan_problems(store: Store) -> Iterator[tuple[str, str]]:
    """Yield path and problem of each of the plan's files that is missing or damaged.

    Raises what `read_plan_bytes` does. An atlas of an older version, without copy and hash, has no problem.
    """
    plan = read_plan_bytes(store)
    stored = {file: read_or_none(store, file) for file in (PLAN, PLAN_COPY, PLAN_HASH)}
    if plan is None or (stored[PLAN_COPY] is None and stored[PLAN_HASH] is None):
        return
    for file, data in _plan_files(plan).items():
        if stored[file] is None:
            yield file, "is missing"
        elif stored[file] != data:
            yield file, "is not what the plan's other two files say"


def _plan_files(plan: bytes) -> dict[str, bytes]:
    """Return the bytes of the plan's three files by path."""
    return {PLAN: plan, PLAN_COPY: plan, PLAN_HASH: _hash_line(plan)}


def _hash_line(plan: bytes) -> bytes:
    """Return the SHA-256 of a plan as a line that ``sha256sum -c`` reads."""
    return f"{hashlib.sha256(plan).hexdigest()}  {PLAN.rpartition('/')[2]}\n".encode()


def read_or_none(store: Store, file: str) -> bytes | None:
    """Return the bytes of a file; None if it is missing."""
    try:
        return store.get(file)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
