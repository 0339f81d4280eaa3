"""Imagery in a file: GeoTIFF, COG, VRT, or anything else GDAL opens, local or by URL."""

import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from pyproj.exceptions import ProjError
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT

from sat2cap.errors import ImageryError
from sat2cap.files import digest
from sat2cap.geo import LONLAT, outline, transformer
from sat2cap.imagery.identity import file_glance, file_identity
from sat2cap.imagery.overviews import are_decimated, choose_overview, decimated_transform
from sat2cap.imagery.pixels import (
    PLACED_TO,
    gsd_m,
    planes_on,
    rgba_planes,
    seam_options,
    source_pixels_per_pixel,
    split_parts,
)
from sat2cap.imagery.protocol import RGBA, ImageryInfo
from sat2cap.imagery.resample import Window, align_grid

_AVERAGE_ABOVE = 2.0  # source pixels to one asked for; below it bilinear sees them all
RETRIES = {
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": 1,
    "GDAL_HTTP_TIMEOUT": 60,
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
}
"""How GDAL treats servers; seconds."""

_GDAL = RETRIES | {
    "GDAL_CACHEMAX": 256 * 2**20,  # bytes; by default a share of the machine's memory
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # over HTTP, listing a folder is a request for nothing
}
Planes = tuple[NDArray[Any], NDArray[Any]]
"""Bands `[B, h, w]` and their alpha `[h, w]`, as values of the file."""

_COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


@dataclass(frozen=True)
class RasterImagery:
    """An `Imagery` over one raster file; holds no open file, so it can be sent to other processes."""

    path: str
    """Path or URL, as GDAL takes it."""
    bands: tuple[int, ...]
    """Three band numbers from 1 for red, green and blue, or one for grey."""
    stretch: tuple[float, float] | None
    """The values shown as 0 and 255; None for 8-bit bands, taken as they are."""
    info: ImageryInfo
    """Provenance."""
    grid: GeoBox
    """The file's own pixels at full resolution."""
    overviews: tuple[int, ...]
    """How many times coarser each overview in the file is."""
    decimated: bool = False
    """Whether overviews hold single pixels, not means, and so lie a little off where they say."""

    @property
    def footprint(self) -> Geometry:
        """The outline of the file's pixels, empty ones included, in its CRS; degrees are within 180."""
        return outline(self.grid) if _beyond_180(self.grid) else self.grid.extent

    def read(self, box: GeoBox) -> xr.DataArray:
        """Pixels on exactly `box`, uint8, dims ``(y, x, band)``, bands `RGBA`; alpha 0 is no data.

        Reads the overview just finer than asked; bilinear, or the average of what falls in a pixel when the
        file is more than twice as fine. Raises `ImageryError` when the file cannot be read.
        """
        ratio = source_pixels_per_pixel(self.grid, box)
        factor, level = choose_overview(self.overviews, ratio)
        coarse = ratio / factor > _AVERAGE_ABOVE
        with _opened(self.path, level) as source:
            beyond = _beyond_180(self.grid)
            decimated = self.decimated and level is not None
            placed = decimated_transform(self.grid, source) if decimated else source.transform
            planes = np.empty((len(RGBA), *box.shape), np.uint8)
            for part in split_parts(box):
                found = None if coarse or beyond else self._resampled(source, placed, box[part])
                found = found or self._warped(source, placed, box[part], coarse, factor)
                planes[:, *part] = rgba_planes(*found, self.stretch)
        return planes_on(planes, box)

    def _resampled(self, source: rasterio.DatasetReader, placed: Affine, box: GeoBox) -> Planes | None:
        """Without GDAL's cost; None where `box` is turned, or something under it is no data."""
        lattice = align_grid(GeoBox(source.shape, placed, self.grid.crs), box)
        kind = np.dtype(source.dtypes[self.bands[0] - 1])
        if lattice is None or kind.kind not in "iu":
            return None
        if not _all_valid(source, self.bands, lattice.window):
            return None
        colours, inside = lattice.resample(source.read(self.bands, window=lattice.window))
        return colours, inside * kind.type(np.iinfo(kind).max)

    def _warped(
        self, source: rasterio.DatasetReader, placed: Affine, box: GeoBox, coarse: bool, factor: int
    ) -> Planes:
        """By GDAL, whatever there is."""
        undefined = source.dtypes[0].startswith("float") and source.nodata is None
        options = {
            "crs": str(box.crs),
            "src_crs": _turned(source) if _beyond_180(self.grid) else None,
            "src_transform": placed if placed != source.transform else None,
            "transform": box.affine,
            "height": box.shape[0],
            "width": box.shape[1],
            "resampling": Resampling.average if coarse else Resampling.bilinear,
            "add_alpha": _alpha_band(source) is None,
            "tolerance": PLACED_TO,
            **seam_options(self.grid.zoom_out(factor), box),
            **({"src_nodata": math.nan, "nodata": math.nan} if undefined else {}),
            "UNIFIED_SRC_NODATA": "YES",  # a black channel is no hole; all bands at nodata are
        }
        with WarpedVRT(source, **options) as warped:
            found = warped.read([*self.bands, _alpha_band(source) or warped.count])
        return found[:-1], found[-1]


