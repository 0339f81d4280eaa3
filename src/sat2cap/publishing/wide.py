"""Publishing a wide atlas: one Zarr group with the copies of all UTM zones, and a STAC item for each. ::

DEST/NAME.zarr/             the group, whose attributes name the zones
DEST/NAME.zarr/utm31n/      the copy of zone 31 north
DEST/NAME.zarr/utm32n/ …
DEST/NAME-utm31n.json …     the STAC item of each zone
DEST/collection.json        the STAC collection
DEST/NAME.sha256            a checksum of every file, for: sha256sum -c NAME.sha256
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from sat2cap.atlas import PUBLISH_LOCK, UNLOCK, WideAtlas, check_published_zones, write_published_zones
from sat2cap.files import digest
from sat2cap.progress import Progress, silent
from sat2cap.publishing.catalogue import published_item
from sat2cap.publishing.copy import (
    PublishedAtlas,
    check_finished,
    identify_options,
    write_catalogue,
    write_copy,
)
from sat2cap.publishing.depths import find_depths
from sat2cap.stores import Store, open_store


def publish_wide_atlas(
    atlas: WideAtlas,
    folder: Path | str | Store,
    *,
    title: str | None = None,
    url: str | None = None,
    depths: Sequence[int] = (),
    progress: Progress = silent,
) -> PublishedAtlas:
    """Write a copy that is opened as one atlas, as the original is, and return what was written.

    Arguments and errors are those of `publish_atlas`. The short copies of all zones have the same principal
    components, so that cells of two zones can be compared by them.
    """
    out, name = open_store(folder), atlas.store.base_name.removesuffix(".zarr")
    check_finished(atlas)
    url, group, items = url.rstrip("/") if url else None, f"{name}.zarr", {}
    find_rotation = cache(lambda: find_depths(atlas, depths))
    options = (*identify_options(depths), *((atlas.fingerprint,) if depths else ()))
    with out.writer.lock(PUBLISH_LOCK, "folder", UNLOCK):
        check_published_zones(out.child(group), [part.zone for part in atlas.parts])
        for part in atlas.parts:
            item, place = f"{name}-{part.zone.name}", f"{group}/{part.zone.name}"
            item_url, key = f"{url}/{item}.json" if url else None, digest(part.atlas.fingerprint, *options)
            write_copy(part.atlas, out, place, item_url, find_rotation, key, progress)
            items[item] = published_item(item, place, part.atlas.spec, f"{name}-embeddings", url)
        # last: it makes the zones one atlas
        write_published_zones(out.child(group), {part.zone: part.atlas.identity for part in atlas.parts})
        return write_catalogue(out, name, items, atlas.members[0].spec, title or name, progress)
