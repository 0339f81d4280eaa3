"""URL templates of tile services: XYZ, TMS, WMTS and quadkeys, with secrets left in the environment."""

import re
from dataclasses import dataclass, field

from sat2cap.errors import ImageryError
from sat2cap.geo import Tile
from sat2cap.http import with_secrets
from sat2cap.redaction import redact_secrets

_PLACEHOLDER = re.compile(r"(?<!\$)\{([^{}]+)\}")
_CANONICAL_NAMES = {"tilematrix": "z", "tilecol": "x", "tilerow": "y", "quadkey": "q"}
_SUPPORTED = (
    "{z}, {x} and {y} (or {-y}, as in TMS), {q} (quadkey), or WMTS's {TileMatrix}, {TileCol}, {TileRow}"
)


@dataclass(frozen=True)
class TileTemplate:
    """The address of a service's tiles, with ``{z}`` and the like for a tile, and ``${NAME}`` for secrets.

    Raises `ImageryError` if it is not a web address, does not say which tile, or needs a secret that is not
    set.
    """

    text: str = field(repr=False)
    """The template as it was written; ``${NAME}`` is read from the environment when a URL is made."""

    def __post_init__(self) -> None:
        if not self.text.lower().startswith(("http://", "https://")):
            raise ImageryError(f"tiles {self.text!r} are not at a web address; give one with https://")
        names = {_canonical_name(placeholder) for placeholder in _PLACEHOLDER.findall(self.text)}
        unknown = {n for n in names if n not in ("z", "x", "y", "-y", "q") and not n.startswith("switch:")}
        if unknown:
            quoted = ", ".join(f"{{{name}}}" for name in sorted(unknown))
            raise ImageryError(
                f"tiles {self.text!r}: {quoted} is no part of a tile's address; use {_SUPPORTED}"
            )
        if "q" not in names and not ({"z", "x"} <= names and names & {"y", "-y"}):
            raise ImageryError(f"tiles {self.text!r} do not say which tile; use {_SUPPORTED}")
        with_secrets(self.text, self.text)

    @property
    def shown(self) -> str:
        """The template without the values of secrets, as it may be stored and shown."""
        return redact_secrets(self.text)

    def url_of(self, tile: Tile) -> str:
        """Return the address of one tile, with the values of secrets: not to be shown or stored."""
        z, x, y = tile
        values = {"z": str(z), "x": str(x), "y": str(y), "-y": str(2**z - 1 - y), "q": quadkey_of(tile)}

        def fill_placeholder(match: re.Match[str]) -> str:
            name = _canonical_name(match[1])
            if name.startswith("switch:"):  # a tile always comes from the same host, for the sake of caches
                hosts = name.removeprefix("switch:").split(",")
                return hosts[(x + y) % len(hosts)]
            return values[name]

        return with_secrets(_PLACEHOLDER.sub(fill_placeholder, self.text), self.text)


def is_template(text: str) -> bool:
    """Return whether a text is the URL template of a tile service, rather than the address of a file."""
    return "://" in text and _PLACEHOLDER.search(text) is not None


def quadkey_of(tile: Tile) -> str:
    """Return Bing's name of a tile: a digit 0 to 3 for each zoom level, from the coarsest.

    Example:
        quadkey_of((3, 3, 5))    # "213"
    """
    z, x, y = tile
    return "".join(str((x >> bit & 1) + 2 * (y >> bit & 1)) for bit in reversed(range(z)))


def _canonical_name(placeholder: str) -> str:
    """Return one name for each kind of placeholder, however the service's documentation spells it."""
    if placeholder.startswith("switch:"):
        return placeholder
    return _CANONICAL_NAMES.get(placeholder.lower(), placeholder.lower())
