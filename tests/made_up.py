"""Made-up photos and imagery (picklable; every pixel says where it is), and small builds of them."""

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry, box
from PIL import Image

from sat2cap.atlas.chunk_writing import stage_filled_chunk
from sat2cap.atlas.layout import Chunk
from sat2cap.atlas.writer import AtlasWriter
from sat2cap.errors import ImageryError, JobError
from sat2cap.files import digest_file
from sat2cap.geo.frame import on_grid
from sat2cap.geo.grid import cell_lonlat, patch_around
from sat2cap.imagery.protocol import RGBA, ImageryInfo
from sat2cap.pairs import PatchSpec, SplitPlan, build_pairs
from sat2cap.pairs.screening.screen import Funnel, Rules, screen_records
from sat2cap.photos.columns import record_batches
from sat2cap.photos.protocol import Photo


def paint(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """RGBA [..., 4] of places: smooth, and different everywhere nearby."""
    red = 127 + 120 * np.sin(lon * 300)
    green = 127 + 120 * np.cos(lat * 200)
    blue = 127 + 120 * np.sin((lon + lat) * 90)
    return np.stack([red, green, blue, np.full_like(red, 255)], -1).astype(np.uint8)


@dataclass(frozen=True)
class Land:
    """Imagery everywhere, or nothing east of `edge`; reading within 0.02 degrees of `broken` fails."""

    edge: float = 180.0
    broken: float = 999.0
    outline: tuple[float, float, float, float] | None = None

    @property
    def info(self) -> ImageryInfo:
        return ImageryInfo(f"land:{self.edge}", f"land-{self.edge}-{self.broken}", 1.0, "Nobody", "CC0-1.0")

    @property
    def footprint(self) -> Geometry | None:
        return box(*self.outline, "EPSG:4326") if self.outline else None

    def read(self, box: GeoBox) -> xr.DataArray:
        lon, lat = cell_lonlat(box)
        if abs(lon.mean() - self.broken) < 0.02:
            raise ImageryError("broken")
        pixels = paint(lon, lat)
        pixels[lon > self.edge] = 0
        return on_grid(pixels, box, ("y", "x", "band"), {"band": list(RGBA)})


@dataclass(frozen=True)
class FastLand(Land):
    """The same pixels through the protocol for many patches at once; counts its calls in a file if asked."""

    calls: str = ""

    def read_patches(self, lon: np.ndarray, lat: np.ndarray, size_m: float, pixels: int) -> np.ndarray:
        if self.calls:
            with Path(self.calls).open("a") as file:
                file.write(f"{len(lon)}\n")
        boxes = [patch_around(east, north, size_m, pixels) for east, north in zip(lon, lat, strict=True)]
        return np.stack([self.read(patch).values for patch in boxes])


@cache
def picture(number: int, form: str = "JPEG") -> bytes:
    out = io.BytesIO()
    rng = np.random.default_rng(number)
    Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).save(out, form)
    return out.getvalue()


@dataclass(frozen=True)
class Album:
    """`count` photos around (5, 52), in clusters; photos whose key ends as listed go wrong in that way."""

    count: int = 60
    torn: str = "?"
    gone: str = "?"
    png: str = "?"
    kill_at: str = "?"
    flag: str = ""
    span_deg: float = 1.0

    @property
    def uri(self) -> str:
        return f"album:{self.count}"

    def __len__(self) -> int:
        return self.count

    def photos(self) -> Iterator[Photo]:
        rng = np.random.default_rng(5)
        start = datetime(2012, 3, 4, 5, 6, 7, 250000)
        centres = np.array([5, 52]) + rng.uniform(0, self.span_deg, (max(1, self.count // 6), 2))
        for number in range(self.count):
            lon, lat = centres[rng.integers(len(centres))] + rng.normal(0, 0.01, 2)
            taken = start + timedelta(hours=int(number) * 7)
            user = f"u{number % 5}"
            yield Photo(
                f"p{number:05d}", float(lon), float(lat), taken, user, "CC-BY-4.0", f"https://a.test/{number}"
            )

    def read_image(self, photo: Photo) -> bytes:
        if photo.key.endswith(self.gone):
            raise JobError("gone")
        if photo.key.endswith(self.kill_at) and Path(self.flag).exists():
            Path(self.flag).unlink()
            os.kill(os.getpid(), 9)
        number = int(photo.key[1:])
        if photo.key.endswith(self.png):
            return picture(number, "PNG")
        return picture(number)[:200] if photo.key.endswith(self.torn) else picture(number)


PATCH = PatchSpec(size_m=480, pixels=8)
SPLIT = SplitPlan(fractions=(0.6, 0.2, 0.2), block_km=4)


def build_small(out, photos=Album(), imagery=Land(), **settings):
    """Build a pair set of small patches, seven pairs to a shard."""
    return build_pairs(photos, imagery, out, **{"patch": PATCH, "split": SPLIT, "per_shard": 7, **settings})


def hash_files(folder):
    """Return the hash of every file below a folder, by its relative path."""
    return {str(p.relative_to(folder)): digest_file(p) for p in folder.rglob("*") if p.is_file()}


def screen_photos(photos: Iterable[Photo], rules: Rules | None = None) -> tuple[list[Photo], Funnel]:
    """Return the photos that satisfy `rules`, in their order, and the funnel, as `screen_records` does."""
    table, funnel = screen_records(record_batches(photos), rules or Rules())
    return list(table), funnel


def fill_cells(writer: AtlasWriter, chunk: Chunk, embeddings: np.ndarray, status: np.ndarray) -> None:
    """Replace those cells of a written chunk whose `status` is not NONE, as `repair` does in one process."""
    writer.reopen()
    entry = writer.entry(chunk.index)
    writer.record(stage_filled_chunk(writer.store, writer.spec, chunk, embeddings, status, entry))
