"""What each real raster should give, by arithmetic of its own, and what reading it gives.

Run it to print the table of docs/imagery.md: ``python tests/sources/real_rasters.py``.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer
from scipy.ndimage import binary_erosion, map_coordinates

from sat2cap.imagery.bands import BandRendering, parse_rendering
from sat2cap.imagery.raster import open_raster

OVERHEAD = Path(__file__).parents[3] / "shared" / "data" / "overhead"
MODEL_M = 480 / 224
SIDE = 120  # pixels of what is compared, at most
OPTIONS = {
    "cog_dateline.tif": ("--stretch 21800,23900", parse_rendering(stretch="21800,23900")),
    "mosaic_cog1.tif": ("--stretch 0,20000", parse_rendering(stretch="0,20000")),
    "mosaic_cog2.tif": ("--stretch 0,20000", parse_rendering(stretch="0,20000")),
    "sentinel2/patch_25630.tif": (  # snow
        "--recipe sentinel2 --stretch 0,12000",
        parse_rendering(recipe="sentinel2", stretch="0,12000"),
    ),
}
SENTINEL = ("--recipe sentinel2", parse_rendering(recipe="sentinel2"))


@dataclass(frozen=True)
class Case:
    name: str
    step_m: float | None
    """Metres a pixel to read at; None for the file's own."""

    @property
    def option(self) -> tuple[str, BandRendering]:
        default = SENTINEL if self.name.startswith("sentinel2/") else ("", BandRendering())
        return OPTIONS.get(self.name, default)


@dataclass(frozen=True)
class Comparison:
    gsd_m: tuple[float, float]
    """On the ground at the middle: by arithmetic, and as the source says."""
    off_px: float
    """How far what is read lies from where it should, in the file's own pixels."""
    colour: float
    """Mean difference of colours, of 255."""
    missing: tuple[float, float]
    """Share without data: of the file, and as read."""
    disagree: int
    """Pixels of the file that have data and are read as missing, or the other way round."""

    def table_cells(self) -> list[str]:
        """As in the table."""
        return [
            f"{self.gsd_m[0]:.4g} / {self.gsd_m[1]:.4g}",
            f"{self.off_px:.2f}",
            f"{self.colour:.1f}",
            f"{self.missing[0]:.2%} / {self.missing[1]:.2%}",
        ]


def cases() -> list[Case]:
    """Every raster at its own resolution; those finer than the model reads, at the model's as well."""
    names = sorted(path.relative_to(OVERHEAD).as_posix() for path in OVERHEAD.rglob("*.tif"))
    fine = [n for n in names if n.startswith(("aerial", "drone"))]
    return [Case(name, None) for name in names] + [Case(name, MODEL_M) for name in fine]


def measure(case: Case, planted_px: float = 0.0) -> Comparison:
    """Read a raster as people do, and compare; `planted_px` shifts what is read, to see that it shows."""
    _, options = case.option
    path = OVERHEAD / case.name
    imagery = open_raster(str(path), options.bands, stretch=options.stretch)
    with rasterio.open(path) as file:
        values = file.read(list(imagery.bands)).astype(float)
        mask, affine, crs = file.dataset_mask() > 0, file.transform, file.crs.to_wkt()
    whole = imagery.read(imagery.grid).values[..., 3] > 0
    gsd, middle = ground(affine, crs, mask)
    step = case.step_m or gsd
    side = min(SIDE, int(0.9 * min(mask.shape) * gsd / step))
    box, moved = (box_at(*middle, side, step, affine, crs, px) for px in (0, planted_px))
    read = imagery.read(moved).values
    if np.ptp(values[:, mask]) == 0:  # one colour: only its holes show where it lies, on its own grid
        off, colour = float(np.hypot(*shift_between(mask * 1.0, whole * 1.0))), 0.0
    else:
        off, colour = compare(read, values, mask, box, affine, crs, options.stretch or (0, 255))
    missing = (1 - mask.mean(), 1 - whole.mean())
    return Comparison((gsd, imagery.info.gsd_m), off, colour, missing, int((mask != whole).sum()))


