"""Metadata for other programs: Zarr conventions ``geoemb:``, ``proj:``, ``spatial:``, and side arrays."""

import re
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas.layout import STATUS_MEANINGS, ChunkedArray, cell_arrays
from sat2cap.atlas.plan import VERSION, AtlasSpec
from sat2cap.geo import on_grid

CONVENTIONS = [
    {
        "uuid": "61c12cc5-0e28-4056-999a-480cf3fb7e4c",
        "name": "geoemb:",
        "schema_url": "https://raw.githubusercontent.com/geo-embeddings/embeddings-zarr-convention/refs/tags/v1/schema.json",
        "spec_url": "https://github.com/geo-embeddings/embeddings-zarr-convention/blob/v1/README.md",
        "description": "Geospatial embeddings",
    },
    {
        "uuid": "f17cb550-5864-4468-aeb7-f3180cfb622f",
        "name": "proj:",
        "schema_url": "https://raw.githubusercontent.com/zarr-experimental/geo-proj/refs/tags/v1/schema.json",
        "spec_url": "https://github.com/zarr-experimental/geo-proj/blob/v1/README.md",
        "description": "Coordinate reference system",
    },
    {
        "uuid": "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
        "name": "spatial",
        "schema_url": "https://raw.githubusercontent.com/zarr-conventions/spatial/refs/tags/v1/schema.json",
        "spec_url": "https://github.com/zarr-conventions/spatial/blob/v1/README.md",
        "description": "Spatial dimensions and transform",
    },
]


def as_uri(text: str) -> str:
    """Return a URI for what a user wrote: the text itself if it has a scheme, else that of a file.

    as_uri("miniworld:42")    # "miniworld:42"
    as_uri("/data/a b.tif")    # "file:///data/a%20b.tif"
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", text):
        return quote(text, safe="/:?#[]@!$&'()*+,;=%-._~")
    if text.startswith("/"):
        return "file://" + quote(text)
    return "file:" + quote(text) if text else "urn:sat2cap:unknown"


def side_arrays(spec: AtlasSpec) -> list[tuple[ChunkedArray, NDArray[Any] | None]]:
    """Return the small arrays of an atlas, each with its values.

    These are the mask of wanted cells ``(y, x)``, the centres of the cells along ``y`` and ``x``, and CF's
    grid mapping, which is a scalar without a value (None).
    """
    height, width = spec.grid.shape
    frame = on_grid(spec.wanted, spec.grid)
    mapping = dict(frame.coords["spatial_ref"].attrs)
    double = np.dtype("float64")
    note = {"long_name": "cells of the region", "grid_mapping": "spatial_ref"}

    def make_axis(name: str, size: int) -> ChunkedArray:
        label = {"standard_name": f"projection_{name}_coordinate", "units": "m"}
        return ChunkedArray(name, (name,), (size,), (size,), double, 0, label)

    wanted = ChunkedArray("wanted", ("y", "x"), (height, width), (height, width), np.dtype("bool"), 0, note)
    return [
        (wanted, spec.wanted),
        (make_axis("y", height), frame.coords["y"].values),
        (make_axis("x", width), frame.coords["x"].values),
        (ChunkedArray("spatial_ref", (), (), (), np.dtype("int64"), 0, mapping), None),
    ]


def group_metadata(spec: AtlasSpec) -> dict[str, Any]:
    """Return the content of the group's zarr.json, which includes every array's metadata."""
    arrays = cell_arrays(spec.grid.shape, spec.chunk, spec.dim, spec.dtype)
    all_arrays = [*arrays.values(), *(array for array, _ in side_arrays(spec))]
    members = {array.name: array.metadata() for array in sorted(all_arrays, key=lambda array: array.name)}
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": group_attributes(spec),
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": members},
    }


def group_attributes(spec: AtlasSpec) -> dict[str, Any]:
    """Return the group's attributes: those of the three conventions, then our own under ``sat2cap:``."""
    box = spec.grid.boundingbox
    return {
        "zarr_conventions": CONVENTIONS,
        **embedding_attributes(spec),
        **projection_attributes(spec),
        "spatial:dimensions": ["y", "x"],
        "spatial:transform": [float(number) for number in tuple(spec.grid.affine)[:6]],
        "spatial:transform_type": "affine",
        "spatial:bbox": [float(edge) for edge in box.bbox],
        "spatial:shape": list(spec.grid.shape),
        "spatial:registration": "pixel",
        "attribution": spec.imagery.get("attribution", ""),
        "licence": spec.imagery.get("licence", "unknown"),
        "sat2cap:format_version": VERSION,
        "sat2cap:identity": spec.identity,
        "sat2cap:model": spec.model,
        "sat2cap:imagery": spec.imagery,
        "sat2cap:patch_m": spec.patch_m,
        "sat2cap:status": {str(status.value): meaning for status, meaning in STATUS_MEANINGS.items()},
    }


def embedding_attributes(spec: AtlasSpec) -> dict[str, Any]:
    """Return the ``geoemb:`` fields of the convention for geospatial embeddings.

    A chip is the patch of a cell; its size and the stride between chips are in pixels as the model sees them.
    """
    pixel_m = spec.patch_m / spec.patch_pixels
    stride = [max(1, round(abs(step) / pixel_m)) for step in (spec.grid.affine.e, spec.grid.affine.a)]
    layout = {"layout_type": "regular_grid", "chip_size": [spec.patch_pixels] * 2, "stride": stride}
    fields = {
        "geoemb:type": "chip",
        "geoemb:dimensions": spec.dim,
        "geoemb:model": as_uri(str(spec.model.get("source", ""))),
        "geoemb:source_data": [as_uri(str(spec.imagery.get("uri", "")))],
        "geoemb:data_type": spec.dtype,
        "geoemb:gsd": pixel_m,
        "geoemb:chip_layout": layout,
        "geoemb:build_version": f"sat2cap-atlas {VERSION}",
    }
    if spec.dtype == "int8":
        scale = {"type": "array", "array_name": "scale", "nodata": "NaN"}
        method = {"method": "per_pixel_scale", "original_dtype": "float32", "quantized_dtype": "int8"}
        fields["geoemb:quantization"] = method | {"scale": scale}
    return fields


def projection_attributes(spec: AtlasSpec) -> dict[str, Any]:
    """Return the one ``proj:`` field: ``proj:code`` if the CRS has an EPSG code, else ``proj:wkt2``."""
    code = spec.grid.crs.epsg
    return {"proj:wkt2": spec.grid.crs.to_wkt()} if code is None else {"proj:code": f"EPSG:{code}"}
