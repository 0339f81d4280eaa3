"""Imagery in one raster file: GeoTIFF, COG, VRT, or any other format of GDAL, local or by URL."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.vrt import WarpedVRT

from sat2cap.errors import ImageryError
from sat2cap.files import digest
from sat2cap.geo import outline
from sat2cap.imagery.gdal import open_dataset
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
from sat2cap.imagery.requirements import choose_bands, native_grid, require_usable_values
from sat2cap.imagery.resample import Window, align_grid

_AVERAGE_ABOVE = 2.0  # pixels of the file per pixel read; below it bilinear interpolation sees all of them
Planes = tuple[NDArray[Any], NDArray[Any]]
"""Bands ``[B, h, w]`` and their alpha ``[h, w]``, in the dtype of the file."""


@dataclass(frozen=True)
class RasterImagery:
    """An `Imagery` over one raster file; holds no open file, so it can be sent to other processes."""

    path: str
    """Path or URL, as GDAL takes it."""
    bands: tuple[int, ...]
    """Three band numbers from 1 for red, green and blue, or one for grey."""
    stretch: tuple[float, float] | None
    """The values that become 0 and 255; None for 8-bit bands, which are taken unchanged."""
    info: ImageryInfo
    """Provenance."""
    grid: GeoBox
    """The grid of the file's own pixels, at full resolution."""
    overviews: tuple[int, ...]
    """For each overview in the file, how many times coarser than full resolution it is."""
    decimated: bool = False
    """Whether overviews hold single pixels instead of means, and so lie a little off their transform."""

    @property
    def footprint(self) -> Geometry:
        """The outline of the file, pixels without data included, in its CRS; in degrees if past 180."""
        return outline(self.grid) if _extends_past_180(self.grid) else self.grid.extent

    def read(self, box: GeoBox) -> xr.DataArray:
        """Return pixels on exactly `box`, uint8, dims ``(y, x, band)``, bands `RGBA`; alpha 0 is no data.

        Reads the coarsest overview that is fine enough, by bilinear interpolation, or averages the pixels in
        each pixel of `box` if it is more than twice as fine. Raises `ImageryError` when the file cannot be
        read.
        """
        ratio = source_pixels_per_pixel(self.grid, box)
        factor, level = choose_overview(self.overviews, ratio)
        coarse = ratio / factor > _AVERAGE_ABOVE
        with open_dataset(self.path, level) as dataset:
            past_180 = _extends_past_180(self.grid)
            decimated = self.decimated and level is not None
            affine = decimated_transform(self.grid, dataset) if decimated else dataset.transform
            planes = np.empty((len(RGBA), *box.shape), np.uint8)
            for part in split_parts(box):
                part_planes = None if coarse or past_180 else self._resample(dataset, affine, box[part])
                part_planes = part_planes or self._warp(dataset, affine, box[part], coarse, factor)
                planes[:, *part] = rgba_planes(*part_planes, self.stretch)
        return planes_on(planes, box)

    def _resample(self, dataset: rasterio.DatasetReader, affine: Affine, box: GeoBox) -> Planes | None:
        """Read by `AlignedGrid.resample`; None where `box` is turned, or something under it is no data."""
        aligned = align_grid(GeoBox(dataset.shape, affine, self.grid.crs), box)
        dtype = np.dtype(dataset.dtypes[self.bands[0] - 1])
        if aligned is None or dtype.kind not in "iu":
            return None
        if not _all_valid(dataset, self.bands, aligned.window):
            return None
        colours, inside = aligned.resample(dataset.read(self.bands, window=aligned.window))
        return colours, inside * dtype.type(np.iinfo(dtype).max)

    def _warp(
        self, dataset: rasterio.DatasetReader, affine: Affine, box: GeoBox, coarse: bool, factor: int
    ) -> Planes:
        """Read by GDAL's warper, which handles every orientation, CRS and kind of no data."""
        undefined = dataset.dtypes[0].startswith("float") and dataset.nodata is None
        options = {
            "crs": str(box.crs),
            "src_crs": _crs_around_middle(dataset) if _extends_past_180(self.grid) else None,
            "src_transform": affine if affine != dataset.transform else None,
            "transform": box.affine,
            "height": box.shape[0],
            "width": box.shape[1],
            "resampling": Resampling.average if coarse else Resampling.bilinear,
            "add_alpha": _alpha_band(dataset) is None,
            "tolerance": PLACED_TO,
            **seam_options(self.grid.zoom_out(factor), box),
            **({"src_nodata": math.nan, "nodata": math.nan} if undefined else {}),
            "UNIFIED_SRC_NODATA": "YES",  # a pixel is a hole if all bands are nodata, not one black channel
        }
        with WarpedVRT(dataset, **options) as warped:
            planes = warped.read([*self.bands, _alpha_band(dataset) or warped.count])
        return planes[:-1], planes[-1]