def open_raster(
    path: str,
    bands: tuple[int, ...] | None = None,
    *,
    stretch: tuple[float, float] | None = None,
    attribution: str | None = None,
    licence: str = "unknown",
    glance: bool = False,
) -> RasterImagery:
    """Imagery from a raster file.

    `bands`: three band numbers from 1 (red, green, blue) or one (grey); found by colour when left out.
    `stretch`: the two values to show as 0 and 255, needed for bands that are not 8-bit. Pixels at the file's
    nodata value, outside its mask, fully transparent or NaN are no data. `attribution` defaults to the file's
    copyright tag. With `glance` its identity is that of its size, time and two ends. Raises `ImageryError`.
    """
    if "://" not in path and not path.startswith("/vsi") and not Path(path).exists():
        raise ImageryError(f"imagery {path!r}: there is no such file; check the path")
    with _opened(path) as source:
        chosen = _choose_bands(path, source, bands)
        _check_values(path, source, chosen, stretch)
        grid = _native_grid(path, source)
        credit = source.tags().get("TIFFTAG_COPYRIGHT", "") if attribution is None else attribution
        identity = digest(
            _content(path, source, glance), repr(chosen), repr(stretch and tuple(map(float, stretch)))
        )
        overviews = tuple(source.overviews(chosen[0]))
        decimated = False
        if overviews:
            with _opened(path, 0) as finest:
                decimated = are_decimated(source, finest, chosen[0])
    info = ImageryInfo(path, identity, gsd_m(grid), credit, licence)
    return RasterImagery(path, chosen, stretch, info, grid, overviews, decimated)


@contextmanager
def _opened(path: str, level: int | None = None) -> Iterator[rasterio.DatasetReader]:
    """The open file, at an overview level; whatever goes wrong inside is an `ImageryError`."""
    options = {} if level is None else {"overview_level": level}
    try:
        with rasterio.Env(**{**_GDAL, **_given()}):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # _native_grid says it better
                source = rasterio.open(path, **options)
            with source:
                yield source
    except RasterioError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        public = "for a public bucket, set AWS_NO_SIGN_REQUEST=YES"
        fix = public if "AWS_NO_SIGN_REQUEST" in reason else "check it with gdalinfo"
        raise ImageryError(f"imagery {path!r} cannot be read ({reason}); {fix}") from None


def _given() -> dict[str, str]:
    """What the user has set in the environment goes before what is set here."""
    return {name: os.environ[name] for name in _GDAL if name in os.environ}


def _choose_bands(
    path: str, source: rasterio.DatasetReader, bands: tuple[int, ...] | None
) -> tuple[int, ...]:
    if bands is not None:
        if len(bands) not in (1, 3) or not all(1 <= band <= source.count for band in bands):
            rule = f"the file has bands 1 to {source.count}, one or three may be chosen"
            raise ImageryError(f"imagery {path!r}, bands {bands}: {rule}; give red,green,blue such as 3,2,1")
        return tuple(bands)
    colours = source.colorinterp
    if ColorInterp.palette in colours:
        fix = "expand it first: gdal_translate -expand rgb IN OUT"
        raise ImageryError(f"imagery {path!r} has a colour table, whose numbers are not colours; {fix}")
    if all(colour in colours for colour in _COLOURS):
        return tuple(colours.index(colour) + 1 for colour in _COLOURS)
    plain = [band for band, colour in enumerate(colours, 1) if colour != ColorInterp.alpha]
    if len(plain) not in (1, 3):
        rule = f"{len(plain)} bands, none marked red, green and blue"
        raise ImageryError(f"imagery {path!r} has {rule}; say which to use, such as bands 4,3,2")
    return tuple(plain)


