"""Grids and arrays on them as plain numbers: what a map is made of, before anybody needs odc-geo or xarray.

Importing these two takes longer than a map of a city. So the package computes with `GridArray`, and turns it
into an `xarray.DataArray` where a person asks for one (`sat2cap.geo.frame.as_data_array`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


@dataclass(frozen=True)
class PlainGrid:
    """A grid of pixels: what a `GeoBox` says, in numbers and text."""

    shape: tuple[int, int]
    """``(rows, columns)``."""
    affine: Affine
    """From ``(column, row)`` to ``(x, y)`` in the CRS."""
    crs: str
    """The CRS as odc-geo writes it: ``EPSG:CODE`` where it has one, else its WKT."""

    @classmethod
    def of(cls, grid: "GeoBox | PlainGrid") -> "PlainGrid":
        """Return any grid as plain numbers."""
        return grid if isinstance(grid, PlainGrid) else cls((*grid.shape,), grid.affine, str(grid.crs))

    def as_geobox(self) -> "GeoBox":
        """Return the grid as a `GeoBox`, which imports odc-geo.

        Raises odc-geo's `CRSError` for a CRS that it does not know.
        """
        from odc.geo.geobox import GeoBox

        return GeoBox(self.shape, self.affine, self.crs)

    def __getitem__(self, block: tuple[slice, slice]) -> "PlainGrid":
        """Return the grid of a block of cells; slices have no step."""
        (top, bottom, _), (left, right, _) = (
            part.indices(size) for part, size in zip(block, self.shape, strict=True)
        )
        moved = self.affine @ Affine.translation(left, top)
        return PlainGrid((max(bottom - top, 0), max(right - left, 0)), moved, self.crs)


@dataclass(frozen=True, eq=False)
class GridArray:
    """An array that carries its grid; its attributes are named as those of an `xarray.DataArray`."""

    values: NDArray[Any]
    grid: PlainGrid
    dims: tuple[str, ...] = ("y", "x")
    """Names of the dimensions; the last two are ``y`` and ``x``, of the grid's size."""
    coords: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Values along the other dimensions, by name; of no dimension where one was selected."""
    attrs: Mapping[Any, Any] = field(default_factory=dict)
    coord_attrs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Attributes of the coordinates, by name."""

    @property
    def sizes(self) -> dict[str, int]:
        """Number of values along each dimension."""
        return dict(zip(self.dims, self.values.shape, strict=True))

    def isel(self, indices: Mapping[str, int] | None = None, /, **more: int) -> "GridArray":
        """Return the part at an index of each of some dimensions other than ``y`` and ``x``.

        As `xarray.DataArray.isel` does: ``array.isel(prompt=0)`` has no dimension ``prompt``, but its
        coordinate.
        """
        chosen = {**(indices or {}), **more}
        key = tuple(chosen.get(dim, slice(None)) for dim in self.dims)
        coords = {
            name: np.asarray(values[chosen[name]]) if name in chosen else values
            for name, values in self.coords.items()
        }
        dims = tuple(dim for dim in self.dims if dim not in chosen)
        return replace(self, values=self.values[key], dims=dims, coords=coords)

    def assign_attrs(self, attrs: Mapping[Any, Any]) -> "GridArray":
        """Return the same array with more attributes."""
        return replace(self, attrs={**self.attrs, **attrs})
