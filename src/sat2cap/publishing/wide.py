"""Publishing a wide atlas: each UTM zone as a copy of its own, and a STAC catalogue of all. ::

DEST/NAME.json            the STAC catalogue
DEST/NAME.sha256          a checksum of every file, for: sha256sum -c NAME.sha256
DEST/utm31n/              the copy of zone 31 north, with its collection and item
DEST/utm32n/ …
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from sat2cap.atlas import WideAtlas
from sat2cap.errors import InputError
from sat2cap.files import indented_json
from sat2cap.progress import Progress, silent
from sat2cap.publishing.copy import PublishedAtlas, publish_atlas
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
    """Write a copy of every part into a folder of its zone, with one catalogue, and return what was written.

    Arguments and errors are those of `publish_atlas`. Short copies have principal components of their own in
    each zone, by which cells of two zones cannot be compared, so `depths` raise `InputError`.
    """
    if depths:
        raise InputError("--depth is not there for several UTM zones; publish the parts one by one with it")
    out, name = open_store(folder), atlas.store.base_name.removesuffix(".zarr")
    title = title or name
    published = {
        part.zone.name: publish_atlas(
            part.atlas,
            out.child(part.zone.name),
            title=f"{title}, {part.zone.name}",
            url=f"{url.rstrip('/')}/{part.zone.name}" if url else None,
            progress=progress,
        )
        for part in atlas.parts
    }
    catalogue = indented_json(_make_catalogue(name, title, list(published), url))
    out.put(f"{name}.json", catalogue)
    lines = [f"{hashlib.sha256(catalogue).hexdigest()}  {name}.json"]
    for part in atlas.parts:
        zone = part.zone.name
        for line in out.get(f"{zone}/{part.atlas.store.base_name}.sha256").decode().splitlines():
            sha256, file = line.split("  ", 1)
            lines.append(f"{sha256}  {zone}/{file}")
    out.put(f"{name}.sha256", "".join(f"{line}\n" for line in lines).encode())
    size_bytes = sum(copy.size_bytes for copy in published.values()) + len(catalogue)
    place = out.name if out.folder is None else out.folder
    group = f"{out.name}/{name}.json" if out.folder is None else out.folder / f"{name}.json"
    return PublishedAtlas(place, group, sum(copy.files for copy in published.values()) + 2, size_bytes)


def _make_catalogue(name: str, title: str, zones: Sequence[str], url: str | None) -> dict[str, object]:
    """Return a STAC catalogue whose children are the collections of the zones."""
    links = [{"rel": "root", "href": f"./{name}.json", "type": "application/json"}]
    if url:
        links.append({"rel": "self", "href": f"{url.rstrip('/')}/{name}.json", "type": "application/json"})
    hrefs = [f"./{zone}/collection.json" for zone in zones]
    links += [{"rel": "child", "href": href, "type": "application/json"} for href in hrefs]
    return {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": name,
        "title": title,
        "description": f"Embeddings of {len(zones)} UTM zones that are one atlas.",
        "links": links,
    }
