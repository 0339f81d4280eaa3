"""Puts this folder on the path, so that any test can `import servers`, and names cases of bytes."""

import hashlib


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names a case that is bytes by its length and hash, since escaped bytes are hard to read and to type."""
    if isinstance(val, bytes) and len(val) > 20:
        return f"{argname}-{len(val)}-bytes-{hashlib.sha256(val).hexdigest()[:8]}"
    return None
