"""Imagery in one raster file: GeoTIFF, COG, VRT, or any other format of GDAL, local or by URL."""

import math
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from rasterio.enums import ColorInterp, Resampling
from rasterio.vrt import WarpedVRT

from sat2cap.errors import ImageryError
from sat2cap.files import digest
from sat2cap.geo import outline
from sat2cap.imagery.gdal import open_dataset
from sat2cap.imagery.identity import file_glance, file_identity
from sat2cap.imagery.overviews import choose_overview, decimated_transform, find_overviews
from sat2cap.imagery.pixels import (
    PLACED_TO,
    alpha_8bit,
    gsd_m,
    keep_fractions,
    planes_on,
    rgba_planes,
    seam_options,
    source_pixels_per_pixel,
    split_parts,
)
from sat2cap.imagery.protocol import RGBA, ImageryInfo
from sat2cap.imagery.requirements import choose_bands, native_grid, require_usable_values
from sat2cap.imagery.resample import align_grid
from sat2cap.imagery.window import Planes, needed_window, read_bands, read_window, warp_window
from sat2cap.redaction import redact_secrets

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class RasterImagery:
    """An `Imagery` over one raster file; holds no open file, so it can be sent to other processes."""

    path: str = field(repr=False)
    """Path or URL, as GDAL takes it; a URL may hold secrets."""
    bands: tuple[int, ...]
    """Three band numbers from 1 for red, green and blue, or one for grey."""
    stretch: tuple[float, float] | None
    """The values that become 0 and 255; None for 8-bit bands, which are taken unchanged."""
    info: ImageryInfo
    """Provenance."""
    grid: GeoBox
    """The grid of the file's own pixels, at full resolution."""
    overviews: tuple[int, ...]
    """For each overview, in the file or beside it, how many times coarser than full resolution it is."""
    decimated: bool = False
    """Whether overviews hold single pixels instead of means, and so lie a little off their transform."""
    alpha_band: int | None = None
    """Number of the band that is read as alpha; None if there is none, or its mark is not heeded."""
    nodata: float | None = None
    """Nodata value that a catalogue states, for a file that states none itself."""
    asks_full: bool = False
    """Whether only the full resolution says where overviews have no data, see `window.loses_no_data`."""
    dtype: str = "uint8"
    """Type of the file's numbers, as numpy names it."""
    scaling: tuple[float, float] = (1.0, 0.0)
    """Scale and offset that the file states: a stored number times the scale plus the offset is physical."""

    @property
    def footprint(self) -> Geometry:
        """The outline of the file, pixels without data included, in its CRS; in degrees if past 180."""
        return outline(self.grid) if _extends_past_180(self.grid) else self.grid.extent

    def read(self, box: GeoBox) -> "xr.DataArray":
        """Return pixels on exactly `box`, uint8, dims ``(y, x, band)``, bands `RGBA`; alpha 0 is no data.

        Reads the coarsest overview that is at least twice as fine as `box`, or full resolution. A pixel of
        `box` is the mean of the ground that it covers, or where it is smaller than the file's interpolated
        bilinearly. Raises `ImageryError` when the file cannot be read.
        """
        return planes_on(self.read_planes(box), box)

    def read_planes(self, box: GeoBox, *, compiled: bool = True) -> NDArray[np.uint8]:
        """Return what `read` does as planes ``[4, h, w]``; without `compiled` as `AlignedGrid.resample`.

        Raises `ImageryError` when the file cannot be read.
        """
        ratio = source_pixels_per_pixel(self.grid, box)
        factor, level = choose_overview(self._usable_overviews(box), ratio)
        with ExitStack() as opened:
            dataset = opened.enter_context(open_dataset(self.path, level))
            asks_full = self.asks_full and level is not None
            full = opened.enter_context(open_dataset(self.path)) if asks_full else None
            decimated = self.decimated and level is not None
            affine = decimated_transform(self.grid, dataset) if decimated else dataset.transform
            planes = np.empty((len(RGBA), *box.shape), np.uint8)
            for part in split_parts(box, ratio / factor):
                values, alpha = self._read_part(dataset, full, affine, box[part], ratio / factor, compiled)
                planes[:, *part] = rgba_planes(values, alpha, self.stretch)
        return planes

    def _usable_overviews(self, box: GeoBox) -> tuple[int, ...]:
        """Return `overviews`; none where GDAL is to warp them and they do not say where there is no data."""
        crosses = self.asks_full and (_extends_past_180(self.grid) or bool(seam_options(self.grid, box)))
        return () if crosses else self.overviews

    def _read_part(
        self,
        dataset: rasterio.DatasetReader,
        full: rasterio.DatasetReader | None,
        affine: Affine,
        box: GeoBox,
        pixels_per_pixel: float,
        compiled: bool,
    ) -> Planes:
        """Return values and alpha on `box`, by whichever way is the fastest that is right.

        `full` is as in `read_window`; `affine` places the pixels of `dataset`, of which `pixels_per_pixel`
        lie in a pixel of `box`.
        """
        raster = GeoBox(dataset.shape, affine, self.grid.crs)
        seam = seam_options(raster, box)
        if seam or _extends_past_180(self.grid):
            return self._warp_across_180(dataset, affine, box, pixels_per_pixel, seam)
        aligned = align_grid(raster, box)
        window = needed_window(raster, box) if aligned is None else aligned.window
        if window is None or any(first >= end for first, end in window):
            return np.zeros((1, *box.shape), np.uint8), np.zeros(box.shape, np.uint8)
        values, alpha = read_window(dataset, self.bands, self.alpha_band, window, full)
        if self.nodata is not None and dataset.nodata is None:
            alpha[(values == self.nodata).all(0)] = 0
        values = keep_fractions(values, self.stretch)
        if aligned is not None and values.dtype.kind in "iu" and (alpha == 255).all():
            resampled, inside = aligned.resample(values, compiled=compiled)
            return resampled, inside * np.uint8(255)
        (top, _), (left, _) = window
        placed = affine @ Affine.translation(left, top)
        return warp_window((values, alpha), placed, dataset.crs, box, pixels_per_pixel)

    def _warp_across_180(
        self,
        dataset: rasterio.DatasetReader,
        affine: Affine,
        box: GeoBox,
        pixels_per_pixel: float,
        seam: dict[str, float],
    ) -> Planes:
        """Return values and alpha on `box`, read through GDAL, which knows that the Earth is round.

        For a box across the antimeridian, and a file whose longitudes go on past it.
        """
        tagged = marked_alpha_band(dataset)
        if tagged is not None and self.alpha_band is None:
            fix = f"take the mark off: gdal_edit.py -colorinterp_{tagged} undefined FILE"
            raise ImageryError(f"imagery {self.path!r} has an alpha band that is none, at 180 degrees; {fix}")
        undefined = dataset.dtypes[0].startswith("float") and dataset.nodata is None
        hole = self.nodata if dataset.nodata is None else None
        if hole is None and undefined:
            hole = math.nan
        options = {
            "crs": str(box.crs),
            "src_crs": _crs_around_middle(dataset) if _extends_past_180(self.grid) else None,
            "src_transform": affine if affine != dataset.transform else None,
            "transform": box.affine,
            "height": box.shape[0],
            "width": box.shape[1],
            "resampling": Resampling.average if pixels_per_pixel > 2 else Resampling.bilinear,
            "add_alpha": tagged is None,
            "tolerance": PLACED_TO,
            **seam,
            **({} if hole is None else {"src_nodata": hole, "nodata": hole}),
            "UNIFIED_SRC_NODATA": "YES",  # a pixel is a hole if all bands are nodata, not one black channel
        }
        with WarpedVRT(dataset, **options) as warped:
            alpha = alpha_8bit(warped.read(tagged or warped.count))
            return read_bands(warped, self.bands), alpha


