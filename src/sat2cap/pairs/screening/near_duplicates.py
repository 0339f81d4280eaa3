"""Photos that show the same picture: a 64-bit look of each, and which looks are nearly equal.

The look is the difference hash: the photo in grey at 9 x 8 pixels, and for each of 64 neighbours whether it
gets brighter to the right. Copies, thumbnails and slight crops differ in few bits.
"""

import io
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from sat2cap.errors import JobError
from sat2cap.files import digest, publish
from sat2cap.pairs.plan import BuildPlan
from sat2cap.photos import Photo, PhotoSource, PhotoTable
from sat2cap.progress import Progress

LOOK_ALIKE = "looks like another"
STAGE = "comparing photos"
FOLDER = "looks"
_CHUNK = 4096
_FLAT = 4.0  # grey levels of deviation below which a photo has no look: the night sky is no copy of another
_NEAR_DEG = 0.01  # photos of different users are only compared within about a kilometre

Looks = NDArray[np.uint64]


def look(data: bytes) -> int | None:
    """The 64-bit look of an encoded photo; None for one that cannot be decoded or has no features."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("L", (72, 64))
            grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.float32)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    if grey.std() < _FLAT:
        return None
    return int(np.packbits((grey[:, 1:] > grey[:, :-1]).ravel()).view(">u8")[0])


def look_alikes(
    source: PhotoSource,
    plan: BuildPlan,
    left_out: Mapping[str, str],
    out: Path,
    bits: int,
    progress: Progress,
) -> list[str]:
    """Keys of photos whose look is within `bits` of one taken earlier by the same user or nearby.

    Looks are kept in a folder in `out` until the set is finished, so that a stopped build goes on.
    """
    looks, known, done = [], [], 0
    for shard in plan.shards:
        for start in range(0, len(shard.photos), _CHUNK):
            photos = shard.photos[start : start + _CHUNK]
            values, has = _looks(source, photos, left_out, out / FOLDER)
            looks.append(values)
            known.append(has)
            done += len(photos)
            progress(STAGE, done, plan.pairs)
    photos = PhotoTable(pa.concat_tables([shard.photos.table for shard in plan.shards]))
    keys, users = (np.array(photos.texts(name)) for name in ("key", "user"))
    order = np.lexsort((keys, photos.table["taken"].to_numpy()))
    order = order[np.concatenate(known)[order]]
    _, user = np.unique(users, return_inverse=True)
    place = np.stack(photos.places(), -1)
    alike = near_equal(np.concatenate(looks)[order], user[order], place[order], bits)
    return [str(key) for key in keys[order[alike]]]


def near_equal(
    looks: Looks, user: NDArray[np.int64], place: NDArray[np.float64], bits: int
) -> NDArray[np.bool_]:
    """Which looks `[N]` are within `bits` of one before them by the same user or nearby: bool `[N]`.

    Exact: of ``bits + 1`` bands of a look, one at least is equal when at most `bits` bits differ, so only
    looks with an equal band are compared. `place` is (lon, lat), `[N, 2]`.
    """
    found = np.zeros(len(looks), bool)
    width = 64 // (bits + 1)
    for band in range(bits + 1):
        value = (looks >> np.uint64(band * width)) & np.uint64(2**width - 1)
        for early, late in _equal_pairs(value):
            close = np.bitwise_count(looks[early] ^ looks[late]) <= bits
            early, late = early[close], late[close]
            near = (np.abs(place[early] - place[late]) < _NEAR_DEG).all(-1)
            found[late[near | (user[early] == user[late])]] = True
    return found


def _equal_pairs(value: Looks) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """All pairs of rows with equal values, the earlier first, in parts no longer than `value`."""
    order = np.argsort(value, kind="stable")
    left = np.arange(len(order) - 1)
    apart = 1
    while len(left := left[left + apart < len(order)]):
        left = left[value[order[left]] == value[order[left + apart]]]
        yield order[left], order[left + apart]
        apart += 1


def _looks(
    source: PhotoSource, photos: PhotoTable, left_out: Mapping[str, str], folder: Path
) -> tuple[Looks, NDArray[np.bool_]]:
    """Looks of some photos, uint64 `[N]`, and which have one; from `folder` if they were taken before."""
    wanted = [photo for photo in photos if photo.key not in left_out]
    path = folder / f"{digest(*(photo.key for photo in wanted))}.npy"
    if not path.exists():
        with ThreadPoolExecutor() as pool, publish(path) as temporary:
            values = list(pool.map(partial(_look_of, source), wanted))
            found = [(value is not None, value or 0) for value in values]
            np.save(temporary, np.array(found, np.uint64).reshape(-1, 2))
    taken = {photo.key: row for photo, row in zip(wanted, np.load(path), strict=True)}
    rows = np.array([taken.get(key, (0, 0)) for key in photos.texts("key")], np.uint64).reshape(-1, 2)
    return rows[:, 1], rows[:, 0].astype(bool)


def _look_of(source: PhotoSource, photo: Photo) -> int | None:
    try:
        return look(source.image(photo))
    except JobError:
        return None


def forget(out: Path) -> None:
    """Remove the looks of a finished build."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)
