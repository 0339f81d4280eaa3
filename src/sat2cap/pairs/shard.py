"""Making one shard: read photos and patches, and write them as a webdataset tar."""

import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from PIL import Image

from sat2cap.errors import ImageryError, JobError, PictureError
from sat2cap.geo import patch_around
from sat2cap.imagery import Imagery, fill_missing, missing_share
from sat2cap.pairs.plan import PatchSpec, Shard
from sat2cap.pairs.shard_file import SHARDS
from sat2cap.photos import Photo, PhotoSource
from sat2cap.pictures import decode_picture, open_header
from sat2cap.stores import Store

Pixels = npt.NDArray[np.uint8]

NO_PHOTO = "photo cannot be had"
BROKEN_PHOTO = "photo cannot be decoded"
NO_IMAGERY = "imagery cannot be read"
MISSING = "patch mostly missing"

_BATCH_BYTES = 48 * 2**20
"""Bytes of decoded patches that a worker has in memory at once."""


@runtime_checkable
class PatchReader(Protocol):
    """Imagery that reads many patches at once faster than one by one."""

    def read_patches(
        self, lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64], size_m: float, pixels: int
    ) -> Pixels:
        """Return RGBA patches centred on N points, uint8 (N, P, P, 4).

        Each equals `read` of `patch_around` its point. `lon` and `lat` are degrees, `size_m` is the side of a
        patch in metres and `pixels` in pixels.
        """
        ...


@runtime_checkable
class ImagesReader(Protocol):
    """Photo source that returns many images at once faster than one by one."""

    def images(self, photos: list[Photo]) -> list[bytes]:
        """Return the encoded images in the order of `photos`. Raises `JobError` if one is missing."""
        ...


@dataclass(frozen=True)
class ShardResult:
    """A shard on disk, as the journal describes it."""

    name: str
    """File name, such as ``train-00000.tar``."""
    sha256: str
    """SHA-256 of the file's bytes, 64 hex digits."""
    pairs: int
    """Number of pairs in the shard."""
    dropped: dict[str, str] = field(default_factory=dict)
    """Photos of the plan that made no pair: reason by key."""
    offsets: list[int] = field(default_factory=list)
    """Position in bytes of each pair's first tar header; empty in the journals of older versions."""

    def count_by_status(self) -> dict[str, int]:
        """Return how many photos make a pair (``paired``), and how many do not, by the reason."""
        return {"paired": self.pairs, **Counter(self.dropped.values())}


@dataclass(frozen=True)
class StagedShard:
    """A shard that was written, but is not in its place yet: the receipt for it."""

    result: ShardResult
    written_as: str
    """Name under which it is staged in the store of the pair set."""
    worker: str = ""
    """Who made it; empty for the machine that the build was started on."""

    def put_in_place(self, out: Store) -> ShardResult:
        """Put the shard in its place in the pair set, and return what it is.

        Raises `JobError` if it is not there, as when another machine wrote to a disk of its own.
        """
        try:
            out.writer.place(self.written_as, f"{SHARDS}/{self.result.name}")
        except FileNotFoundError:
            raise JobError(
                f"{self.result.name} was written, but not into {out.name} as this machine sees it; give a "
                "folder that every worker shares"
            ) from None
        return self.result


def stage_shard(
    shard: Shard,
    left_out: Mapping[str, str],
    source: PhotoSource,
    imagery: Imagery,
    patch: PatchSpec,
    out: Store,
    worker: str = "",
) -> StagedShard:
    """Make the pairs of `shard`, and stage them in the pair set `out` as one tar file.

    Equal pairs give equal bytes. `left_out` maps the keys of photos that are known to make no pair to the
    reason, and `worker` names who makes them.
    """
    dropped: dict[str, str] = {}

    def add_pairs(tar: tarfile.TarFile) -> Iterator[int]:
        for photo, images in _make_pairs(shard, source, imagery, patch, left_out):
            if isinstance(images, str):
                dropped[photo.key] = images
                continue
            yield tar.offset
            assert photo.taken is not None
            metadata = {
                "latitude": photo.lat,
                "longitude": photo.lon,
                "date_taken": format_date_taken(photo.taken),
            }
            _add_member(tar, f"{photo.key}.groundlevel.jpg", images[0])
            _add_member(tar, f"{photo.key}.overhead.jpg", images[1])
            _add_member(tar, f"{photo.key}.metadata.json", json.dumps(metadata).encode())

    return write_shard(shard.name, add_pairs, dropped, out, worker)


def write_shard(
    name: str,
    add_pairs: Callable[[tarfile.TarFile], Iterator[int]],
    dropped: dict[str, str],
    out: Store,
    worker: str = "",
) -> StagedShard:
    """Stage a shard of a pair set, and return the receipt for it.

    `add_pairs` adds one pair after the other to a tar, and yields before each where that begins. `dropped`
    has, by then, the photos that make no pair.
    """
    with out.writer.stage_file(f"{SHARDS}/{name}") as (file, written_as):
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            offsets = list(add_pairs(tar))
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    return StagedShard(ShardResult(name, sha256, len(offsets), dropped, offsets), written_as, worker)