def open_raster(
    path: str,
    bands: tuple[int, ...] | None = None,
    *,
    stretch: tuple[float, float] | None = None,
    attribution: str | None = None,
    licence: str = "unknown",
    glance: bool = False,
) -> RasterImagery:
    """Return imagery from a raster file, given its path or URL.

    `bands` are three numbers from 1 (red, green, blue) or one (grey), by default those that the file marks as
    colours. `stretch` gives the values that become 0 and 255, and is needed for bands that are not 8-bit.
    Pixels at the file's nodata value in all bands, outside its mask, fully transparent or NaN are no data.
    `attribution` defaults to the file's copyright tag. With `glance` the identity is that of the file's size,
    time and two ends. Raises `ImageryError` if the file cannot be read, is not on Earth, or bands or stretch
    are missing or wrong.

    Example:
        open_raster("scene.tif", (4, 3, 2), stretch=(0, 3000))
    """
    if "://" not in path and not path.startswith("/vsi") and not Path(path).exists():
        raise ImageryError(f"imagery {path!r}: there is no such file; check the path")
    with open_dataset(path) as dataset:
        colour_bands = choose_bands(path, dataset, bands)
        require_usable_values(path, dataset, colour_bands, stretch)
        grid = native_grid(path, dataset)
        if attribution is None:
            attribution = dataset.tags().get("TIFFTAG_COPYRIGHT", "")
        content, stretch_values = _content_hash(path, dataset, glance), stretch and tuple(map(float, stretch))
        identity = digest(content, repr(colour_bands), repr(stretch_values))
        overviews = tuple(dataset.overviews(colour_bands[0]))
        decimated = False
        if overviews:
            with open_dataset(path, 0) as finest:
                decimated = are_decimated(dataset, finest, colour_bands[0])
    info = ImageryInfo(path, identity, gsd_m(grid), attribution, licence)
    return RasterImagery(path, colour_bands, stretch, info, grid, overviews, decimated)


def _extends_past_180(grid: GeoBox) -> bool:
    """Return whether longitudes go on past the antimeridian, as in files across it, or from 0 to 360."""
    edge = grid.extent.boundingbox
    return bool(grid.crs.geographic) and (edge.left < -180 or edge.right > 180)


def _crs_around_middle(dataset: rasterio.DatasetReader) -> rasterio.CRS:
    """Return the file's CRS with longitudes counted around the file's middle.

    GDAL would look for a place at its longitude within -180 to 180, where such a file has no pixels.
    """
    middle = (dataset.bounds.left + dataset.bounds.right) / 2
    return rasterio.CRS.from_proj4(f"{dataset.crs.to_proj4()} +lon_wrap={middle!r}")


def _alpha_band(dataset: rasterio.DatasetReader) -> int | None:
    """Return the number of the alpha band, from 1; None if the file has none."""
    colours = dataset.colorinterp
    return int(colours.index(ColorInterp.alpha)) + 1 if ColorInterp.alpha in colours else None


def _all_valid(dataset: rasterio.DatasetReader, bands: tuple[int, ...], window: Window) -> bool:
    """Return whether every pixel of a window has data and is fully opaque."""
    alpha_band = _alpha_band(dataset)
    if alpha_band is not None:
        alpha = dataset.read(alpha_band, window=window)
        return bool((alpha == np.iinfo(alpha.dtype).max).all())
    if all(dataset.mask_flag_enums[band - 1] == [MaskFlags.all_valid] for band in bands):
        return True
    return bool((dataset.dataset_mask(window=window) == 255).all())


def _content_hash(path: str, dataset: rasterio.DatasetReader, glance: bool) -> str:
    """Return a hash that changes with the pixels: of the file and its sidecar files.

    For a remote file it is that of its profile and a small view of it.
    """
    files = [Path(name) for name in dataset.files]
    if files and all(file.is_file() for file in files):
        return digest(*(file_glance(file) if glance else file_identity(file) for file in files))
    factor = max(dataset.height, dataset.width) / 64
    height, width = max(1, int(dataset.height / factor)), max(1, int(dataset.width / factor))
    view = dataset.read(out_shape=(dataset.count, height, width))
    return digest(path, repr(sorted(map(str, dataset.profile.items()))), view.tobytes())
