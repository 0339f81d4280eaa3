"""Descriptions of imagery sources, by name or in a file: how to read them, their licence and terms."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

from pydantic import Field

from sat2cap.config import Section, read_toml, validate
from sat2cap.errors import ImageryError
from sat2cap.imagery.tiles.template import is_template
from sat2cap.redaction import redact_secrets

SHIPPED_SOURCES = Path(__file__).with_name("named.toml")
"""The file of the named sources that ship with the package."""

MACHINE_USE = {
    "allowed": "machine use is allowed",
    "contract": "machine use needs an agreement with the provider",
    "ask": "the terms do not clearly allow machine use; ask the provider",
    "unknown": "whether machine use is allowed is not known; ask the provider",
}
"""``{machine_use of a source: what it means}``."""

STAC_PREFIX = "stac:"
"""Prefix of a STAC search that is written in one line, before the URL of the API or catalogue."""


class Source(Section):
    """How to read imagery, and what may be done with it; the keys of a source file."""

    name: str
    """What the user writes for it, and what messages call it."""
    title: str = ""
    """One line about it, for lists."""
    kind: Literal["tiles", "raster", "stac"]
    """How it is read: a tile service, a raster file, or a STAC search."""
    url: str = Field(min_length=1, repr=False)
    """A tile template, the path or URL of a raster, or the root of a STAC API or catalogue."""
    licence: str = "unknown"
    """Name of the licence of its pixels."""
    attribution: str = ""
    """Whom to name when they are shown."""
    machine_use: Literal["allowed", "contract", "ask", "unknown"] = "unknown"
    """Whether a program may read it in bulk, see `MACHINE_USE`."""
    terms: str = ""
    """Address of the provider's terms."""
    gsd_m: float | None = Field(default=None, gt=0)
    """Ground sample distance in metres, as the provider states it; for lists, and for STAC reads."""
    bounds: tuple[float, float, float, float] | None = None
    """Where there is imagery: ``west, south, east, north`` in degrees."""
    bands: tuple[int, ...] | None = None
    """For rasters: band numbers from 1, see `BandRendering`."""
    scale: tuple[float, float] | None = None
    """For rasters and STAC: the values that become 0 (black) and 255 (white)."""

    headers: dict[str, str] = Field(default={}, repr=False)
    """For tiles: headers of each request; ``${NAME}`` is read from the environment."""
    zooms: tuple[int, int] = (0, 22)
    """For tiles: the coarsest and the finest zoom."""
    tile_pixels: int = Field(default=256, ge=1)
    """For tiles: side of a tile in pixels."""
    at_once: int = Field(default=8, ge=1)
    """For tiles: requests under way at the same time."""

    collection: str = ""
    """For STAC, as are all keys below: id of the collection to search."""
    assets: tuple[str, ...] = ("visual",)
    """Names of three assets for red, green and blue, of one for grey, or of one that has three bands."""
    datetime: str = ""
    """A day, month or year, or two of them separated by a slash."""
    max_cloud: float | None = Field(default=None, ge=0, le=100)
    """Largest cloud cover of an item, in percent."""
    max_items: int = Field(default=1000, ge=1)
    """Largest number of items that a search reads."""
    sign: str = ""
    """URL with ``{href}`` of a service that signs the address of an asset, as the Planetary Computer's."""


@lru_cache
def named_sources() -> dict[str, Source]:
    """Return the named sources that ship with the package, ``{name: source}``."""
    return read_sources(SHIPPED_SOURCES)


def read_sources(path: Path) -> dict[str, Source]:
    """Return the sources in a TOML file, ``{name: source}``: one table each, or the file itself if it is one.

    Raises `ImageryError` if the file cannot be read or a key is wrong.
    """
    tables = read_toml(path, ImageryError, kind="source file", hint="check the path")
    if not all(isinstance(keys, dict) for keys in tables.values()):
        tables = {path.stem: tables}
    return {name: _validate_source(str(path), {"name": name, **keys}) for name, keys in tables.items()}


def find_source(spec: str) -> Source | None:
    """Return the source that ``NAME``, ``FILE.toml`` or ``stac:URL`` describes; None if it is none of them.

    Keys after a ``?`` replace those of the description. Raises `ImageryError` if there is no such file, it
    holds several sources, or a key is wrong.

    Example:
        find_source("sentinel-2-l2a?datetime=2024-06&max_cloud=10")
    """
    if spec.startswith(STAC_PREFIX):
        url, changes = _split_changes(spec.removeprefix(STAC_PREFIX))
        return _validate_source(spec, {"name": redact_secrets(spec), "kind": "stac", "url": url, **changes})
    name, changes = _split_changes(spec)
    if name.endswith(".toml"):
        sources = read_sources(Path(name))
        if len(sources) != 1:
            raise ImageryError(f"source file {name!r} has {len(sources)} sources; give a file with one")
        source = next(iter(sources.values()))
    elif name in named_sources():
        source = named_sources()[name]
    else:
        return None
    keys = {**source.model_dump(exclude_unset=True), "name": redact_secrets(spec), **changes}
    return _validate_source(spec, keys)


def _split_changes(spec: str) -> tuple[str, dict[str, Any]]:
    """Return the part of `spec` before a ``?``, and the keys after it; those that are lists are split."""
    head, _, query = spec.partition("?")
    changes: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    for key in ("assets", "bands", "scale", "bounds", "zooms"):
        if key in changes:
            changes[key] = changes[key].split(",")
    return head, changes


def _validate_source(origin: str, keys: dict[str, Any]) -> Source:
    """Return a source made of `keys`. Raises `ImageryError`, which names `origin`, if one is wrong."""
    return validate(keys, Source, ImageryError, f"imagery {origin!r}")


def usage_caveats(spec: str) -> list[str]:
    """Return what a user of imagery should know of its licence and terms, one line each.

    Empty if nothing is doubtful, or for files, of which nothing is known. Raises `ImageryError` as
    `find_source` does.
    """
    source = find_source(spec)
    if source is None:
        if not is_template(spec):
            return []
        return [f"licence of {redact_secrets(spec)} is unknown: ask its provider"]
    terms = f"; terms: {source.terms}" if source.terms else ""
    caveats = []
    if source.licence == "unknown":
        caveats.append(f"licence of {source.name} is unknown: ask its provider{terms}")
    if source.machine_use != "allowed":
        caveats.append(f"{source.name}: {MACHINE_USE[source.machine_use]}{terms}")
    return caveats
