"""Addresses inside this machine's network, where nothing outside of it may send a request."""

import ipaddress
import socket
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import urlsplit

import httpx

from sat2cap.errors import ImageryError


@lru_cache(maxsize=1024)
def is_private_host(host: str) -> bool:
    """Return whether a host is, or has by its name, an address that the internet does not route.

    These are loopback, private and link-local addresses, also those of a cloud's metadata service. False for
    a name that cannot be resolved: no request reaches it.
    """
    try:
        resolved = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in resolved]
    return any(not _unmapped(address).is_global for address in addresses)


def is_private(url: str) -> bool:
    """Return whether the host of a URL is an address inside the network; False for a text without a host.

    >>> is_private("http://127.0.0.1/tiles"), is_private("https://example.org/tiles")
    (True, False)
    """
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host is not None and is_private_host(host)


def require_reachable(url: str, first: str, name: str) -> None:
    """Raise `ImageryError` if `url` is inside the network while the address `first` that led to it is not.

    `name` is what the message calls the source. Only ``http`` and ``https`` are followed.
    """
    if urlsplit(url).scheme.lower() not in ("http", "https"):
        raise ImageryError(f"{name!r} leads to {url!r}, which is no web address; nothing is read from there")
    if is_private(url) and not is_private(first):
        fix = "such addresses are read only when you name them yourself"
        raise ImageryError(f"{name!r} leads to {url!r}, an address inside this network; {fix}")


def redirect_guard(name: str) -> Callable[[httpx.Response], None]:
    """Return a hook for the responses of an `httpx.Client` that refuses redirects into the own network.

    A server outside could otherwise have this machine read what only this machine may. `name` is what
    messages call the source.
    """

    def check_redirect(response: httpx.Response) -> None:
        if response.has_redirect_location:  # at this point httpx has not yet made the next request
            url = response.request.url.join(response.headers["Location"])
            require_reachable(str(url), str(response.request.url), name)

    return check_redirect


def _unmapped(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address inside an IPv6 address such as ``::ffff:127.0.0.1``, or the address itself."""
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
