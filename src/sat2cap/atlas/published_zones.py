"""The Zarr group of a published wide atlas, whose members are the copies of its UTM zones.

Its attributes say which zones there are, as the manifest of a wide atlas does.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sat2cap.atlas.layout import ROOT
from sat2cap.atlas.plan_files import read_or_none
from sat2cap.atlas.wide_manifest import wide_identity
from sat2cap.errors import AtlasError, RegionError
from sat2cap.files import indented_json, parse_json
from sat2cap.geo import UtmZone, parse_utm_zone
from sat2cap.stores import Store

_ZONES_KEY = "sat2cap:utm_zones"
_IDENTITY_KEY = "sat2cap:identity"


def write_published_zones(store: Store, identities: Mapping[UtmZone, str]) -> None:
    """Write the metadata of the group, given the identity of the part in each zone."""
    attributes = {
        "utm_zones": {zone.name: zone.crs for zone in identities},
        _ZONES_KEY: {zone.name: identity for zone, identity in identities.items()},
        _IDENTITY_KEY: wide_identity(identities),
    }
    node = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    store.put(ROOT, indented_json(node))


def read_published_zones(store: Store) -> dict[UtmZone, str] | None:
    """Return the identity of the part in each zone of a published copy; None if the store has none.

    Raises `AtlasError` if its metadata are damaged.
    """
    try:
        node: Any = parse_json(read_or_none(store, ROOT) or b"null")
        attributes = node["attributes"]
        if _ZONES_KEY not in attributes:
            return None
    except (ValueError, KeyError, TypeError):
        return None
    try:
        zones = {parse_utm_zone(name): str(sha) for name, sha in attributes[_ZONES_KEY].items()}
        is_sound = bool(zones) and wide_identity(zones) == attributes[_IDENTITY_KEY]
    except (AttributeError, LookupError, RegionError, TypeError, ValueError):
        is_sound = False
    if not is_sound:
        raise AtlasError(f"published copy {store.name!r} is damaged; publish the atlas there again")
    return zones


def check_published_zones(store: Store, zones: Iterable[UtmZone]) -> None:
    """Raise `AtlasError` if a store has anything but the copies of these zones."""
    expected = {ROOT, *(zone.name for zone in zones)}
    try:
        is_free = set(store.names()) <= expected
    except NotADirectoryError:
        is_free = False
    if not is_free:
        raise AtlasError(f"{store.name!r} exists and is not a copy of this atlas; choose another folder")
