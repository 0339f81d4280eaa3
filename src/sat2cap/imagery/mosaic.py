"""Imagery in a folder of raster files that lie beside or over each other."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import rasterio
import shapely
import xarray as xr
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from rasterio.drivers import raster_driver_extensions

from sat2cap.errors import ImageryError
from sat2cap.files import digest
from sat2cap.geo import LONLAT, divide_long_edges, outline
from sat2cap.imagery.bands import DEFAULT_RENDERING, BandRendering
from sat2cap.imagery.formats import reads_elsewhere
from sat2cap.imagery.gdal import is_georeferenced
from sat2cap.imagery.pixels import as_imagery
from sat2cap.imagery.protocol import ImageryInfo
from sat2cap.imagery.raster import RasterImagery, open_raster

SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img", ".png", ".jpg", ".jpeg")
"""Suffixes of the files in a folder that are read as imagery; a picture needs a world file beside it."""

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
_MAX_NAMED = 5  # files in an error message
_MARGIN = 2  # pixels around a file, for the interpolation at its edges


@dataclass(frozen=True)
class MosaicImagery:
    """An `Imagery` over many rasters; where several have pixels, the first of `files` is used.

    Only outlines are kept in memory; a read opens the files that it touches.
    """

    files: tuple[RasterImagery, ...]
    """In order of precedence: the finest first, then by name."""
    info: ImageryInfo
    """Provenance; its `gsd_m` is that of the finest file."""
    skipped: tuple[str, ...] = ()
    """Files in the folder that are left out, each with its reason."""

    @cached_property
    def footprint(self) -> Geometry:
        """The outlines of all files together, in degrees."""
        return Geometry(shapely.union_all([outline(file.grid).geom for file in self.files]), LONLAT)

    def read(self, box: GeoBox) -> xr.DataArray:
        """Return pixels on exactly `box`, uint8, dims ``(y, x, band)``, bands `RGBA`; alpha 0 is no data.

        Raises `ImageryError` when a file that is needed cannot be read.
        """
        pixels = np.zeros((*box.shape, 4), np.uint8)
        for file in self._files_under(box):
            window = covered_window(box, file.grid)
            if window is None or (pixels[(*window, 3)] > 0).all():
                continue
            file_pixels, merged = file.read(box[window]).values, pixels[window]
            uncovered = merged[..., 3] == 0
            merged[uncovered] = file_pixels[uncovered]
        bands = np.moveaxis(pixels, -1, 0)
        return as_imagery(bands[:3], bands[3], None, box)

    @cached_property
    def _bounds_by_crs(self) -> dict[CRS, tuple[NDArray[np.intp], NDArray[np.float64]]]:
        """For each CRS, its files' indices ``[N]`` and edges ``[N, (left, bottom, right, top)]``."""
        by_crs: dict[CRS, tuple[list[int], list[tuple[float, ...]]]] = {}
        for number, file in enumerate(self.files):
            numbers, edges = by_crs.setdefault(file.grid.crs, ([], []))
            numbers.append(number)
            edges.append(file.grid.extent.boundingbox.bbox)
        return {crs: (np.array(numbers), np.array(edges)) for crs, (numbers, edges) in by_crs.items()}

    def _files_under(self, box: GeoBox) -> list[RasterImagery]:
        """Return the files that may touch `box`, in order of precedence."""
        near: list[int] = []
        for crs, (numbers, edges) in self._bounds_by_crs.items():
            longest = box.extent.boundingbox.span_x / 16
            extent = divide_long_edges(box.extent, longest).to_crs(crs).boundingbox
            apart = (
                (edges[:, 0] > extent.right)
                | (edges[:, 2] < extent.left)
                | (edges[:, 1] > extent.top)
                | (edges[:, 3] < extent.bottom)
            )
            near += numbers[~apart].tolist()
        return [self.files[number] for number in sorted(near)]


def open_folder(
    folder: str,
    rendering: BandRendering = DEFAULT_RENDERING,
    attribution: str | None = None,
    licence: str = "unknown",
) -> MosaicImagery:
    """Return all imagery in a folder and its subfolders as one mosaic.

    Every file is opened once, to learn where it lies. Hidden files, such as the ``._`` files of macOS, are
    left out, as are pictures without a place on Earth, rasters of other suffixes, and lists (VRT) of files
    that lie elsewhere; `skipped` names them.
    Raises `ImageryError` if the folder holds no imagery, or a file, which it names, cannot be read.
    """
    paths, skipped = _list_rasters(Path(folder))
    files = []
    for path in paths:
        if path.suffix.lower() in _PICTURE_SUFFIXES and not is_georeferenced(str(path)):
            skipped.append(f"{path.relative_to(folder)} (a picture without a place on Earth)")
        elif path.suffix.lower() == ".vrt" and reads_elsewhere(path, Path(folder)):
            skipped.append(f"{path.relative_to(folder)} (reads what is elsewhere; name the file itself)")
        else:
            files.append(_open_file(folder, path, rendering, attribution, licence))
    if not files:
        named = f" (left out: {', '.join(skipped[:_MAX_NAMED])})" if skipped else ""
        raise ImageryError(f"imagery folder {folder!r} has no {', '.join(SUFFIXES)}{named}; check the path")
    _require_one_kind_of_numbers(folder, files)
    files = _with_equal_brightness(sorted(files, key=lambda file: (file.info.gsd_m, file.path)))
    identity = digest("mosaic", *(file.info.identity for file in files))
    if any(file.stretch != rendering.stretch for file in files):
        identity = digest(identity, repr([file.stretch for file in files]))
    credits_ = "; ".join(sorted({file.info.attribution for file in files} - {""}))
    info = ImageryInfo(folder, identity, files[0].info.gsd_m, credits_, licence)
    return MosaicImagery(tuple(files), info, tuple(skipped))


