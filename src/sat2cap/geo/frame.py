"""Arrays that carry their grid: plain numbers plus a `GeoBox`, as an `xarray.DataArray`, and back.

The CRS is written as rioxarray and odc-geo both read it: a ``spatial_ref`` coordinate, CF's grid mapping.
Written here because `odc.geo.xr` cannot be imported unless dask is installed.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from sat2cap.errors import RegionError
from sat2cap.geo.grid_array import GridArray, PlainGrid

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox


def on_grid(
    values: NDArray[Any],
    grid: "GeoBox | PlainGrid",
    dims: Sequence[str] = ("y", "x"),
    coords: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> "xr.DataArray":
    """Return `values` as a DataArray on a north-up `grid`, with cell centres as ``y`` and ``x``, and the CRS.

    `values` has shape (H, W) for a grid of H rows and W columns, or more dimensions, which `dims` then names.
    `coords` and `attrs` are added to the array's own. `grid_of` returns the grid again.
    """
    import xarray as xr

    a, crs = grid.affine, str(grid.crs)
    unit, crs_attributes = _crs_attributes(crs)
    height, width = grid.shape
    axis = {"units": unit, "crs": crs}
    place = {
        "y": _variable(("y",), a.f + a.e * (np.arange(height) + 0.5), axis),
        "x": _variable(("x",), a.c + a.a * (np.arange(width) + 0.5), axis),
        "spatial_ref": _variable((), np.array(0), {**crs_attributes, "GeoTransform": _gdal_transform(a)}),
    }
    array = xr.DataArray(
        _variable(tuple(dims), values, {}), coords={**place, **(coords or {})}, attrs=dict(attrs or {})
    )
    array.encoding["grid_mapping"] = "spatial_ref"
    return array


def _variable(dims: tuple[str, ...], values: NDArray[Any], attrs: dict[str, Any]) -> "xr.Variable":
    """Return a NumPy array with names of its dimensions.

    xarray imports dask, for half a second, to learn whether what it is given is an array of dask's. Numbers
    and texts of NumPy are taken as they are instead (``fastpath``); dates and objects go the usual way.
    """
    import xarray as xr

    is_plain = isinstance(values, np.ndarray) and values.dtype.kind not in "OMm"
    return xr.Variable(dims, values, attrs, fastpath=is_plain)


def as_data_array(array: GridArray) -> "xr.DataArray":
    """Return a `GridArray` as an `xarray.DataArray`, with its coordinates, attributes and CRS.

    The values are shared, not copied.
    """
    coords = {
        name: _variable((name,) if values.ndim else (), values, dict(array.coord_attrs.get(name, {})))
        for name, values in array.coords.items()
    }
    return on_grid(array.values, array.grid, array.dims, coords, array.attrs)


def grid_of(array: "xr.DataArray | xr.Dataset | GridArray") -> "GeoBox":
    """Return the grid of an array made by `on_grid`, or by a library with the same coordinates (rioxarray).

    Of an array that was sliced, thinned or flipped it is the grid of the cells that are left. Raises
    `RegionError` if the array does not carry its place, has no cells, or cells that are not evenly spaced.
    """
    return plain_grid_of(array).as_geobox()


def plain_grid_of(array: "xr.DataArray | xr.Dataset | GridArray") -> PlainGrid:
    """Return the grid of an array that carries one, as `grid_of` does, without importing odc-geo.

    Raises `RegionError` for an array without the coordinates ``y``, ``x`` and ``spatial_ref``.
    """
    if isinstance(array, GridArray):
        return array.grid
    if "spatial_ref" not in array.coords or not {"y", "x"} <= set(array.coords):
        raise RegionError(
            "this array does not carry its place on Earth; keep its y, x and spatial_ref coordinates"
        )
    reference = array.coords["spatial_ref"].attrs
    original = [float(number) for number in reference["GeoTransform"].split()]
    y, x = array.coords["y"].values, array.coords["x"].values
    dy, dx = _cell_step(y, original[5]), _cell_step(x, original[1])
    affine = Affine(dx, 0, x[0] - dx / 2, 0, dy, y[0] - dy / 2)
    return PlainGrid((y.size, x.size), affine, _parse_crs(reference["crs_wkt"]))


def _cell_step(centres: NDArray[Any], original_step: float) -> float:
    """Return the step from one cell centre to the next, signed, in CRS units.

    `original_step` is that of the grid which the array was made on; it is returned if the cells are still as
    far apart, so that rounding does not change it, and if there is only one.
    """
    if centres.size == 0:
        raise RegionError("this array has no cells; select some")
    steps = np.diff(centres)
    if steps.size == 0 or np.allclose(steps, original_step, rtol=1e-6, atol=0):
        return original_step
    if not np.allclose(steps, steps[0], rtol=1e-6, atol=0):
        raise RegionError("the cells of this array are not evenly spaced; select rows and columns by slices")
    return float(steps[0])


def _gdal_transform(affine: Affine) -> str:
    return " ".join(repr(float(number)) for number in affine.to_gdal())


@lru_cache(maxsize=128)
def _parse_crs(wkt: str) -> str:
    from pyproj import CRS

    code = CRS(wkt).to_epsg()  # by code where it has one, so that it compares and prints as the grid's did
    return wkt if code is None else f"EPSG:{code}"


@lru_cache(maxsize=128)
def _crs_attributes(crs: str) -> tuple[str, dict[str, Any]]:
    """Return the unit of the axes, and the attributes of CF's grid mapping."""
    from pyproj import CRS

    parsed = CRS(crs)
    wkt = parsed.to_wkt()
    unit = "degrees_north"
    if not parsed.is_geographic:
        unit = next((axis.unit_name for axis in parsed.axis_info if axis.direction in ("north", "south")), "")
    return unit, {**parsed.to_cf(), "crs_wkt": wkt, "spatial_ref": wkt}
