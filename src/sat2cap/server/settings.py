"""Options and limits of a server."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from sat2cap.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts that only this machine can reach."""

MAX_PROMPT_LETTERS = 300
"""Longest prompt, in letters; a text tower reads fewer."""
MAX_PROMPTS = 8
"""Prompts and negatives of one request, each."""
MAX_BODY_BYTES = 20 * 2**20
"""Largest body of a request: polygons, or a photo."""
MAX_VERTICES = 500_000
"""Vertices of all posted polygons together."""
MAX_ZONES = 20_000
"""Posted polygons."""
MAX_TOP_PLACES = 500
"""Places of one search."""


@dataclass(frozen=True)
class ServerSettings:
    """How a server listens and what it allows."""

    host: str = "127.0.0.1"
    """Address to listen on; the default is reachable from this machine only."""
    port: int = 8000
    """0 for any that is free."""
    public_url: str | None = None
    """Address that people see, where a proxy stands in front, such as ``https://maps.org/sat2cap``."""
    api_key: str | None = None
    """What requests for data must bring in the header ``X-API-Key``; None for no key."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of other pages that may read answers in a browser (CORS)."""
    cache_mb: int = 512
    """Memory for scores that were computed, megabytes."""
    max_scans: int = 2
    """Scans that run at once."""
    max_waiting: int = 64
    """Requests that may wait for a scan; beyond that the answer is 503."""
    base_map: str | None = None
    """Tiles of a public map that the page offers to show underneath, such as
    ``https://tile.example.org/{z}/{x}/{y}.png``; it asks for none before a user turns it on."""
    base_map_credit: str = ""
    """Whom to name where that map is shown."""

    def __post_init__(self) -> None:
        """Raise `InputError` for values out of range."""
        if not 0 <= self.port <= 65535:
            raise InputError(f"port {self.port} is not a port; give 1 to 65535, or 0 for any that is free")
        if self.public_url is not None:
            parts = urlsplit(self.public_url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
                raise InputError(
                    f"public URL {self.public_url!r} is not an address; give one such as https://maps.org/sat2cap"
                )
        if self.base_map is not None:
            _check_tile_template(self.base_map)
        for name in ("cache_mb", "max_scans", "max_waiting"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")

    @property
    def root_path(self) -> str:
        """Path under which a proxy offers this server, without a slash at the end; empty for none."""
        return "" if self.public_url is None else urlsplit(self.public_url).path.rstrip("/")

    @property
    def base_map_origin(self) -> str | None:
        """Scheme, host and port of the base map; None without one."""
        if self.base_map is None:
            return None
        parts = urlsplit(self.base_map)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK


def _check_tile_template(template: str) -> None:
    """Raise `InputError` for what is no address of tiles; its host becomes a part of a header."""
    parts = urlsplit(template)
    has_places = all(template.count(place) == 1 for place in ("{z}", "{x}", "{y}"))
    is_plain = re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", parts.netloc) is not None
    if parts.scheme not in ("http", "https") or not (is_plain and has_places):
        raise InputError(
            f"base map {template!r} is not an address of tiles; give one such as "
            "https://tile.example.org/{z}/{x}/{y}.png"
        )
