"""Embeddings of an atlas as arrays and tables, for other people's methods.

`lazy_embeddings` reads chunks only when their values are asked for, through xarray's own interface for
storage (`xarray.backends.BackendArray`), so it needs no dask; ``.chunk()`` makes it a dask array where dask
is installed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from xarray.backends import BackendArray
from xarray.core import indexing

from sat2cap.atlas import Atlas, WideAtlas
from sat2cap.errors import RegionError
from sat2cap.geo import Region, When, cell_lonlat, cell_mask, on_grid
from sat2cap.model import QueryModel
from sat2cap.query import embed_prompts, embeddings_at

_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class _StoredEmbeddings(BackendArray):
    """Unnormalised embeddings of part of an atlas, float32 ``(embedding, y, x)``, read when indexed."""

    atlas: Atlas
    grid: GeoBox
    """The atlas's own grid, or of a wide one that of its maps."""
    checkpoint: QueryModel | None
    """Needed only with a date, whose offset it computes."""
    when: When | None
    rows: slice
    cols: slice
    wanted: NDArray[np.bool_] | None
    """Cells of the window to keep, ``(y, x)``; None for all."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.atlas.dim, self.rows.stop - self.rows.start, self.cols.stop - self.cols.start)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def __getitem__(self, key: Any) -> Any:
        support = indexing.IndexingSupport.BASIC
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._read)

    def _read(self, key: tuple[Any, ...]) -> NDArray[np.float32]:
        """Read the cells that integers and slices select.

        The block that covers them is read, and the selection is made within it.
        """
        rows, row_key = _cover(key[1], self.shape[1])
        cols, col_key = _cover(key[2], self.shape[2])
        top, left = self.rows.start, self.cols.start
        block_rows = slice(top + rows.start, top + rows.stop)
        block_cols = slice(left + cols.start, left + cols.stop)
        values = self._read_block(block_rows, block_cols)
        if self.when is not None and self.checkpoint is not None:
            values = values + self._offset(block_rows, block_cols).reshape(values.shape)
        if self.wanted is not None:
            values = np.where(self.wanted[rows, cols][..., None], values, np.float32(np.nan))
        return np.asarray(np.moveaxis(values, -1, 0)[key[0], row_key, col_key])

    def _read_block(self, rows: slice, cols: slice) -> NDArray[np.float32]:
        """Read a block of the grid, float32 ``(y, x, embedding)``."""
        if not isinstance(self.atlas, WideAtlas):
            return self.atlas.read(rows, cols)
        lon, lat = cell_lonlat(self.grid[rows, cols])
        return self.atlas.read_places(lon, lat).reshape(*lon.shape, -1)

    def _offset(self, rows: slice, cols: slice) -> NDArray[np.float32]:
        assert self.checkpoint is not None
        assert self.when is not None
        lon, lat = cell_lonlat(self.grid[rows, cols])
        clock = (self.when.year, self.when.month, self.when.day, self.when.hour)
        return np.asarray(self.checkpoint.dynamic_offset(lat.ravel(), lon.ravel(), *clock))


def _cover(key: int | slice, length: int) -> tuple[slice, int | slice]:
    """Return the step-1 slice that holds what `key` selects, and what `key` is within that slice."""
    if not isinstance(key, slice):
        index = int(key) % length
        return slice(index, index + 1), 0
    selected = range(length)[key]
    if not len(selected):
        return slice(0, 0), slice(None)
    low, high = min(selected[0], selected[-1]), max(selected[0], selected[-1])
    return slice(low, high + 1), slice(None, None, selected.step)


def lazy_embeddings(
    atlas: Atlas, grid: GeoBox, checkpoint: QueryModel | None, region: Region | None, when: When | None
) -> xr.DataArray:
    """Return unnormalised embeddings, float32 ``(embedding, y, x)`` with their CRS; NaN where there are none.

    `grid` is the atlas's own; of a wide atlas it is any, whose pixels get the embedding of the cell that
    holds their centre. Cells outside `region` are NaN, and the array is cut to the block of cells around it.
    With `when`, the offset of the Dynamic Encoder for that date and hour is added to every cell. Raises
    `RegionError` if the region meets no cell.
    """
    height, width = grid.shape
    rows, cols, wanted = slice(0, height), slice(0, width), None
    if region is not None:
        mask = cell_mask(grid, region)
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(ys):
            name = atlas.name
            raise RegionError(f"region {region.label!r} meets no cell of atlas {name!r}; give one inside it")
        rows, cols = slice(int(ys[0]), int(ys[-1]) + 1), slice(int(xs[0]), int(xs[-1]) + 1)
        wanted = mask[rows, cols]
    stored = _StoredEmbeddings(atlas, grid, checkpoint, when, rows, cols, wanted)
    window = grid[rows, cols]
    template = on_grid(np.empty(window.shape, np.bool_), window)
    variable = xr.Variable(("embedding", *template.dims), indexing.LazilyIndexedArray(stored))
    model = str(atlas.model.get("card", {}).get("name", "unknown"))
    attrs = {"model": model, "when": when.isoformat() if when else ""}
    return xr.DataArray(variable, coords=template.coords, name="embeddings", attrs=attrs)


def sample_points(
    atlas: Atlas,
    checkpoint: QueryModel,
    places: Sequence[tuple[float, float]],
    prompts: Sequence[str],
    when: When | None,
    *,
    examples: Mapping[str, NDArray[np.float32]],
    vectors: bool,
) -> gpd.GeoDataFrame:
    """Return one row for each of N points: lon, lat, geometry and the cosine of each prompt.

    With `vectors` the embedding follows as columns ``e0``, ``e1`` …, of unit length, so that a linear
    classifier of scikit-learn takes them as they are. A point outside the atlas, or on a cell without an
    embedding, has NaN in all of them.
    """
    rows = embeddings_at(atlas, checkpoint, places, when)
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY)
    columns: dict[str, NDArray[Any]] = {
        "lon": np.array([lon for lon, _ in places]),
        "lat": np.array([lat for _, lat in places]),
    }
    if prompts:
        cosines = unit @ embed_prompts(checkpoint, prompts, embed_example=examples.get).T
        columns |= {prompt: cosines[:, number] for number, prompt in enumerate(prompts)}
    table = pd.DataFrame(columns)
    if vectors:
        table = pd.concat(
            [table, pd.DataFrame(unit, columns=[f"e{n}" for n in range(unit.shape[1])])], axis=1
        )
    points = gpd.points_from_xy(table["lon"], table["lat"], crs="EPSG:4326")
    return gpd.GeoDataFrame(table, geometry=points)