def ground(affine: Affine, crs: str, mask: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Metres of a pixel's finer side at the file's middle; degrees of the middle of its data."""
    to_lonlat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    height, width = mask.shape
    points = [
        affine @ at
        for at in ((width / 2, height / 2), (width / 2 + 1, height / 2), (width / 2, height / 2 + 1))
    ]
    (lon, *lons), (lat, *lats) = to_lonlat.transform(*zip(*points, strict=True))
    _, _, metres = Geod(ellps="WGS84").inv([lon] * 2, [lat] * 2, lons, lats)
    row, col = (float(np.median(axis)) for axis in np.nonzero(mask))
    return min(metres), to_lonlat.transform(*(affine @ (col, row)))


def box_at(
    lon: float, lat: float, side: int, step: float, affine: Affine, crs: str, planted_px: float
) -> GeoBox:
    """A square around a place in a projection that no file has, moved by some of the file's pixels."""
    own = f"+proj=laea +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m"
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    moved = Transformer.from_crs(crs, own, always_xy=True).transform(x + planted_px * affine.a, y)
    left, top = moved[0] - side / 2 * step, moved[1] + side / 2 * step
    return GeoBox((side, side), Affine(step, 0, left, 0, -step, top), own)


def compare(
    read: np.ndarray,
    values: np.ndarray,
    mask: np.ndarray,
    box: GeoBox,
    affine: Affine,
    crs: str,
    stretch: tuple[float, float],
) -> tuple[float, float]:
    """How far `read` is off in pixels of the file, and how much its colours differ once it is moved there.

    The shift is the least-squares one (Lucas and Kanade, 1981), found in three steps.
    """
    to_source = Transformer.from_crs(box.crs.proj, crs, always_xy=True)
    shift = np.zeros(2)
    inside = binary_erosion(read[..., 3] > 0, iterations=3)
    low, high = stretch

    def wanted_at(moved: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        raw, there, ratio = expected(values, mask, box, affine, to_source, moved)
        return np.clip((raw - low) * 255 / (high - low), 0, 255), there, ratio

    for _ in range(3):
        wanted, there, ratio = wanted_at(shift)
        use = inside & binary_erosion(there > 0.999, iterations=3)
        shift += shift_between(wanted, read[..., :3], use)
    at_zero, there, ratio = wanted_at(np.zeros(2))
    use = inside & (there > 0.999)
    assert use.mean() > 0.2, "too little to compare"
    assert at_zero[use].std() > 2, "too little to see on it"
    return float(np.hypot(*shift)) * ratio, float(np.abs(read[..., :3] - at_zero)[use].mean())


def shift_between(wanted: np.ndarray, read: np.ndarray, use: np.ndarray | None = None) -> np.ndarray:
    """Rows and columns that `read` lies off, to the first order."""
    use = np.ones(wanted.shape[:2], bool) if use is None else use
    down, right = np.gradient(wanted, axis=(0, 1))
    slopes = np.stack([down[use].ravel(), right[use].ravel()], 1)
    return np.linalg.lstsq(slopes, (read - wanted)[use].ravel(), rcond=None)[0]


def expected(
    values: np.ndarray,
    mask: np.ndarray,
    box: GeoBox,
    affine: Affine,
    to_source: Transformer,
    shift: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Values `[h, w, 3]`, share of data `[h, w]`, and the file's pixels to one of `box`.

    Each pixel of the box is the mean of points in it, each of which is interpolated bilinearly.
    """
    height, width = box.shape
    rows, cols = np.mgrid[:height, :width].astype(float)
    corner = [to_source.transform(*(box.affine @ at)) for at in ((0, 0), (1, 0))]
    (c0, r0), (c1, r1) = (~affine @ at for at in corner)
    ratio = math.hypot(c1 - c0, r1 - r0)
    points = max(1, round(ratio)) if ratio > 1.3 else 1
    present = mask.astype(float)
    total, there = np.zeros((height, width, 3)), np.zeros((height, width))
    for v in (np.arange(points) + 0.5) / points:
        for u in (np.arange(points) + 0.5) / points:
            x, y = to_source.transform(*(box.affine @ (cols + u + shift[1], rows + v + shift[0])))
            col, row = ~affine @ (np.asarray(x), np.asarray(y))
            at = np.stack([row - 0.5, col - 0.5])
            there += map_coordinates(present, at, order=1, mode="constant") / points**2
            for band in range(3):
                plane = values[min(band, len(values) - 1)]
                total[..., band] += map_coordinates(plane, at, order=1, mode="nearest") / points**2
    return total, there, ratio


def row(case: Case, comparison: Comparison) -> str:
    """A line of the table."""
    at = "its own" if case.step_m is None else f"{case.step_m:.2f} m"
    option = case.option[0] and f"`{case.option[0]}`"
    return f"| {case.name} | {at} | {' | '.join(comparison.table_cells())} | {option} |"


if __name__ == "__main__":
    for case in cases():
        print(row(case, measure(case)))
