"""Opening what a folder or address holds: an atlas in one CRS, or a wide one of several UTM zones."""

from pathlib import Path

from sat2cap.atlas.plan import read_plan
from sat2cap.atlas.published import read_published
from sat2cap.atlas.published_zones import read_published_zones
from sat2cap.atlas.reader import Atlas
from sat2cap.atlas.wide import WideAtlas, WidePart
from sat2cap.atlas.wide_manifest import read_wide_manifest
from sat2cap.errors import AtlasError
from sat2cap.stores import Store, open_store


def open_atlas(place: Path | str | Store) -> Atlas:
    """Open the atlas in a folder, or at an address such as ``s3://bucket/region.zarr``.

    It may be unfinished (see `Atlas.complete`), a `WideAtlas`, or a copy that `publish` made, which is only
    read. Raises `AtlasError` if there is none, its
    format is newer, or its plan is damaged, and `StoreError` if the bucket or server does not give it.
    """
    store = open_store(place)
    try:
        return _open_one(store)
    except AtlasError:
        identities = read_wide_manifest(store) or read_published_zones(store)
        if identities is None:
            raise
    parts = [WidePart(zone, _open_part(store.child(zone.name), sha)) for zone, sha in identities.items()]
    return WideAtlas(store, tuple(parts))


def _open_one(store: Store) -> Atlas:
    """Return an atlas in one CRS, or the published copy of one. Raises `AtlasError` if there is none."""
    try:
        return Atlas(store, read_plan(store))
    except AtlasError:
        published = read_published(store)
        if published is None:
            raise
        return Atlas(store, *published)


def _open_part(store: Store, identity: str) -> Atlas:
    """Return a part of a wide atlas. Raises `AtlasError` if it is another atlas."""
    atlas = _open_one(store)
    if atlas.identity != identity:
        rule = "is not the part that the manifest names"
        raise AtlasError(f"atlas {atlas.name!r} {rule}; copy the whole atlas again")
    return atlas