def open_raster(
    path: str,
    bands: tuple[int, ...] | None = None,
    *,
    stretch: tuple[float, float] | None = None,
    heed_alpha: bool = True,
    attribution: str | None = None,
    licence: str = "unknown",
    glance: bool = False,
    identity: str | None = None,
    bands_hint: str = "bands 4,3,2",
) -> RasterImagery:
    """Return imagery from a raster file, given its path or URL, or a name of GDAL such as ``GPKG:a.gpkg:t``.

    `bands` are three numbers from 1 (red, green, blue) or one (grey), by default those that the file marks as
    colours. `stretch` gives the values that become 0 and 255, and is needed for bands that are not 8-bit.
    Pixels at the file's nodata value in all bands, outside its mask, fully transparent or not finite are no
    data; a band that is marked as alpha is not transparency if it is in `bands`, or `heed_alpha` is False.
    `attribution` defaults to the file's copyright tag. The identity is a hash of the content; with `glance`
    of the file's size, time and two ends; or `identity`, for a file that is known by its address.
    `bands_hint` is how to choose bands, for a message. Raises `ImageryError` if the file cannot be read, is
    not on Earth, or bands or stretch are missing or wrong.

    Example:
        open_raster("scene.tif", (4, 3, 2), stretch=(0, 3000))
    """
    with open_dataset(path) as dataset:
        colour_bands = choose_bands(path, dataset, bands, bands_hint)
        require_usable_values(path, dataset, colour_bands, stretch)
        grid = native_grid(path, dataset)
        tagged = marked_alpha_band(dataset)
        alpha_band = tagged if heed_alpha and tagged not in colour_bands else None
        if attribution is None:
            attribution = dataset.tags().get("TIFFTAG_COPYRIGHT", "")
        content = _content_hash(path, dataset, glance) if identity is None else identity
        identity = digest(content, repr(colour_bands), repr(stretch and tuple(map(float, stretch))))
        if tagged != alpha_band:
            identity = digest(identity, "alpha not heeded")
        info = ImageryInfo(path, identity, gsd_m(grid), attribution, licence)
        overviews, decimated, asks_full = find_overviews(path, dataset, colour_bands)
        return RasterImagery(
            path,
            colour_bands,
            stretch,
            info,
            grid,
            overviews,
            decimated,
            alpha_band,
            asks_full=asks_full,
            dtype=dataset.dtypes[colour_bands[0] - 1],
            scaling=(dataset.scales[colour_bands[0] - 1], dataset.offsets[colour_bands[0] - 1]),
        )


