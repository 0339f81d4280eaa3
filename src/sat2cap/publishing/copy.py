"""Publishing an atlas: a sharded copy beside its catalogue and checksums, resumed after an interruption. ::

DEST/NAME.zarr/           the Zarr group, with nothing in it but arrays and metadata
DEST/NAME.json            the STAC item
DEST/collection.json      the STAC collection
DEST/NAME.sha256          a checksum of every file, for: sha256sum -c NAME.sha256
"""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
import zarr.errors
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from sat2cap.atlas import (
    PUBLISH_LOCK,
    PUBLISHED_KEY,
    UNLOCK,
    Atlas,
    AtlasSpec,
    side_arrays,
    unfinished_error,
    verify_atlas,
)
from sat2cap.errors import AtlasError
from sat2cap.files import canonical_json, digest, indented_json
from sat2cap.progress import Progress, silent
from sat2cap.publishing.attributes import array_attributes, published_attributes
from sat2cap.publishing.catalogue import published_collection, published_item
from sat2cap.publishing.depths import Depths, find_depths
from sat2cap.publishing.sharding import CHECKSUM, copy_cells
from sat2cap.publishing.zarr_store import ZarrStore
from sat2cap.stores import Store, open_store

LAYOUT = "chunks with CRC-32C"
"""How the numbers are stored; a copy with another layout is replaced when the atlas is published again."""


@dataclass(frozen=True)
class PublishedAtlas:
    """What publishing an atlas wrote."""

    folder: Path | str
    """Folder to upload as it is, or the address that was given."""
    store: Path | str
    """The Zarr group in it; of several UTM zones the group that theirs lie in."""
    files: int
    """Number of files in the folder."""
    size_bytes: int
    """Size of all of them."""


def publish_atlas(
    atlas: Atlas,
    folder: Path | str | Store,
    *,
    title: str | None = None,
    url: str | None = None,
    depths: Sequence[int] = (),
    progress: Progress = silent,
) -> PublishedAtlas:
    """Write a copy of a finished atlas for the web into a folder or a bucket, and return what was written.

    `title` names the collection (by default as the atlas), `url` is the address at which the folder will be
    served, and `depths` are the lengths of short copies of the embeddings, such as 32 and 64. An interrupted
    run is continued by the same call; a copy of another atlas is not overwritten. Raises `AtlasError` if the
    atlas is unfinished or damaged, or if another atlas of that name is published there.
    """
    out, name = open_store(folder), atlas.store.base_name.removesuffix(".zarr")
    check_finished(atlas)
    url = url.rstrip("/") if url else None
    with out.writer.lock(PUBLISH_LOCK, "folder", UNLOCK):
        item_url = f"{url}/{name}.json" if url else None
        key = digest(atlas.fingerprint, *identify_options(depths))
        write_copy(atlas, out, f"{name}.zarr", item_url, lambda: find_depths(atlas, depths), key, progress)
        item = published_item(name, f"{name}.zarr", atlas.spec, f"{name}-embeddings", url)
        return write_catalogue(out, name, {name: item}, atlas.spec, title or name, progress)


def identify_options(depths: Sequence[int]) -> tuple[str, str]:
    """Return as texts all that a copy's bytes depend on beside its atlas: the options and the layout."""
    return canonical_json(sorted(set(depths))), LAYOUT


def check_finished(atlas: Atlas) -> None:
    """Raise `AtlasError` if an atlas is not finished."""
    if not atlas.complete:
        raise unfinished_error(atlas.store)


def write_copy(
    atlas: Atlas,
    out: Store,
    group: str,
    item_url: str | None,
    find_rotation: Callable[[], Depths | None],
    key: str,
    progress: Progress,
) -> None:
    """Write the sharded copy of an atlas in one CRS at the path `group`, unless it is there.

    `item_url` is the address of its STAC item, if known; `find_rotation` returns that of short copies, and
    `key` is a hash of all that the copy depends on. Raises `AtlasError` if the atlas is damaged, or if
    something else is there.
    """
    _check_sound(atlas, progress)
    rotation = find_rotation()
    if _is_published(out.child(group), key):
        return
    beginning = f".{group.replace('/', '.')}."
    staged = f"{beginning}{key[:12]}"
    _check_free(out, group, staged, atlas)
    _remove_other_copies(out, beginning, staged)
    _write_group(atlas, out.child(staged), rotation, item_url, key, progress)
    # in place of an older state of the same atlas
    out.writer.replace_folder(staged, group, "zarr.json")


