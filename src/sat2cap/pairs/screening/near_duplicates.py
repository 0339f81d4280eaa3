"""Near-duplicate photos, found by perceptual hash and Hamming distance.

The hash is the 64-bit difference hash (dHash): the photo in grey at 9 x 8 pixels, and for each of 64
neighbours whether it gets brighter to the right. Copies, thumbnails and slight crops differ in few bits.
"""

import io
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from sat2cap.errors import JobError, PictureError
from sat2cap.files import digest
from sat2cap.pairs.plan import BuildPlan
from sat2cap.photos import Photo, PhotoSource, PhotoTable
from sat2cap.pictures import decode_picture
from sat2cap.progress import Progress
from sat2cap.stores import Store

LOOK_ALIKE = "looks like another"
"""Reason for leaving out a near-duplicate."""
STAGE = "comparing photos"
FOLDER = "looks"
"""Folder of the cached hashes in an unfinished set."""
_CHUNK = 4096
_FLAT = 4.0  # grey levels of deviation below which a photo has no hash: the night sky is no copy of another
_NEAR_DEG = 0.01  # photos of different users are only compared within about a kilometre

Hashes = NDArray[np.uint64]


def difference_hash(data: bytes) -> int | None:
    """Return the 64-bit difference hash of an encoded photo.

    None if it cannot be decoded, or is too uniform (grey levels deviate by less than `_FLAT`) to have one.
    """
    try:
        picture = decode_picture(data, "L", at_least=(72, 64))
    except PictureError:
        return None
    grey = np.asarray(picture.resize((9, 8), Image.Resampling.BOX), np.float32)
    if grey.std() < _FLAT:
        return None
    return int(np.packbits((grey[:, 1:] > grey[:, :-1]).ravel()).view(">u8")[0])


def find_near_duplicates(
    source: PhotoSource,
    plan: BuildPlan,
    left_out: Mapping[str, str],
    out: Store,
    bits: int,
    progress: Progress,
) -> list[str]:
    """Return the keys of photos within Hamming distance `bits` of an earlier one by the same user or nearby.

    Hashes are stored in a folder in `out` until the set is finished, so that a stopped build goes on.
    """
    hashes, hashed, done = [], [], 0
    for shard in plan.shards:
        for start in range(0, len(shard.photos), _CHUNK):
            photos = shard.photos[start : start + _CHUNK]
            chunk_hashes, has_hash = _cached_hashes(source, photos, left_out, out.child(FOLDER))
            hashes.append(chunk_hashes)
            hashed.append(has_hash)
            done += len(photos)
            progress(STAGE, done, plan.pair_count)
    photos = PhotoTable(pa.concat_tables([shard.photos.table for shard in plan.shards]))
    keys, users = (np.array(photos.text_column(name)) for name in ("key", "user"))
    order = np.lexsort((keys, photos.table["taken"].to_numpy()))
    order = order[np.concatenate(hashed)[order]]
    _, user = np.unique(users, return_inverse=True)
    place = np.stack(photos.coordinates(), -1)
    duplicate = within_hamming_distance(np.concatenate(hashes)[order], user[order], place[order], bits)
    return [str(key) for key in keys[order[duplicate]]]


def within_hamming_distance(
    hashes: Hashes, user: NDArray[np.int64], place: NDArray[np.float64], bits: int
) -> NDArray[np.bool_]:
    """Return which of N hashes are within Hamming distance `bits` of an earlier one, as a bool array (N,).

    Only hashes of the same user, or of places within `_NEAR_DEG`, are compared. Exact: when at most `bits`
    bits differ, at least one of ``bits + 1`` bands of the hash is equal, so only hashes with an
    equal band are compared. With ``bits=2``, for example, a hash has three bands of 21 bits::

        band 2   band 1   band 0
        ......x  .......  x......    two differing bits touch two bands at most: band 1 is equal

    `place` is (lon, lat), `[N, 2]`.
    """
    is_duplicate = np.zeros(len(hashes), bool)
    width = 64 // (bits + 1)
    for band in range(bits + 1):
        value = (hashes >> np.uint64(band * width)) & np.uint64(2**width - 1)
        for early, late in _equal_pairs(value):
            close = np.bitwise_count(hashes[early] ^ hashes[late]) <= bits
            early, late = early[close], late[close]
            near = (np.abs(place[early] - place[late]) < _NEAR_DEG).all(-1)
            is_duplicate[late[near | (user[early] == user[late])]] = True
    return is_duplicate


def _equal_pairs(value: Hashes) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield all pairs of rows with equal values, the earlier row first, in arrays no longer than `value`."""
    order = np.argsort(value, kind="stable")
    left = np.arange(len(order) - 1)
    distance = 1  # between two rows in the sorted order
    while len(left := left[left + distance < len(order)]):
        left = left[value[order[left]] == value[order[left + distance]]]
        yield order[left], order[left + distance]
        distance += 1


def _cached_hashes(
    source: PhotoSource, photos: PhotoTable, left_out: Mapping[str, str], folder: Store
) -> tuple[Hashes, NDArray[np.bool_]]:
    """Return the hashes of N photos, uint64 (N,), and which photos have one; cached in `folder`."""
    usable_photos = [photo for photo in photos if photo.key not in left_out]
    name = f"{digest(*(photo.key for photo in usable_photos))}.npy"
    try:
        rows: Hashes = np.load(io.BytesIO(folder.get(name)))
    except FileNotFoundError:
        with ThreadPoolExecutor() as pool:
            values = list(pool.map(partial(_hash_photo, source), usable_photos))
        rows = np.array([(value is not None, value or 0) for value in values], np.uint64).reshape(-1, 2)
        file = io.BytesIO()
        np.save(file, rows)
        folder.put(name, file.getvalue())
    row_by_key = {photo.key: row for photo, row in zip(usable_photos, rows, strict=True)}
    stored = np.array([row_by_key.get(key, (0, 0)) for key in photos.text_column("key")], np.uint64).reshape(
        -1, 2
    )
    return stored[:, 1], stored[:, 0].astype(bool)


def _hash_photo(source: PhotoSource, photo: Photo) -> int | None:
    try:
        return difference_hash(source.read_image(photo))
    except JobError:
        return None


def remove_hash_cache(out: Store) -> None:
    """Remove the cached hashes of a finished build."""
    out.writer.remove_folder(FOLDER)
