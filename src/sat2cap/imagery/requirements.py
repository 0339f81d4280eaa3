"""What a raster must have to be read: bands that are colours, values that fit 8 bits, a grid on Earth."""

import math
import re

import rasterio
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pyproj.exceptions import ProjError
from rasterio.enums import ColorInterp

from sat2cap.errors import ImageryError
from sat2cap.geo import LONLAT, transformer
from sat2cap.imagery.pixels import gsd_m

_MAX_NAMED = 5  # rasters of a file, in a message
_COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


def choose_bands(
    path: str, dataset: rasterio.DatasetReader, bands: tuple[int, ...] | None, hint: str = "bands 4,3,2"
) -> tuple[int, ...]:
    """Return the band numbers, from 1, of red, green and blue, or of grey.

    `bands` are those that the user has chosen; None looks for them by the colours that the file marks. `hint`
    is how to choose others. Raises `ImageryError` if `bands` do not exist, or which to use is not clear.
    """
    if bands is not None:
        if len(bands) not in (1, 3) or not all(1 <= band <= dataset.count for band in bands):
            rule = f"the file has bands 1 to {dataset.count}, one or three may be chosen"
            raise ImageryError(f"imagery {path!r}, bands {bands}: {rule}; give red,green,blue such as 3,2,1")
        return tuple(bands)
    colours = dataset.colorinterp
    if ColorInterp.palette in colours:
        fix = "expand it first: gdal_translate -expand rgb IN OUT"
        raise ImageryError(f"imagery {path!r} has a colour table, whose numbers are not colours; {fix}")
    if all(colour in colours for colour in _COLOURS):
        return tuple(colours.index(colour) + 1 for colour in _COLOURS)
    if not colours:
        raise ImageryError(f"imagery {path!r} has no bands of its own{_name_subdatasets(dataset)}")
    plain = [band for band, colour in enumerate(colours, 1) if colour != ColorInterp.alpha]
    if len(plain) not in (1, 3):
        rule = f"{len(plain)} bands, none marked red, green and blue"
        raise ImageryError(f"imagery {path!r} has {rule}; say which to use, such as {hint}")
    return tuple(plain)


def _name_subdatasets(dataset: rasterio.DatasetReader) -> str:
    """Return the advice for a file that only holds other rasters: their names, as GDAL takes them."""
    names = dataset.subdatasets
    if not names:
        return "; give a raster"
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"; it holds {len(names)} rasters, give one of them: {', '.join(names[:_MAX_NAMED])}{more}"


def require_usable_values(
    path: str, dataset: rasterio.DatasetReader, bands: tuple[int, ...], stretch: tuple[float, float] | None
) -> None:
    """Raise `ImageryError` if the values of `bands` are no colours, or need another stretch than is given."""
    kinds = {dataset.dtypes[band - 1] for band in bands}
    if any(kind.startswith("complex") for kind in kinds):
        fix = "make its magnitude an image of its own first"
        raise ImageryError(f"imagery {path!r} holds complex numbers, which are no colours; {fix}")
    if dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES":
        fix = "turn them round first: gdal_translate -scale 0 255 255 0 IN OUT"
        raise ImageryError(f"imagery {path!r} stores white as 0 and black as its largest value; {fix}")
    if stretch is not None:
        _require_usable_stretch(path, dataset, bands, stretch)
        return
    bits = min(_stated_bits(dataset, band) for band in bands)
    if kinds == {"uint8"} and bits < 8:
        fix = f"give the stretch 0,{2**bits - 1}"
        raise ImageryError(f"imagery {path!r} has values of {bits} bits, 0 to {2**bits - 1}, not of 8; {fix}")
    if kinds != {"uint8"}:
        fix = "give a stretch such as 0,3000, or copy it: gdal_translate -ot Byte -scale 0 3000 0 255 IN OUT"
        raise ImageryError(f"imagery {path!r} is {', '.join(sorted(kinds))}, not 8-bit (uint8); {fix}")


def _stated_bits(dataset: rasterio.DatasetReader, band: int) -> int:
    """Return how many bits a value of a band has, at most 8, by what the file states."""
    text = dataset.tags(band, ns="IMAGE_STRUCTURE").get("NBITS", "")
    return int(text) if re.fullmatch("[1-7]", text) else 8


def _require_usable_stretch(
    path: str, dataset: rasterio.DatasetReader, bands: tuple[int, ...], stretch: tuple[float, float]
) -> None:
    """Raise `ImageryError` if a stretch is none, or tells no two stored values of whole numbers apart."""
    low, high = stretch
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        rule = "must be two numbers, the lower first"
        raise ImageryError(f"imagery {path!r}: stretch {stretch} {rule}; such as 0,3000")
    if high - low >= 1 or any(dataset.dtypes[band - 1].startswith("float") for band in bands):
        return
    scale, offset = dataset.scales[bands[0] - 1], dataset.offsets[bands[0] - 1]
    fix = "give stored numbers, such as 0,3000"
    if (scale, offset) != (1.0, 0.0) and scale > 0:
        stored = ",".join(f"{(value - offset) / scale:.6g}" for value in stretch)
        fix = f"by its scale {scale:g} and offset {offset:g} that is {stored} of those; give these"
    rule = "the file stores whole numbers, which it does not tell apart"
    raise ImageryError(f"imagery {path!r}: stretch {low:g},{high:g}: {rule}; {fix}")


def native_grid(path: str, dataset: rasterio.DatasetReader) -> GeoBox:
    """Return the grid of the file's own pixels. Raises `ImageryError` if it has no place on Earth."""
    points, _ = dataset.gcps
    if points and dataset.transform.is_identity:
        fix = "straighten it first: gdalwarp -r bilinear IN OUT"
        raise ImageryError(f"imagery {path!r} has {len(points)} ground control points and no grid; {fix}")
    if dataset.rpcs is not None and dataset.transform.is_identity:
        fix = "straighten it with heights: gdalwarp -rpc -to RPC_DEM=HEIGHTS IN OUT"
        raise ImageryError(f"imagery {path!r} has a camera model (RPC) and no grid; {fix}")
    if dataset.crs is None:
        fix = "assign one: gdal_translate -a_srs EPSG:CODE IN OUT"
        raise ImageryError(f"imagery {path!r} has no CRS, so no place on Earth; {fix}")
    if dataset.transform.is_identity:
        fix = "georeference it first, for example in QGIS"
        raise ImageryError(f"imagery {path!r} has a CRS but no geotransform, so no place on Earth; {fix}")
    if not all(map(math.isfinite, dataset.transform[:6])) or dataset.transform.is_degenerate:
        fix = "give it a right one: gdal_edit.py -a_ullr LEFT TOP RIGHT BOTTOM FILE"
        raise ImageryError(f"imagery {path!r} has a geotransform by which its pixels have no size; {fix}")
    grid = GeoBox(dataset.shape, dataset.transform, CRS(dataset.crs))
    try:
        transformer(grid.crs, LONLAT)
        is_flat = not grid.crs.proj.is_geocentric
    except ProjError:
        is_flat = False
    if not is_flat:
        fix = "assign the one it is in: gdal_translate -a_srs EPSG:CODE IN OUT"
        raise ImageryError(f"imagery {path!r} is in a CRS that has no place on Earth; {fix}")
    if not math.isfinite(gsd_m(grid)):  # at its middle
        fix = "check its CRS and its geotransform with gdalinfo"
        raise ImageryError(f"imagery {path!r} lies beyond the Earth by its own geotransform; {fix}")
    return grid
