"""Secrets in URLs and headers: ``${NAME}`` is stored, and its value read from the environment when needed."""

import os
import re
from collections.abc import Mapping
from urllib.parse import quote

from sat2cap.errors import ImageryError

_REFERENCE = re.compile(r"\$\{(\w+)\}")


def with_secrets(text: str, source: str) -> str:
    """Return a URL with every ``${NAME}`` replaced by that environment variable.

    As the value of a query parameter, in the path and before the host it is percent-encoded, so that a secret
    with ``#&+%`` arrives as it is. As a whole query (``?${SAS}``), as a host or at the start it is taken
    as it stands. Raises `ImageryError`, which quotes `source` rather than `text`, if a variable is empty, not
    set, or holds a line break.
    """

    def fill_reference(match: re.Match[str]) -> str:
        secret = _read_secret(match[1], source)
        before, after = text[: match.start()], text[match.end() :]
        if "?" in before:
            is_whole_query = before[-1] in "?&"
            return secret.replace("#", "%23") if is_whole_query else quote(secret, safe="")
        _, scheme_end, authority = before.partition("://")
        if "/" in authority:
            return quote(secret, safe="/")
        is_user = scheme_end and "@" in re.split(r"[/?#]", after)[0]
        return quote(secret, safe="") if is_user else secret

    return _REFERENCE.sub(fill_reference, text)


def headers_with_secrets(headers: Mapping[str, str], source: str) -> dict[str, str]:
    """Return headers with every ``${NAME}`` replaced by that environment variable, unchanged.

    Raises `ImageryError` as `with_secrets` does, and for a header that is not plain ASCII.
    """
    filled = {
        name: _REFERENCE.sub(lambda match: _read_secret(match[1], source), value)
        for name, value in headers.items()
    }
    for name, value in filled.items():
        if not (value.isascii() and value.isprintable()):
            fix = "headers are plain ASCII in one line; correct it"
            raise ImageryError(f"imagery {source!r}: the header {name!r} has other letters: {fix}")
    return filled


def _read_secret(name: str, source: str) -> str:
    secret = os.environ.get(name)
    if not secret:
        fix = f"set it first: export {name}=…"
        raise ImageryError(f"imagery {source!r} needs {name} from the environment; {fix}")
    if not secret.isprintable():
        raise ImageryError(f"imagery {source!r}: {name} in the environment holds a line break; take it out")
    return secret
