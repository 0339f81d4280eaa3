"""Secrets in URLs and headers: ``${NAME}`` is stored, and its value read from the environment when needed."""

import os
import re
from collections.abc import Mapping

from sat2cap.errors import ImageryError

_SECRET = re.compile(r"\$\{(\w+)\}")


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