def _check_sound(atlas: Atlas, progress: Progress) -> None:
    """Raise `AtlasError` if a file of the atlas is damaged, since a copy would spread the damage."""
    progress("checking the atlas", 0, 1)
    problem = next(iter(verify_atlas(atlas)), None)
    if problem is not None:
        raise AtlasError(
            f"atlas {atlas.name!r} is damaged ({problem}); run: sat2cap atlas repair {atlas.name}"
        )
    progress("checking the atlas", 1, 1)


def _remove_other_copies(out: Store, beginning: str, staged: str) -> None:
    """Remove what interrupted runs for another state of the atlas, or with other options, left behind."""
    for leftover in set(out.names()):
        if leftover.startswith(beginning) and leftover != staged:
            out.writer.remove_folder(leftover)


def _read_attributes(store: Store) -> dict[str, Any]:
    """Return the attributes of the Zarr group in `store`, empty if there is none."""
    try:
        return dict(zarr.open_group(ZarrStore(store, read_only=True), mode="r", zarr_format=3).attrs)
    except (FileNotFoundError, ValueError, KeyError):
        return {}


def _is_published(store: Store, key: str) -> bool:
    """Return whether `store` is the finished copy with this key."""
    return _read_attributes(store).get(PUBLISHED_KEY) == key


def _check_free(out: Store, group: str, staged: str, atlas: Atlas) -> None:
    """Raise `AtlasError` if something is in the copy's place that is not a copy of this atlas.

    A copy without its metadata is one that was being replaced, if the staged one tells of this atlas.
    """
    place = out.child(group)
    try:
        is_free = next(place.names(), None) is None
    except NotADirectoryError:
        is_free = False
    identities = (_read_attributes(store).get("sat2cap:identity") for store in (place, out.child(staged)))
    if not is_free and next(filter(None, identities), None) != atlas.identity:
        raise AtlasError(f"{place.name!r} exists and is not a copy of this atlas; choose another folder")


def _write_group(
    atlas: Atlas, staged: Store, depths: Depths | None, item_url: str | None, key: str, progress: Progress
) -> None:
    """Write the group into a folder that is not seen by readers yet, or continue what was begun there."""
    group = zarr.open_group(ZarrStore(staged), mode="a", zarr_format=3)
    copy_cells(atlas, group, depths, progress)
    for array, values in side_arrays(atlas.spec):
        shape = array.shape
        contents = np.zeros(shape, array.dtype) if values is None else values
        _write_array(group, array.name, array.dims, contents, array_attributes(array.dims, array.attributes))
    if depths is not None:
        names = ("component", "embedding")
        note = {"long_name": "principal components of the embeddings, one a row"}
        _write_array(group, "rotation", names, depths.rotation, note)
        _write_array(group, "mean", ("embedding",), depths.mean, {"long_name": "mean embedding"})
    group.update_attributes(published_attributes(atlas.spec, depths, item_url) | {PUBLISHED_KEY: key})
    with warnings.catch_warnings():
        # Zarr 3 does not specify consolidated metadata yet; a reader that does not know it ignores it, and to
        # others it saves a request for every array
        warnings.simplefilter("ignore", zarr.errors.ZarrUserWarning)
        zarr.consolidate_metadata(group.store)


def _write_array(
    group: zarr.Group, name: str, dims: Sequence[str], values: NDArray[Any], attributes: dict[str, Any]
) -> None:
    """Write a small array in one chunk, in place of one that an interrupted run left."""
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=values.shape or "auto",
        dtype=values.dtype,
        fill_value=0,
        compressors=[ZstdCodec(), CHECKSUM],
        dimension_names=dims,
        attributes=attributes,
        overwrite=True,
    )
    array[...] = values


def write_catalogue(
    out: Store,
    name: str,
    items: Mapping[str, dict[str, Any]],
    spec: AtlasSpec,
    title: str,
    progress: Progress,
) -> PublishedAtlas:
    """Write STAC items, collection and the SHA-256 of every file as it is stored; return what there is.

    `items` are by name, and `spec` is the plan of one of the atlases that they are of.
    """
    for file, item in items.items():
        out.put(f"{file}.json", indented_json(item))
    out.put("collection.json", indented_json(published_collection(items, spec, title)))
    documents = [*(f"{file}.json" for file in items), "collection.json"]
    sizes = dict(out.list(f"{name}.zarr"))
    files = [*sorted(sizes, key=lambda key: key.split("/")), *documents]
    sizes |= out.sizes(documents)
    lines = []
    for number, file in enumerate(files):
        progress("computing checksums", number, len(files))
        lines.append(f"{hashlib.sha256(out.get(file)).hexdigest()}  {file}\n")
    progress("computing checksums", len(files), len(files))
    out.put(f"{name}.sha256", "".join(lines).encode())
    place = out.child(f"{name}.zarr")
    return PublishedAtlas(
        out.folder or out.name, place.folder or place.name, len(files) + 1, sum(sizes.values())
    )
