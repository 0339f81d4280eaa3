"""A score as a cloud-optimised GeoTIFF.

No data is NaN, not a number such as -9999: it cannot be taken for a score by a reader that ignores the
nodata tag, since whatever is computed from it is NaN too; GDAL, QGIS and rasterio all know it for float32.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.shutil import copy

from sat2cap.errors import InputError
from sat2cap.files import publish
from sat2cap.geo.frame import grid_of
from sat2cap.maps.layers import maps_of, provenance

_BLOCK = 256


def write_cog(score: xr.DataArray, path: Path | str) -> None:
    """Publish a score, dims ``(y, x)`` or ``(prompt, y, x)``, as a COG.

    One float32 band for each prompt, NaN for no data. Band descriptions are the prompts; provenance is in the
    tags; overviews are averages. Raises `InputError`.
    """
    layers = list(maps_of(score))
    grid = grid_of(score)
    if not layers or 0 in grid.shape:
        raise InputError(
            f"a score of {len(layers)} prompts and {grid.shape} cells makes no GeoTIFF; give some"
        )
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": len(layers),
        "height": grid.shape[0],
        "width": grid.shape[1],
        "crs": rasterio.CRS.from_wkt(grid.crs.to_wkt()),
        "transform": grid.affine,
        "nodata": np.nan,
    }
    with MemoryFile() as memory, rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"):
        with memory.open(**profile) as plain:
            _fill(plain, layers, score)
        with publish(path) as temporary:
            temporary.unlink()  # GDAL's COG driver would rather create than overwrite
            _as_cog(memory, temporary)


def _fill(
    plain: rasterio.io.DatasetWriter, layers: list[tuple[str, NDArray[np.float32]]], score: xr.DataArray
) -> None:
    """Bands, their names and statistics, and the tags of the file."""
    known = provenance(score)
    plain.update_tags(**known, TIFFTAG_SOFTWARE=f"sat2cap {version('sat2cap')}")
    if "attribution" in known:
        plain.update_tags(TIFFTAG_COPYRIGHT=known["attribution"])
    for band, (prompt, values) in enumerate(layers, 1):
        plain.write(values, band)
        plain.set_band_description(band, prompt)
        plain.set_band_unit(band, known.get("scale", ""))
        if not np.isnan(values).all():  # lets QGIS choose its colours without reading every pixel
            plain.update_tags(
                band,
                STATISTICS_MINIMUM=float(np.nanmin(values)),
                STATISTICS_MAXIMUM=float(np.nanmax(values)),
                STATISTICS_MEAN=float(np.nanmean(values, dtype=np.float64)),
                STATISTICS_STDDEV=float(np.nanstd(values, dtype=np.float64)),
            )


def _as_cog(memory: MemoryFile, path: Path) -> None:
    copy(
        memory.name,
        path,
        driver="COG",
        compress="DEFLATE",
        predictor="FLOATING_POINT",
        blocksize=_BLOCK,
        overview_resampling="AVERAGE",
    )
