"""Ways to damage files for tests: bits flipped, ends cut, parts swapped, values of JSON replaced."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from sat2cap.errors import Sat2CapError

QUICK = settings(max_examples=20, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
"""Settings of a property that reads a few damaged files."""

CHANGES = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "swap"]), st.floats(0, 1), st.integers(0, 7)),
    min_size=1,
    max_size=4,
)
"""Changes for `damage_bytes`: kind, place as a share of the length, and bit."""

FLIPS = st.lists(st.tuples(st.just("flip"), st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=4)
"""Changes that keep the length."""

ODD_VALUES: list[Any] = [
    *(None, True, -1, 0, 2**31, 2**70, 1.5, float("nan"), float("inf")),
    *("", "a", "\ud800", "1e999", "../../x", [], {}, [[]], [1, 2], {"a": 1}, ["a", None]),
]
"""Values that a file of JSON does not expect."""


def damage_bytes(data: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    """Return `data` with bits flipped, its end cut off, or two parts swapped, at shares of its length."""
    out = bytearray(data)
    for kind, share, bit in changes:
        place = min(int(share * len(out)), len(out) - 1)
        if kind == "flip" and out:
            out[place] ^= 1 << bit
        elif kind == "cut":
            out = out[: max(place, 1)]
        else:
            out = out[place:] + out[:place]
    return bytes(out)


def json_variants(data: bytes) -> list[bytes]:
    """Return copies of a JSON file, in each of which one value or one key has an odd value or is missing."""
    value = json.loads(data)
    variants: list[bytes] = [json.dumps(odd).encode() for odd in ODD_VALUES]

    def visit(node: Any) -> None:
        if not isinstance(node, dict | list):
            return
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            before = node[key]
            for odd in ODD_VALUES:
                node[key] = odd
                variants.append(json.dumps(value).encode())
            node[key] = before
            visit(before)
        if isinstance(node, dict):
            for key in list(node):
                rest = dict(node)
                del node[key]
                variants.append(json.dumps(value).encode())
                node.clear()
                node.update(rest)

    visit(value)
    return variants


def outcome_of(read: Callable[[], object]) -> str:
    """Read: "read", "refused" or "in several lines"; any other exception is a failure."""
    try:
        read()
    except Sat2CapError as error:
        return "in several lines" if "\n" in str(error) else "refused"
    return "read"
