"""Secrets in addresses replaced by the names of environment variables, before a text is shown or stored.

Addresses hold secrets in their query (``access_token=…``) and before their host (``user:password@``). What is
stored and shown has ``${SAT2CAP_…}`` in their place, which `sat2cap.http.with_secrets` reads from the
environment, so that whoever has the secret can use a stored address again.
"""

import re
from functools import partial
from urllib.parse import unquote

_SECRET_NAME = re.compile(
    r".*(token|secret|passw|passwd|password|pwd|signature|credential|credentials|auth|authorization|jwt|hmac)"
    r"|.*key([-_]?(pair)?[-_]?id)?"
    r"|sig|sas|pass|pw|policy|(j|php)?sess(ion)?([-_]?id)?|ticket|tk|ak|app[-_]?(id|code)|x-(amz|goog|ms)-.*"
    r"|bearer|connect[-_]?id|hdn(ts|tl|ea)",  # of Maxar; of Akamai
    re.IGNORECASE,
)
# All patterns are bounded, so that a long text of a stranger takes no longer than its length demands.
# ``?name=value``, also percent-encoded, as where an address stands in the query of another one
_PARAMETER = re.compile(
    r"(?P<start>[?&;#]|%3F|%26)(?P<name>[\w.%~-]{1,100}?)(?P<equals>=|%3D)(?P<value>(?:(?!%26)[^&;#\s'\"<>])+)",
    re.IGNORECASE,
)
_USER = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,30}(?:://|%3A%2F%2F))(?P<user>[^/\s'\"?#<>]+)@", re.IGNORECASE
)
# a password with a slash, mark of a query or hash in it: what follows the colon is no number of a port
_UNENCODED_USER = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,30}://)"
    r"(?P<user>[^/:\s'\"?#<>@]{1,500}:(?!\d+(?:[/?#]|$)|\$\{|\{)[^\s'\"<>]{1,500})@",
    re.IGNORECASE,
)
_SCHEME_TOKEN = re.compile(
    r"\b(?P<scheme>bearer|basic)(?P<space>\s+|%20)(?=\S*[\d=+/_.-])[\w+/=.~%-]{8,}", re.IGNORECASE
)
# of a database that GDAL reads, as in ``PG:host=a user=b password=c``
_CONNECTION_WORD = re.compile(
    r"(?P<start>\s(?:password|passwd|pwd)=)(?!\$\{)(?:'[^'\s]{1,500}'|[^\s'\"]{1,500})"
)
_MAX_DEPTH = 20  # of addresses that stand in the query of others
_REFERENCE = re.compile(r"(\$\{\w+\}|:)+")


def redact_secrets(text: str) -> str:
    """Return `text` with every secret in an address replaced by the name of an environment variable.

    These are the values of query parameters such as ``access_token``, ``key``, ``sig`` and ``X-Amz-…``, the
    user and password before a host, and what follows ``Bearer``. A secret in the path of an address cannot be
    told from the path; write it as ``${NAME}``, which stays as it is.

    >>> redact_secrets("https://example.org/{z}/{x}/{y}.png?style=a&key=3f9a")
    'https://example.org/{z}/{x}/{y}.png?style=a&key=${SAT2CAP_KEY}'
    >>> redact_secrets("https://user:pw@example.org/a.tif")
    'https://${SAT2CAP_USER}:${SAT2CAP_PASSWORD}@example.org/a.tif'

    What stands before the host of ``abfss://`` is a container of Azure, and is no secret.
    """
    for pattern in (_USER, _UNENCODED_USER):
        text = pattern.sub(_redact_user, text)
    text = _PARAMETER.sub(_redact_parameter, text)
    text = _CONNECTION_WORD.sub(lambda match: f"{match['start']}${{SAT2CAP_PASSWORD}}", text)
    return _SCHEME_TOKEN.sub(lambda match: f"{match['scheme']}{match['space']}${{SAT2CAP_TOKEN}}", text)


def _redact_user(match: re.Match[str]) -> str:
    user = match["user"]
    is_container = match["scheme"].lower() in ("abfs://", "abfss://") and ":" not in user
    if is_container or _REFERENCE.fullmatch(user):
        return match[0]
    names = "${SAT2CAP_USER}:${SAT2CAP_PASSWORD}" if ":" in user else "${SAT2CAP_USER}"
    return f"{match['scheme']}{names}@"


def _redact_parameter(match: re.Match[str], depth: int = 0) -> str:
    """Return a parameter of an address, with a reference in place of the value if it is a secret."""
    name, value = unquote(match["name"]), match["value"]
    if _REFERENCE.fullmatch(value):
        return match[0]
    if not _SECRET_NAME.fullmatch(name):  # the value may be an address itself
        inner = (
            "…" if depth == _MAX_DEPTH else _PARAMETER.sub(partial(_redact_parameter, depth=depth + 1), value)
        )
        return f"{match['start']}{match['name']}{match['equals']}{inner}"
    variable = re.sub(r"\W+", "_", name).upper()
    return f"{match['start']}{match['name']}{match['equals']}${{SAT2CAP_{variable}}}"