def marked_alpha_band(dataset: rasterio.DatasetReader) -> int | None:
    """Return the number, from 1, of the band that the file marks as alpha; None if there is none."""
    colours = dataset.colorinterp
    return int(colours.index(ColorInterp.alpha)) + 1 if ColorInterp.alpha in colours else None


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


def _content_hash(path: str, dataset: rasterio.DatasetReader, glance: bool) -> str:
    """Return a hash that changes with the pixels: of the file and its sidecar files.

    Of a ``.aux.xml`` only what changes pixels counts, as programs write statistics into it when they show a
    file. For a remote file it is that of its profile and a small view of it.
    """
    files = [Path(name) for name in dataset.files]
    if files and all(file.is_file() for file in files):
        sidecars = [file for file in files if file.name.endswith(".aux.xml")]
        hashes = [
            file_glance(file) if glance else file_identity(file) for file in files if file not in sidecars
        ]
        if sidecars:
            with rasterio.Env(GDAL_PAM_ENABLED="NO"), open_dataset(path) as alone:
                if _pixel_metadata(alone) != _pixel_metadata(dataset):
                    hashes.append(_pixel_metadata(dataset))
        return digest(*hashes)
    factor = max(dataset.height, dataset.width) / 64
    height, width = max(1, int(dataset.height / factor)), max(1, int(dataset.width / factor))
    view = dataset.read(out_shape=(dataset.count, height, width))
    return digest(redact_secrets(path), repr(sorted(map(str, dataset.profile.items()))), view.tobytes())


def _pixel_metadata(dataset: rasterio.DatasetReader) -> str:
    """Return as text what changes how the values of a file are read: nodata, grid, CRS, marks of bands."""
    crs = "" if dataset.crs is None else dataset.crs.to_wkt()
    return repr((dataset.nodatavals, tuple(dataset.transform), crs, dataset.colorinterp))