def _check_values(
    path: str, source: rasterio.DatasetReader, bands: tuple[int, ...], stretch: tuple[float, float] | None
) -> None:
    kinds = {source.dtypes[band - 1] for band in bands}
    if any(kind.startswith("complex") for kind in kinds):
        fix = "make its magnitude an image of its own first"
        raise ImageryError(f"imagery {path!r} holds complex numbers, which are no colours; {fix}")
    if stretch is not None:
        if not (all(math.isfinite(value) for value in stretch) and stretch[0] < stretch[1]):
            rule = "must be two numbers, the lower first"
            raise ImageryError(f"imagery {path!r}: stretch {stretch} {rule}; such as 0,3000")
        return
    if kinds != {"uint8"}:
        fix = "give a stretch such as 0,3000, or copy it: gdal_translate -ot Byte -scale 0 3000 0 255 IN OUT"
        raise ImageryError(f"imagery {path!r} is {', '.join(sorted(kinds))}, not 8-bit (uint8); {fix}")


def _native_grid(path: str, source: rasterio.DatasetReader) -> GeoBox:
    points, _ = source.gcps
    if points and source.transform.is_identity:
        fix = "straighten it first: gdalwarp -r bilinear IN OUT"
        raise ImageryError(f"imagery {path!r} has {len(points)} ground control points and no grid; {fix}")
    if source.rpcs is not None and source.transform.is_identity:
        fix = "straighten it with heights: gdalwarp -rpc -to RPC_DEM=HEIGHTS IN OUT"
        raise ImageryError(f"imagery {path!r} has a camera model (RPC) and no grid; {fix}")
    if source.crs is None:
        fix = "assign one: gdal_translate -a_srs EPSG:CODE IN OUT"
        raise ImageryError(f"imagery {path!r} has no CRS, so no place on Earth; {fix}")
    if source.transform.is_identity:
        fix = "georeference it first, for example in QGIS"
        raise ImageryError(f"imagery {path!r} has a CRS but no geotransform, so no place on Earth; {fix}")
    grid = GeoBox(source.shape, source.transform, CRS(source.crs))
    try:
        transformer(grid.crs, LONLAT)
    except ProjError:
        fix = "assign the one it is in: gdal_translate -a_srs EPSG:CODE IN OUT"
        raise ImageryError(f"imagery {path!r} is in a CRS that has no place on Earth; {fix}") from None
    return grid


def _beyond_180(grid: GeoBox) -> bool:
    """Whether longitudes go on past the antimeridian, as in files around it, or from 0 to 360."""
    edge = grid.extent.boundingbox
    return bool(grid.crs.geographic) and (edge.left < -180 or edge.right > 180)


def _turned(source: rasterio.DatasetReader) -> rasterio.CRS:
    """The file's CRS, its longitudes counted around the file's middle; GDAL itself looks within 180."""
    middle = (source.bounds.left + source.bounds.right) / 2
    return rasterio.CRS.from_proj4(f"{source.crs.to_proj4()} +lon_wrap={middle!r}")


def _alpha_band(source: rasterio.DatasetReader) -> int | None:
    """The number of the alpha band, None when the file marks what is missing otherwise or not at all."""
    colours = source.colorinterp
    return int(colours.index(ColorInterp.alpha)) + 1 if ColorInterp.alpha in colours else None


def _all_valid(source: rasterio.DatasetReader, bands: tuple[int, ...], window: Window) -> bool:
    """Whether every pixel of a window has data, entirely."""
    alpha = _alpha_band(source)
    if alpha is not None:
        values = source.read(alpha, window=window)
        return bool((values == np.iinfo(values.dtype).max).all())
    if all(source.mask_flag_enums[band - 1] == [MaskFlags.all_valid] for band in bands):
        return True
    return bool((source.dataset_mask(window=window) == 255).all())


def _content(path: str, source: rasterio.DatasetReader, glance: bool) -> str:
    """A hash that changes when the pixels do: of the file and its side files, or of a small view."""
    files = [Path(name) for name in source.files]
    if not files or not all(file.is_file() for file in files):  # remote: its profile and a small view of it
        factor = max(source.height, source.width) / 64
        shape = (source.count, max(1, int(source.height / factor)), max(1, int(source.width / factor)))
        return digest(
            path, repr(sorted(map(str, source.profile.items()))), source.read(out_shape=shape).tobytes()
        )
    return digest(*(file_glance(file) if glance else file_identity(file) for file in files))
