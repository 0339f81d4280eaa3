"""The STAC item beside an atlas, with the Embedding extension (``emb:``)."""

from typing import Any

from sat2cap.atlas.conventions import as_uri, projection_attributes
from sat2cap.atlas.plan import AtlasSpec
from sat2cap.geo import lonlat_bounds, outline

EXTENSION = "https://stac-extensions.github.io/embeddings/v0.0.1/schema.json"
STORE_TYPE = "application/vnd.zarr; version=3"
"""Media type of a Zarr group, by STAC's best practices for Zarr."""


def item_name(atlas: str) -> str:
    """Return the name of an atlas's item: ``NAME.stac.json`` beside ``NAME.zarr``."""
    return atlas.removesuffix(".zarr") + ".stac.json"


def make_item(name: str, spec: AtlasSpec, group: str | None = None) -> dict[str, Any]:
    """Return the STAC item of the atlas folder called `name`, as plain JSON values.

    Its geometry is in degrees; links and assets are relative to the item, which lies beside the folder.
    `group` is the path of the Zarr group, if that is not `name`.
    """
    place = f"./{group or name}"
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [EXTENSION],
        "id": name.removesuffix(".zarr"),
        "bbox": list(lonlat_bounds(outline(spec.grid))),
        "geometry": outline(spec.grid).json,
        "properties": _item_properties(spec),
        "links": [
            {"rel": "emb:model", "href": as_uri(str(spec.model.get("source", "")))},
            {"rel": "emb:source-data", "href": as_uri(str(spec.imagery.get("uri", "")))},
            {"rel": "store", "href": place, "type": STORE_TYPE},
        ],
        "assets": {
            "embeddings": {"href": place, "type": STORE_TYPE, "roles": ["data"]},
        },
    }


def _item_properties(spec: AtlasSpec) -> dict[str, Any]:
    """Return the properties of the item; an unknown date is given as an interval of all years."""
    when: dict[str, Any] = {"datetime": spec.imagery.get("datetime")}
    if when["datetime"] is None:  # STAC then requires an interval; this one means that nothing is known
        when |= {"start_datetime": "0001-01-01T00:00:00Z", "end_datetime": "9999-12-31T23:59:59Z"}
    parameters = {
        "patch_m": spec.patch_m,
        "patch_pixels": spec.patch_pixels,
        "cell_m": abs(spec.grid.affine.a),
    }
    properties = {
        **when,
        **projection_attributes(spec),
        "license": "other",
        "emb:runtime_parameters": parameters,
        "emb:spatial_coverage": f"{int(spec.wanted.sum())} cells",
        "sat2cap:identity": spec.identity,
        "sat2cap:attribution": spec.imagery.get("attribution", ""),
        "sat2cap:licence": spec.imagery.get("licence", "unknown"),
    }
    if spec.dtype == "int8":
        method = {"method": "per_pixel_scale", "original_dtype": "float32", "quantized_dtype": "int8"}
        properties["emb:quantization"] = method
    return properties
