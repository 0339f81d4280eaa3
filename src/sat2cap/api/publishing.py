"""Publishing an atlas for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sat2cap.api.reporting import ProgressLike, listening
from sat2cap.arguments import check_path
from sat2cap.atlas import WideAtlas, open_atlas
from sat2cap.extras import require_extra
from sat2cap.stores import open_store

if TYPE_CHECKING:
    from sat2cap.publishing import PublishedAtlas


def publish(
    atlas: Path | str,
    folder: Path | str,
    *,
    depths: Sequence[int] = (),
    title: str | None = None,
    url: str | None = None,
    progress: ProgressLike = None,
) -> PublishedAtlas:
    """Write a copy of a finished atlas for the web, and return where it is and how large.

        sat2cap.publish("town.zarr", "public", depths=[64], url="https://example.org/town")

    `folder` is a folder, or an address in a bucket such as ``s3://bucket/public``; so may be the atlas.
    `depths` are the lengths of short copies from which a client ranks cells cheaply (docs/atlas.md), `title`
    names the STAC collection, and `url` is the address at which the folder will be served, for links that
    must be absolute. Of several UTM zones each has a folder, with one catalogue. The same call continues an
    interrupted run. Raises `AtlasError` if the atlas is unfinished or damaged, `StoreError` if a bucket or
    server refuses or fails, and `MissingExtraError` without the extra ``publish``.
    """
    check_path(atlas, "atlas", "the folder or address of an atlas")
    check_path(folder, "folder", "a folder or an address in a bucket")
    require_extra("publish", "publishing")
    from sat2cap.publishing import publish_atlas, publish_wide_atlas

    out = open_store(folder)
    next(out.names(), None)  # a bucket that is missing or refuses says so before any work
    opened = open_atlas(atlas)
    with listening(progress) as report:
        if isinstance(opened, WideAtlas):
            return publish_wide_atlas(
                opened, out, title=title, url=url, depths=tuple(depths), progress=report
            )
        return publish_atlas(opened, out, title=title, url=url, depths=tuple(depths), progress=report)
