"""Making one shard: reading photos and patches, and writing them as a webdataset tar."""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from PIL import Image

from sat2cap.errors import ImageryError, JobError
from sat2cap.files import digest_file, publish
from sat2cap.geo import patch_around
from sat2cap.imagery import Imagery, fill_missing, missing_share
from sat2cap.pairs.plan import PatchSpec, Shard
from sat2cap.photos import Photo, PhotoSource

Bytes = npt.NDArray[np.uint8]

NO_PHOTO = "photo cannot be had"
BROKEN_PHOTO = "photo cannot be decoded"
NO_IMAGERY = "imagery cannot be read"
MISSING = "patch mostly missing"

_BATCH_BYTES = 48 * 2**20  # pixels in memory at once for each worker


@runtime_checkable
class PatchReader(Protocol):
    """Imagery that can give many patches at once faster than one by one."""

    def read_patches(
        self, lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64], size_m: float, pixels: int
    ) -> Bytes:
        """RGBA patches `[N, P, P, 4]` centred on the points, each equal to reading `patch_around` it."""
        ...


@runtime_checkable
class ImagesReader(Protocol):
    """Photos that can be had many at once faster than one by one."""

    def images(self, photos: list[Photo]) -> list[bytes]:
        """Encoded images in the order of `photos`."""
        ...


@dataclass(frozen=True)
class ShardResult:
    """A shard as it lies on disk."""

    name: str
    sha256: str
    """Of the file's bytes, as 64 hex digits."""
    pairs: int
    dropped: dict[str, str] = field(default_factory=dict)
    """Keys left out while making it, each with the reason."""


def date_text(taken: datetime) -> str:
    """``YYYY-MM-DD HH:MM:SS.f`` with as many decimals as needed, at least one."""
    decimals = f"{taken.microsecond:06d}".rstrip("0") or "0"
    return f"{taken:%Y-%m-%d %H:%M:%S}.{decimals}"


def _patches(imagery: Imagery, photos: Sequence[Photo], patch: PatchSpec) -> list[Bytes | None]:
    """The RGBA patch `[P, P, 4]` of each photo; None where reading failed."""
    if isinstance(imagery, PatchReader):
        lon = np.array([photo.lon for photo in photos], np.float64)
        lat = np.array([photo.lat for photo in photos], np.float64)
        try:
            return list(imagery.read_patches(lon, lat, patch.size_m, patch.pixels))
        except ImageryError:
            pass  # one bad patch fails the batch: find out which
    result: list[Bytes | None] = []
    for photo in photos:
        assert photo.lon is not None
        assert photo.lat is not None
        try:
            read = imagery.read(patch_around(photo.lon, photo.lat, patch.size_m, patch.pixels))
        except ImageryError:
            result.append(None)
        else:
            result.append(np.asarray(read.transpose("y", "x", "band").values, np.uint8))
    return result


def _images(source: PhotoSource, photos: Sequence[Photo]) -> list[bytes | None]:
    """The encoded photo of each record; None where it cannot be had."""
    if isinstance(source, ImagesReader):
        try:
            return list(source.images(list(photos)))
        except JobError:
            pass  # one missing photo fails the batch: find out which
    result: list[bytes | None] = []
    for photo in photos:
        try:
            result.append(source.read_image(photo))
        except JobError:
            result.append(None)
    return result


def _jpeg(pixels: Bytes, quality: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return out.getvalue()


def _ground(data: bytes) -> bytes | None:
    """The photo as JPEG: as it came if it is one, else encoded again; None if it cannot be decoded."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format == "JPEG":
                image.load()  # a torn file opens well enough; only decoding tells
                return data
            return _jpeg(np.asarray(image.convert("RGB")), 95)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _overhead(rgba: Bytes, patch: PatchSpec) -> bytes | None:
    """The patch as JPEG, its holes filled; None if too much is missing."""
    if missing_share(rgba) > patch.max_missing:
        return None
    return _jpeg(fill_missing(rgba[None])[0], patch.quality)


def _pair(
    photo: Photo, image: bytes | None, rgba: Bytes | None, patch: PatchSpec
) -> tuple[bytes, bytes] | str:
    """Ground and overhead JPEG of a pair, or why there is none."""
    if image is None:
        return NO_PHOTO
    ground = _ground(image)
    if ground is None:
        return BROKEN_PHOTO
    if rgba is None:
        return NO_IMAGERY
    overhead = _overhead(rgba, patch)
    return MISSING if overhead is None else (ground, overhead)


def _pairs(
    shard: Shard, source: PhotoSource, imagery: Imagery, patch: PatchSpec, left_out: Mapping[str, str]
) -> Iterator[tuple[Photo, tuple[bytes, bytes] | str]]:
    step = max(1, min(256, _BATCH_BYTES // (patch.pixels**2 * 4)))
    for start in range(0, len(shard.photos), step):
        photos = list(shard.photos[start : start + step])
        yield from ((photo, left_out[photo.key]) for photo in photos if photo.key in left_out)
        batch = [photo for photo in photos if photo.key not in left_out]
        if not batch:
            continue
        images, patches = _images(source, batch), _patches(imagery, batch, patch)
        for photo, image, rgba in zip(batch, images, patches, strict=True):
            yield photo, _pair(photo, image, rgba, patch)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    # owner, mode and time stay at TarInfo's fixed defaults, so equal pairs make equal bytes
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def write_shard(
    shard: Shard,
    left_out: Mapping[str, str],
    source: PhotoSource,
    imagery: Imagery,
    patch: PatchSpec,
    folder: Path,
) -> ShardResult:
    """Make the pairs of `shard` and publish them as one tar in `folder`: always the same bytes.

    `left_out` names photos, by key and with the reason, that are known to make no pair.
    """
    dropped: dict[str, str] = {}
    path = folder / shard.name
    with publish(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for photo, made in _pairs(shard, source, imagery, patch, left_out):
            if isinstance(made, str):
                dropped[photo.key] = made
                continue
            assert photo.taken is not None
            metadata = {"latitude": photo.lat, "longitude": photo.lon, "date_taken": date_text(photo.taken)}
            _add(tar, f"{photo.key}.groundlevel.jpg", made[0])
            _add(tar, f"{photo.key}.overhead.jpg", made[1])
            _add(tar, f"{photo.key}.metadata.json", json.dumps(metadata).encode())
    return ShardResult(shard.name, digest_file(path), len(shard.photos) - len(dropped), dropped)
