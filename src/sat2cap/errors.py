"""Every error this package raises on purpose.

::

    Sat2CapError                exit status 1: the work failed
    ├── InputError              exit status 2: something given is wrong
    │   ├── RegionError         a region or grid that cannot be read or is empty
    │   ├── WhenError           a date or hour that cannot be read
    │   ├── PromptError         a prompt with nothing to score
    │   ├── ImageryError        imagery that is missing, unreadable or without a place on Earth
    │   ├── ModelError          a model that is unknown, incomplete or of another kind
    │   ├── AtlasError          an atlas that is missing, broken, or made by something else
    │   ├── PictureError        a picture that cannot be decoded
    │   ├── PairsError          a pair set that is missing or broken
    │   ├── RunFileError        a run file with problems, all of them listed
    │   └── MissingExtraError   an optional extra of this package that is not installed
    ├── JobError                a long job that could not go on (disk, a NaN, a broken worker)
    └── StoreError              a bucket or web server that does not answer, refuses, or answers in part

A message is one line: the value, the rule it breaks, the next step. What it quotes of a stranger's file,
server or argument is short and has no control characters: `quote` shortens the words of other libraries, and
the root of the errors every value in quotation marks. `sat2cap.redaction` leaves
the secrets in addresses out of it.
"""

import re

from sat2cap.redaction import redact_secrets

MAX_QUOTED = 200
"""Letters that a message quotes of one text."""

_MAX_MESSAGE = 4000  # letters; a run file with many problems has some hundred
_LONG_QUOTATION = re.compile(
    rf"""(?s)(?<!\w)(?P<mark>['"])(?:(?!(?P=mark))[^\\]|\\.){{{MAX_QUOTED + 1},}}(?P=mark)"""
)


class Sat2CapError(Exception):
    """Root of the errors that this package raises on purpose; their messages are short and one line."""

    exit_status = 1

    def __init__(self, message: object = "") -> None:
        """Take a message; secrets are redacted, long quotations cut, control characters escaped."""
        line = re.sub(r"\s*[\r\n]+\s*", " ", redact_secrets(str(message)))
        text = _LONG_QUOTATION.sub(lambda match: _shorten(match[0][1:-1], match[0][0]), line)
        super().__init__(escape_controls(_shorten(text, letters=_MAX_MESSAGE)))


class InputError(Sat2CapError):
    """Something the caller gave is wrong."""

    exit_status = 2


class RegionError(InputError):
    """A region or grid that cannot be read or is empty."""


class WhenError(InputError):
    """A date or hour that cannot be read."""


class PromptError(InputError):
    """A prompt with nothing to score."""


class ImageryError(InputError):
    """Imagery that is missing, unreadable or without a place on Earth."""


class ModelError(InputError):
    """A model that is unknown, incomplete or of another kind."""


class AtlasError(InputError):
    """An atlas that is missing, broken, or made by something else."""


class PictureError(InputError):
    """A picture that cannot be decoded; the text is a short reason, and who catches it names the picture."""


class PairsError(InputError):
    """A pair set that is missing or broken."""


class RunFileError(InputError):
    """A run file with problems, all of them listed."""


class MissingExtraError(InputError):
    """An optional extra of this package is not installed."""


class JobError(Sat2CapError):
    """A long job that could not go on."""


class StoreError(Sat2CapError):
    """A bucket or web server that does not answer, refuses, or answers in part."""


def quote(text: object, letters: int = MAX_QUOTED) -> str:
    """Return the words of a library, server or file as one line that a message can quote.

    `text` may be an exception; one without words is named by its type. Line breaks and runs of spaces become
    one space, other control characters and halves of surrogate pairs are escaped, and it is cut at `letters`.
    """
    words = type(text).__name__ if isinstance(text, BaseException) and not str(text) else str(text)
    return escape_controls(_shorten(" ".join(words.split()), letters=letters))


def escape_controls(text: str) -> str:
    """Return text with control characters, line breaks too, and halves of surrogate pairs as ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    """Return a letter that is not printable as an escape, unless it is a space of some script."""
    if letter.isspace() and letter not in "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029":
        return letter
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def _shorten(text: str, mark: str = "", letters: int = MAX_QUOTED) -> str:
    """Return text within `mark`, cut after `letters` with a note of its length."""
    if len(text) <= letters:
        return f"{mark}{text}{mark}"
    return f"{mark}{text[:letters].rstrip(chr(92))}…{mark} ({len(text)} letters)"
