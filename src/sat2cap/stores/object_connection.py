"""The connection to a bucket through `obstore`: its options, and what its answers say of an object."""

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from sat2cap.stores.failures import explain_failure
from sat2cap.stores.protocol import Stamp

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore as ObstoreStore


def connect(address: str, name: str, *, timeout_s: float, retry_s: float) -> "ObstoreStore":
    """Return obstore's own store of an address; nothing is requested yet.

    A request may take `timeout_s` seconds, and is tried again for `retry_s` seconds. Credentials and the
    endpoint are read from the environment. Raises `StoreError`, which calls the store `name`, for an address
    or credentials that obstore does not take.
    """
    from obstore.store import from_url

    timeout = timedelta(seconds=timeout_s)
    try:
        return from_url(
            address,
            client_options={
                "timeout": timedelta(seconds=timeout_s + retry_s),
                "read_timeout": timeout,
                "connect_timeout": min(timeout, timedelta(seconds=10)),
                "allow_http": _allows_http(),
            },
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=retry_s)},
        )
    except Exception as error:  # what obstore raises has no common root but this
        raise explain_failure(error, name) from None


def stamp_of(meta: "ObjectMeta") -> Stamp:
    """Return entity tag, size and time of an object: a value that changes when the object is replaced."""
    return str(meta["e_tag"]), meta["size"], meta["last_modified"].isoformat()


def _allows_http() -> bool:
    """Return whether requests may go without TLS: said so, or the endpoint in the environment has none."""
    endpoints = (os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT"))
    is_meant = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1")
    return is_meant or any(endpoint.startswith("http://") for endpoint in endpoints)
