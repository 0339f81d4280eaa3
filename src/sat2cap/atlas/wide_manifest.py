"""The manifest of a wide atlas: which UTM zones it has, each an ordinary atlas in a folder of that name.

It is written once the plans of all parts are in place, so where it is, they are. It holds nothing that they
do not say as well: the same `embed` command writes a lost or damaged one anew.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sat2cap.atlas.plan import AtlasSpec, check_free, differing_parts, read_plan
from sat2cap.atlas.presence import PLAN, PLAN_COPY, WIDE_MANIFEST, is_atlas, is_wide_atlas
from sat2cap.errors import AtlasError, RegionError
from sat2cap.files import canonical_json, digest, parse_json, read_regular_file
from sat2cap.geo import UtmZone, parse_utm_zone
from sat2cap.stores import Store, open_store

FORMAT = "sat2cap-wide-atlas"
VERSION = 1
"""Format version; it rises when an older reader would misread. docs/atlas.md lists the changes."""
_MAX_BYTES = 2**20
_GROUP = "zarr.json"
_ANEW = "the same embed command writes it anew"


def wide_identity(identities: Mapping[UtmZone, str]) -> str:
    """Return the SHA-256 of the parts' identities, in the order of their names."""
    named = {zone.name: identity for zone, identity in identities.items()}
    return digest(FORMAT, str(VERSION), canonical_json(named))


def read_wide_manifest(store: Store) -> dict[UtmZone, str] | None:
    """Return the identity of the part in each UTM zone; None if the store has no manifest.

    Raises `AtlasError` if it is damaged or larger than 1 MB, or its format is newer.
    """
    try:
        manifest = parse_json(_read_limited(store))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _damaged(store, str(error)) from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _damaged(store, f"it does not say {FORMAT}")
    version = manifest.get("version")
    if isinstance(version, int) and version > VERSION:
        rule = f"has format version {version}, this sat2cap reads up to {VERSION}"
        raise AtlasError(f"atlas {store.name!r} {rule}; install a newer sat2cap")
    try:
        parts = {parse_utm_zone(part["zone"]): part["identity"] for part in manifest["parts"]}
        sound = bool(parts) and len(parts) == len(manifest["parts"])
        sound = sound and manifest["identity"] == wide_identity(parts) and version == VERSION
    except (AttributeError, LookupError, RegionError, TypeError, ValueError):
        sound = False
    if not sound:
        raise _damaged(store, "its parts are not those that its identity was made of")
    return parts


def write_wide_manifest(place: Path | str | Store, specs: Mapping[UtmZone, AtlasSpec]) -> None:
    """Write the manifest of a wide atlas, and the metadata that make it one Zarr group of its parts.

    The plans of the parts are in place already.
    """
    identities = {zone: spec.identity for zone, spec in specs.items()}
    parts = [{"zone": zone.name, "identity": identity} for zone, identity in identities.items()]
    head = {"format": FORMAT, "version": VERSION, "identity": wide_identity(identities)}
    group: dict[str, Any] = {"zarr_format": 3, "node_type": "group"}
    group["attributes"] = {"utm_zones": {zone.name: zone.crs for zone in specs}}
    store = open_store(place)
    for file, value in ((_GROUP, group), (WIDE_MANIFEST, head | {"parts": parts})):
        store.put(file, (json.dumps(value, indent=2) + "\n").encode())


def check_place(place: Path | str | Store) -> None:
    """Raise as `check_free` does unless an atlas, in one CRS or wide, may be written in a store.

    A store is taken for a wide atlas that was begun if it holds nothing but parts and their records.
    """
    store = open_store(place)
    if not is_wide_atlas(store) and not _is_begun(store):
        check_free(store)


def check_wide_free(place: Path | str | Store, specs: Mapping[UtmZone, AtlasSpec]) -> None:
    """Raise `AtlasError` unless a wide atlas of these plans may be written in a store, or continued there.

    Raises `StoreError` besides, as `check_free` does.
    """
    store, fix = open_store(place), "choose another path, or remove it first"
    if store.sizes([PLAN, PLAN_COPY]):
        raise AtlasError(f"{store.name!r} is an atlas in one CRS, and the region needs several zones; {fix}")
    check_place(store)
    begun = _begun_zones(store)
    is_whole = is_wide_atlas(store) and set(specs) - begun
    if is_whole or begun - set(specs):
        raise AtlasError(f"atlas {store.name!r} was made from something else (it differs in zones); {fix}")
    for zone in begun:
        old = read_plan(store.child(zone.name))
        if old.identity != specs[zone].identity:
            names = ", ".join(differing_parts(old, specs[zone]))
            raise AtlasError(
                f"atlas {store.name!r} was made from something else (it differs in {names}); {fix}"
            )


def begun_model(place: Path | str | Store) -> dict[str, Any]:
    """Return the model's record of the atlas, or of a part of the wide atlas, that was begun in a store.

    It is empty if none was. Raises `AtlasError` if the plan is damaged.
    """
    store = open_store(place)
    if not is_wide_atlas(store) and is_atlas(store):
        return read_plan(store).model
    zone = min(_begun_zones(store), key=lambda zone: zone.name, default=None)
    return {} if zone is None else read_plan(store.child(zone.name)).model


def atlas_folders(path: Path) -> list[Path]:
    """Return the folders of the atlases in one CRS at `path`: `path` itself, or one for each UTM zone.

    Zones whose atlas has only been begun count, too.
    """
    if not is_wide_atlas(path):
        return [path]
    return [path / zone.name for zone in sorted(_begun_zones(open_store(path)), key=lambda zone: zone.epsg)]


def _begun_zones(store: Store) -> set[UtmZone]:
    """Return the zones of which a store has parts with a plan."""
    try:
        zones = set(read_wide_manifest(store) or ())
    except AtlasError:  # damaged: the parts say as much
        zones = set()
    if not zones:
        try:
            zones = {zone for name in store.names() if (zone := _zone_of(name))}
        except NotADirectoryError:
            return set()
    return {zone for zone in zones if is_atlas(store.child(zone.name))}


def _is_begun(store: Store) -> bool:
    """Return whether a store holds something, and nothing but what writing a wide atlas makes there."""
    try:
        names = store.names()
        first = next(names, None)
        made = ("_sat2cap", _GROUP)
        return first is not None and all(
            name in made or name.startswith(".") or _zone_of(name) for name in (first, *names)
        )
    except NotADirectoryError:
        return False


def _zone_of(name: str) -> UtmZone | None:
    """Return the UTM zone that a file or folder in a wide atlas belongs to; None if to none."""
    try:
        return parse_utm_zone(name.split(".")[0])
    except RegionError:
        return None


def _read_limited(store: Store) -> bytes:
    """Return the manifest's bytes. Raises `OSError`, also for a file that is too large."""
    if store.folder is not None:
        return read_regular_file(store.folder / WIDE_MANIFEST, _MAX_BYTES)
    data = store.get(WIDE_MANIFEST)
    if len(data) > _MAX_BYTES:
        raise OSError("larger than 1 MB")
    return data


def _damaged(store: Store, reason: str) -> AtlasError:
    return AtlasError(f"atlas {store.name!r}: {WIDE_MANIFEST} is damaged ({reason}); {_ANEW}")
