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
    └── JobError                a long job that could not go on (disk, a NaN, a broken worker)

A message is one line: the value, the rule it breaks, the next step. `sat2cap.redaction` leaves the secrets in
addresses out of it.
"""

from sat2cap.redaction import redact_secrets


class Sat2CapError(Exception):
    """Root of the errors that this package raises on purpose."""

    exit_status = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(redact_secrets(str(message)))


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
