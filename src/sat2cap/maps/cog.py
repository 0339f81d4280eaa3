"""Scores and categories as cloud-optimised GeoTIFFs (COGs).

No data is NaN, not a number such as -9999: it cannot be taken for a score by a reader that ignores the
nodata tag, since whatever is computed from it is NaN too; GDAL, QGIS and rasterio all know it for float32.
Categories are uint8 with a colour table, and 0 is no data.

The file is made in memory and written by Python: GDAL may say of a full disk only in a log.
"""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.shutil import copy

from sat2cap.errors import InputError
from sat2cap.files import write_bytes
from sat2cap.geo import plain_grid_of
from sat2cap.maps.layers import AnyScore, layers_of, names_of, one_layer, provenance, values_of

if TYPE_CHECKING:
    import xarray as xr

_BLOCK_PX = 256


def write_cog(score: AnyScore, path: Path | str) -> None:
    """Publish a score as a COG with a float32 band for each of its prompts and dates, NaN for no data.

    Band descriptions are the prompts or dates, the band unit is the scale, `provenance` is in the tags and
    the attribution also in TIFFTAG_COPYRIGHT. Overviews are averages. Raises `InputError` if the score has no
    prompts.
    """
    layers = layers_of(score)
    if not layers:
        raise InputError("a score of no prompts makes no GeoTIFF; give some")
    profile = {"dtype": "float32", "count": len(layers), "nodata": np.nan}
    with MemoryFile() as memory, rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"):
        with memory.open(**profile, **_grid_profile(score)) as file:
            _write_tags(file, score)
            for band, (layer, name) in enumerate(zip(layers, names_of(score), strict=True), 1):
                _write_band(file, band, name, str(score.attrs.get("scale", "")), values_of(layer))
        write_bytes(path, _as_cog(memory, predictor="FLOATING_POINT", overview_resampling="AVERAGE"))


def write_category_cog(category: "xr.DataArray", path: Path | str) -> None:
    """Publish a map of categories as a COG of one uint8 band with a colour table, 0 for no data.

    The tag `category_1` names what 1 stands for, and so on; overviews are the commonest category. Raises
    `InputError` if it holds several maps.
    """
    from matplotlib.colors import to_rgb

    from sat2cap.maps.colours import colours_of

    layer = one_layer(category, "a file with a colour table holds")
    names = [str(name) for name in category.attrs["categories"]]
    table = {0: (0, 0, 0, 0)}
    for code, colour in enumerate(colours_of(names), 1):
        red, green, blue = (round(255 * channel) for channel in to_rgb(colour))
        table[code] = (red, green, blue, 255)
    codes = np.nan_to_num(values_of(layer)).astype(np.uint8)
    with MemoryFile() as memory:
        with memory.open(dtype="uint8", count=1, nodata=0, **_grid_profile(category)) as file:
            _write_tags(file, category)
            file.update_tags(**{f"category_{code}": name for code, name in enumerate(names, 1)})
            file.write(codes, 1)
            file.write_colormap(1, table)
            file.set_band_description(1, "category")
        write_bytes(path, _as_cog(memory, overview_resampling="MODE"))


def _grid_profile(score: AnyScore) -> dict[str, Any]:
    """Return driver, size, CRS and transform of the grid of a score, as rasterio's `open` takes them."""
    grid = plain_grid_of(score)
    return {
        "driver": "GTiff",
        "height": grid.shape[0],
        "width": grid.shape[1],
        "crs": _rasterio_crs(grid.crs),
        "transform": grid.affine,
    }


def _rasterio_crs(crs: str) -> rasterio.CRS:
    """Return the CRS of a grid; one with a code without pyproj, from the same tables."""
    if crs.startswith("EPSG:"):
        return rasterio.CRS.from_string(crs)
    from pyproj import CRS

    return rasterio.CRS.from_wkt(CRS(crs).to_wkt())


def _write_tags(file: rasterio.io.DatasetWriter, score: AnyScore) -> None:
    """Write provenance, software and copyright to the tags of the whole file.

    TIFFTAG_SOFTWARE and TIFFTAG_COPYRIGHT become tags of TIFF itself, which readers without GDAL show too.
    """
    texts = provenance(score)
    file.update_tags(**texts, TIFFTAG_SOFTWARE=f"sat2cap {version('sat2cap')}")
    if "attribution" in texts:
        file.update_tags(TIFFTAG_COPYRIGHT=texts["attribution"])


def _write_band(
    file: rasterio.io.DatasetWriter, band: int, name: str, unit: str, values: NDArray[np.float32]
) -> None:
    """Write one band with its description, unit and statistics.

    The statistics let QGIS choose its colours without reading every pixel; a band without data has none.
    """
    file.write(values, band)
    file.set_band_description(band, name)
    file.set_band_unit(band, unit)
    if not np.isnan(values).all():
        file.update_tags(
            band,
            STATISTICS_MINIMUM=float(np.nanmin(values)),
            STATISTICS_MAXIMUM=float(np.nanmax(values)),
            STATISTICS_MEAN=float(np.nanmean(values, dtype=np.float64)),
            STATISTICS_STDDEV=float(np.nanstd(values, dtype=np.float64)),
        )


def _as_cog(memory: MemoryFile, **options: str) -> bytes:
    """Return the bytes of an in-memory GeoTIFF, rewritten as a COG with blocks of 256 pixels.

    `options` are creation options of GDAL's COG driver, in lower case.
    """
    with MemoryFile(ext=".tif") as cog:
        copy(memory.name, cog.name, driver="COG", compress="DEFLATE", blocksize=_BLOCK_PX, **options)
        return bytes(cog.read())
