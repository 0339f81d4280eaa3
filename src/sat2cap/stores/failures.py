"""Failures of an object store in one line, told by their kind: their own words may hold credentials."""

from sat2cap.errors import StoreError

_CREDENTIALS = {
    "s3": (
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket",
        "AWS_ENDPOINT_URL",
    ),
    "gs": (
        "GOOGLE_SERVICE_ACCOUNT (the file of a key) or GOOGLE_APPLICATION_CREDENTIALS, or "
        "GOOGLE_SKIP_SIGNATURE=true for a public bucket",
        "the base URL in the file of the key, if there is one",
    ),
    "az": (
        "AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or "
        "AZURE_SKIP_SIGNATURE=true for a public container",
        "AZURE_STORAGE_ACCOUNT_NAME",
    ),
}
"""By the first letters of an address: which variables hold credentials, and what says where the server is."""
_LATER = "try again later; what is finished is kept"

_KINDS = (
    (("NoSuchBucket", "ContainerNotFound"), "has no such bucket; check the address"),
    (
        ("169.254.169.254", "MissingAccount", "169.254.170.2", "credential error"),
        "needs credentials; {credentials}",
    ),
    (
        (
            *("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"),
            *("AuthenticationFailed", "AuthorizationFailure"),
        ),
        "refuses the credentials; {credentials}",
    ),
    (
        ("LOCATION", "PermanentRedirect", "AuthorizationHeaderMalformed"),
        "is in another region; set AWS_REGION",
    ),
    (("TimedOut", "kind: Timeout"), "did not answer in time; " + _LATER),
    (("dns error", "ConnectError", "Connect,"), "cannot be reached; check the network, and {server}"),
    (("status code: 429", "status code: 503", "status: 429", "status: 503"), "is too busy; " + _LATER),
    (("status: 5", "status code: 5"), "fails inside; " + _LATER),
    (("BadScheme",), "has an endpoint without TLS; set AWS_ALLOW_HTTP=true if that is meant"),
    (("Unrecognised",), "is no address of a bucket; write s3://BUCKET/NAME.zarr"),
)
"""Marks in the words of an error, first match first, and what is said instead."""

_CUT_SHORT = ("NoContentRange", "IncompleteMessage", "UnexpectedEof", "end of file before message length")


def is_absent(error: Exception) -> bool:
    """Return whether an error says that an object is missing, and its bucket is not."""
    return isinstance(error, FileNotFoundError) and not _has_marks(error, _KINDS[0][0])


def is_cut_short(error: Exception) -> bool:
    """Return whether an error says that an answer ended too early."""
    return _has_marks(error, _CUT_SHORT)


def explain_failure(error: Exception, name: str) -> StoreError:
    """Return the error to raise for what obstore raised, which is quoted in no part.

    `name` is the address without secrets.
    """
    variables, server = _CREDENTIALS[_store_kind(name)]
    credentials = f"set the store's credentials in the environment, such as {variables}"
    for marks, words in _KINDS:
        if _has_marks(error, marks):
            return StoreError(f"{name!r} {words.format(credentials=credentials, server=server)}")
    kind = type(error).__name__
    if kind in ("PermissionDeniedError", "UnauthenticatedError"):
        return StoreError(f"{name!r} refuses access; check the bucket's permissions, and {credentials}")
    return StoreError(f"{name!r} failed ({kind}); check the address, endpoint and region, or {_LATER}")


def _store_kind(name: str) -> str:
    """Return whose protocol an address is of: ``s3``, ``gs`` or ``az``."""
    scheme = name.partition(":")[0].lower()
    return scheme if scheme in _CREDENTIALS else "az" if scheme.startswith(("az", "ab")) else "s3"


def _has_marks(error: Exception, marks: tuple[str, ...]) -> bool:
    words = str(error)
    return any(mark in words for mark in marks)