def can_be_made(photo: Photo, source: PhotoSource, imagery: Imagery, patch: PatchSpec) -> bool:
    """Return whether a photo and the patch around it can be read here, whatever they show."""
    (image,), (pixels,) = _read_images(source, [photo]), _read_patches(imagery, [photo], patch)
    return image is not None and pixels is not None


def format_date_taken(taken: datetime) -> str:
    """Return a date as ``YYYY-MM-DD HH:MM:SS.f``, with as many decimals as needed and at least one."""
    decimals = f"{taken.microsecond:06d}".rstrip("0") or "0"
    return f"{taken:%Y-%m-%d %H:%M:%S}.{decimals}"


def _make_pairs(
    shard: Shard, source: PhotoSource, imagery: Imagery, patch: PatchSpec, left_out: Mapping[str, str]
) -> Iterator[tuple[Photo, tuple[bytes, bytes] | str]]:
    """Yield every photo of a shard with its ground and overhead JPEG, or with the reason why it has none."""
    step = max(1, min(256, _BATCH_BYTES // (patch.pixels**2 * 4)))
    for start in range(0, len(shard.photos), step):
        photos = list(shard.photos[start : start + step])
        yield from ((photo, left_out[photo.key]) for photo in photos if photo.key in left_out)
        batch = [photo for photo in photos if photo.key not in left_out]
        if not batch:
            continue
        images, patches = _read_images(source, batch), _read_patches(imagery, batch, patch)
        for photo, image, rgba in zip(batch, images, patches, strict=True):
            yield photo, _encode_pair(image, rgba, patch)


def _read_images(source: PhotoSource, photos: Sequence[Photo]) -> list[bytes | None]:
    """Return the encoded image of each photo; None where there is none."""
    if isinstance(source, ImagesReader):
        try:
            return list(source.images(list(photos)))
        except JobError:
            pass  # one missing photo fails the batch; reading one by one tells which
    images: list[bytes | None] = []
    for photo in photos:
        try:
            images.append(source.read_image(photo))
        except JobError:
            images.append(None)
    return images


def _read_patches(imagery: Imagery, photos: Sequence[Photo], patch: PatchSpec) -> list[Pixels | None]:
    """Return the patch around each photo, uint8 RGBA (P, P, 4); None where reading failed."""
    if isinstance(imagery, PatchReader):
        lon = np.array([photo.lon for photo in photos], np.float64)
        lat = np.array([photo.lat for photo in photos], np.float64)
        try:
            return list(imagery.read_patches(lon, lat, patch.size_m, patch.pixels))
        except ImageryError:
            pass  # one bad patch fails the batch; reading one by one tells which
    patches: list[Pixels | None] = []
    for photo in photos:
        assert photo.lon is not None
        assert photo.lat is not None
        try:
            rgba = imagery.read(patch_around(photo.lon, photo.lat, patch.size_m, patch.pixels))
        except ImageryError:
            patches.append(None)
        else:
            patches.append(np.asarray(rgba.transpose("y", "x", "band").values, np.uint8))
    return patches


def _encode_pair(image: bytes | None, rgba: Pixels | None, patch: PatchSpec) -> tuple[bytes, bytes] | str:
    """Return the ground and overhead JPEG of a pair, or the reason why there is none."""
    if image is None:
        return NO_PHOTO
    ground = _encode_ground(image)
    if ground is None:
        return BROKEN_PHOTO
    if rgba is None:
        return NO_IMAGERY
    overhead = _encode_overhead(rgba, patch)
    return MISSING if overhead is None else (ground, overhead)


def _encode_ground(data: bytes) -> bytes | None:
    """Return a photo as JPEG: the same bytes if they are JPEG, else encoded again; None if it is broken."""
    try:
        picture = decode_picture(data)  # a truncated file has a sound header and fails when it is decoded
        with open_header(data) as header:
            if header.format == "JPEG":
                return data
    except PictureError:
        return None
    return encode_jpeg(np.asarray(picture), 95)


def _encode_overhead(rgba: Pixels, patch: PatchSpec) -> bytes | None:
    """Return a patch as JPEG with its missing pixels filled; None if too many are missing."""
    if missing_share(rgba) > patch.max_missing:
        return None
    return encode_jpeg(fill_missing(rgba[None])[0], patch.quality)


def encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """Return RGB pixels, uint8 (H, W, 3), as JPEG of a quality from 1 to 95."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _add_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Append a file to a tar; owner, mode and time keep their defaults, so equal pairs make equal bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