def _require_one_kind_of_numbers(folder: str, files: list[RasterImagery]) -> None:
    """Raise `ImageryError` for files of 8 bits, of larger whole numbers and of floats under one stretch."""
    first_by_kind: dict[str, RasterImagery] = {}
    for file in files:
        kind = file.dtype if file.dtype == "uint8" else "float" if "float" in file.dtype else "whole"
        first_by_kind.setdefault(kind, file)
    if len(first_by_kind) > 1 and any(file.stretch is not None for file in files):
        named = ", ".join(f"{Path(file.path).name} is {file.dtype}" for file in first_by_kind.values())
        rule = "for which no one stretch is right; give each kind a folder, or make them 8-bit"
        raise ImageryError(f"imagery folder {folder!r} has numbers of several kinds ({named}), {rule}")


def _with_equal_brightness(files: list[RasterImagery]) -> list[RasterImagery]:
    """Return files whose stretches show equal physical values equally, by the scale and offset of each.

    The stretch that was given is in the stored numbers of most files.
    """
    scale, offset = Counter(file.scaling for file in files).most_common(1)[0][0]
    adjusted = []
    for file in files:
        own_scale, own_offset = file.scaling
        if file.stretch is None or file.scaling == (scale, offset) or not own_scale:
            adjusted.append(file)
            continue
        low, high = ((value * scale + offset - own_offset) / own_scale for value in file.stretch)
        adjusted.append(replace(file, stretch=(low, high)))
    return adjusted


def _list_rasters(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the imagery files below a folder, sorted, and the names and reasons of files left out."""
    paths, skipped = [], []
    try:
        found = sorted(folder.rglob("*"))
    except OSError as error:  # a folder in it that is gone or cannot be listed
        raise ImageryError(
            f"imagery folder {str(folder)!r} cannot be listed ({error.strerror}); give a folder of imagery"
        ) from None
    for path in found:
        name, suffix = path.relative_to(folder), path.suffix.lower()
        if not path.is_file() or (suffix not in SUFFIXES and suffix not in _other_raster_suffixes()):
            continue
        if any(part.startswith(".") for part in name.parts):
            skipped.append(f"{name} (hidden)")
        elif suffix not in SUFFIXES:
            skipped.append(f"{name} (not one of {', '.join(SUFFIXES)}; name the file itself)")
        else:
            paths.append(path)
    return paths, skipped


@lru_cache
def _other_raster_suffixes() -> frozenset[str]:
    """Return the suffixes of GDAL's formats that hold imagery, without those of sidecars and tables."""
    with rasterio.Env():
        suffixes = {f".{name}" for name in raster_driver_extensions()}
    return frozenset(suffixes) & {".ecw", ".sid", ".nc", ".h5", ".hdf", ".grd", ".asc", ".dem", ".mbtiles"}


def _open_file(
    folder: str, path: Path, rendering: BandRendering, attribution: str | None, licence: str
) -> RasterImagery:
    """Open one file of the folder, with the folder's bands and stretch."""
    try:
        return open_raster(
            str(path),
            rendering.bands,
            stretch=rendering.stretch,
            heed_alpha=rendering.heed_alpha,
            attribution=attribution,
            licence=licence,
            glance=True,
        )
    except ImageryError as error:
        raise ImageryError(f"{error}, or take it out of folder {folder!r}") from None


def covered_window(box: GeoBox, grid: GeoBox) -> tuple[slice, slice] | None:
    """Return ``(rows, columns)`` of `box` that `grid` may reach, or None if it reaches none."""
    edge = grid.extent.boundingbox
    longest = max(edge.span_x, edge.span_y) / 32
    bounds = divide_long_edges(grid.extent, longest).to_crs(box.crs).boundingbox
    corners = [(x, y) for x in (bounds.left, bounds.right) for y in (bounds.bottom, bounds.top)]
    if not np.isfinite(corners).all():
        return slice(0, box.shape[0]), slice(0, box.shape[1])
    cols, rows = zip(*(~box.affine @ corner for corner in corners), strict=True)
    spans = []
    for values, size in ((rows, box.shape[0]), (cols, box.shape[1])):
        first, last = int(np.floor(min(values))) - _MARGIN, int(np.ceil(max(values))) + _MARGIN
        first, last = max(first, 0), min(last, size)
        if first >= last:
            return None
        spans.append(slice(first, last))
    return spans[0], spans[1]
