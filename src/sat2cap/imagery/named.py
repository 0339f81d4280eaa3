"""Imagery by name, and in files of one's own that say how to get it, with licence and terms beside it."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

from pydantic import Field

from sat2cap.config import Section, read_toml, validate
from sat2cap.errors import ImageryError
from sat2cap.imagery.tiles.template import is_template

CATALOGUE = Path(__file__).with_name("named.toml")
MACHINE_USE = {
    "allowed": "machine use is allowed",
    "contract": "machine use needs an agreement with the provider",
    "ask": "the terms do not clearly allow machine use; ask the provider",
    "unknown": "whether machine use is allowed is not known; ask the provider",
}
STAC = "stac:"
"""What a search that is written out in one line begins with."""


class Source(Section):
    """How to get imagery, and what may be done with it."""

    name: str
    title: str = ""
    kind: Literal["tiles", "raster", "stac"]
    url: str = Field(min_length=1)
    """A tile template, a raster's path or URL, or a STAC API's or catalogue's root."""
    licence: str = "unknown"
    attribution: str = ""
    machine_use: Literal["allowed", "contract", "ask", "unknown"] = "unknown"
    """Whether a program may read it in bulk."""
    terms: str = ""
    """Where the provider's terms are."""
    gsd_m: float | None = Field(default=None, gt=0)
    """As the provider says; for `imagery list`."""
    bounds: tuple[float, float, float, float] | None = None
    """``west, south, east, north`` in degrees."""
    bands: tuple[int, ...] | None = None
    scale: tuple[float, float] | None = None

    headers: dict[str, str] = Field(default={})
    """For tiles; ``${NAME}`` is read from the environment."""
    zooms: tuple[int, int] = (0, 22)
    tile_pixels: int = Field(default=256, ge=1)
    at_once: int = Field(default=8, ge=1)
    """Requests under way at the same time."""

    collection: str = ""
    """For STAC; what follows, too."""
    assets: tuple[str, ...] = ("visual",)
    """Three names for red, green and blue, one for grey, or one that has three bands."""
    datetime: str = ""
    """A day, month or year, or two with a slash between."""
    max_cloud: float | None = Field(default=None, ge=0, le=100)
    """Percent, of a whole item."""
    max_items: int = Field(default=1000, ge=1)
    sign: str = ""
    """A URL with ``{href}`` that gives the address to read an asset at, as the Planetary Computer needs."""


@lru_cache
def named_sources() -> dict[str, Source]:
    """The named sources that ship, by name."""
    return read_sources(CATALOGUE)


def read_sources(path: Path) -> dict[str, Source]:
    """The sources in a TOML file, by name: a table each, or a file that is one. Raises `ImageryError`."""
    tables = read_toml(path, ImageryError, kind="source file", hint="check the path")
    if not all(isinstance(keys, dict) for keys in tables.values()):
        tables = {path.stem: tables}
    return {name: _source(str(path), {"name": name, **keys}) for name, keys in tables.items()}


def find_source(spec: str) -> Source | None:
    """The source that ``NAME``, ``FILE.toml`` or ``stac:URL`` means; None if it is none of them.

    After a ``?`` come changes, such as ``?datetime=2024-06&max_cloud=10``. Raises `ImageryError`.
    """
    if spec.startswith(STAC):
        url, changes = _split(spec.removeprefix(STAC))
        return _source(spec, {"name": spec, "kind": "stac", "url": url, **changes})
    head, changes = _split(spec)
    if head.endswith(".toml"):
        found = read_sources(Path(head))
        if len(found) != 1:
            raise ImageryError(f"source file {head!r} has {len(found)} sources; give a file with one")
        known = next(iter(found.values()))
    elif head in named_sources():
        known = named_sources()[head]
    else:
        return None
    return _source(spec, {**known.model_dump(exclude_unset=True), "name": spec, **changes})


def _split(spec: str) -> tuple[str, dict[str, Any]]:
    """What stands before a ``?``, and the changes after it; lists have commas."""
    head, _, query = spec.partition("?")
    changes: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    for key in ("assets", "bands", "scale", "bounds", "zooms"):
        if key in changes:
            changes[key] = changes[key].split(",")
    return head, changes


def _source(where: str, keys: dict[str, Any]) -> Source:
    return validate(keys, Source, ImageryError, f"imagery {where!r}")


def usage_caveats(spec: str) -> list[str]:
    """What whoever uses a source by this name should know of its terms. Raises `ImageryError`."""
    source = find_source(spec)
    if source is None:
        return [f"licence of {spec} is unknown: ask its provider"] if is_template(spec) else []
    where = f"; terms: {source.terms}" if source.terms else ""
    said = []
    if source.licence == "unknown":
        said.append(f"licence of {source.name} is unknown: ask its provider{where}")
    if source.machine_use != "allowed":
        said.append(f"{source.name}: {MACHINE_USE[source.machine_use]}{where}")
    return said
