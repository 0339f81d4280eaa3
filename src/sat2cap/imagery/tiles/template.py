"""URL templates of tile services: XYZ, TMS, WMTS and quadkeys, with secrets left in the environment."""

import re
from dataclasses import dataclass

from sat2cap.errors import ImageryError
from sat2cap.geo import Tile
from sat2cap.http import with_secrets

_FIELD = re.compile(r"(?<!\$)\{([^{}]+)\}")
_WMTS = {"tilematrix": "z", "tilecol": "x", "tilerow": "y", "quadkey": "q"}
_HAVE = "{z}, {x} and {y} (or {-y}, as in TMS), {q} (quadkey), or WMTS's {TileMatrix}, {TileCol}, {TileRow}"


@dataclass(frozen=True)
class TileTemplate:
    """A tile's address, with ``{z}`` and the like for its place, and ``${NAME}`` for secrets.

    `text` may be stored and shown: a secret's value is read from the environment only when a URL is made.
    """

    text: str

    def __post_init__(self) -> None:
        """Raises `ImageryError` for a template that names no tile, or a secret that is not there."""
        if not self.text.lower().startswith(("http://", "https://")):
            raise ImageryError(f"tiles {self.text!r} are not at a web address; give one with https://")
        names = {_plain(field) for field in _FIELD.findall(self.text)}
        unknown = {n for n in names if n not in ("z", "x", "y", "-y", "q") and not n.startswith("switch:")}
        if unknown:
            what = ", ".join(f"{{{name}}}" for name in sorted(unknown))
            raise ImageryError(f"tiles {self.text!r}: {what} is no part of a tile's address; use {_HAVE}")
        if "q" not in names and not ({"z", "x"} <= names and names & {"y", "-y"}):
            raise ImageryError(f"tiles {self.text!r} do not say which tile; use {_HAVE}")
        with_secrets(self.text, self.text)

    def url(self, tile: Tile) -> str:
        """The address of one tile, secrets included: not for showing."""
        z, x, y = tile
        values = {"z": str(z), "x": str(x), "y": str(y), "-y": str(2**z - 1 - y), "q": quadkey(tile)}

        def value(found: re.Match[str]) -> str:
            name = _plain(found[1])
            if name.startswith("switch:"):  # the same tile always from the same host, for its caches
                hosts = name.removeprefix("switch:").split(",")
                return hosts[(x + y) % len(hosts)]
            return values[name]

        return with_secrets(_FIELD.sub(value, self.text), self.text)


def is_template(text: str) -> bool:
    """Whether people who write this mean a tile service."""
    return "://" in text and _FIELD.search(text) is not None


def quadkey(tile: Tile) -> str:
    """Bing's name for a tile: a digit 0 to 3 for each zoom level, from the coarsest."""
    z, x, y = tile
    return "".join(str((x >> bit & 1) + 2 * (y >> bit & 1)) for bit in reversed(range(z)))


def _plain(field: str) -> str:
    """One name for each field, however the service's documentation spells it."""
    return _WMTS.get(field.lower(), field if field.startswith("switch:") else field.lower())
