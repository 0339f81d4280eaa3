"""The STAC item and collection of a published atlas, with the Embedding and Datacube extensions."""

from collections.abc import Mapping
from typing import Any

from sat2cap.atlas import AtlasSpec, as_uri, embedding_attributes, make_item, projection_attributes

DATACUBE = "https://stac-extensions.github.io/datacube/v2.2.0/schema.json"
EMBEDDINGS = "https://stac-extensions.github.io/embeddings/v0.0.1/schema.json"


def published_item(
    name: str, group: str, spec: AtlasSpec, collection: str, url: str | None
) -> dict[str, Any]:
    """Return the item ``NAME.json`` of a Zarr group; addresses are relative to the item, but for `url`.

    `group` is the path of the group, such as ``NAME.zarr``, `collection` the collection's id, and `url` the
    public address of the folder with all of it, if known.
    """
    item = make_item(f"{name}.zarr", spec, group)
    item["stac_extensions"] = [*item["stac_extensions"], DATACUBE]
    item["collection"] = collection
    item["properties"] |= cube_fields(spec)
    item["links"] += [
        {"rel": "collection", "href": "./collection.json", "type": "application/json"},
        {"rel": "parent", "href": "./collection.json", "type": "application/json"},
    ]
    if url is not None:
        item["links"].append({"rel": "self", "href": f"{url}/{name}.json", "type": "application/geo+json"})
    return item


def cube_fields(spec: AtlasSpec) -> dict[str, Any]:
    """Return ``cube:dimensions`` and ``cube:variables`` of the group's arrays of cells."""
    code = next(iter(projection_attributes(spec).values()))
    west, south, east, north = (float(edge) for edge in spec.grid.boundingbox.bbox)
    system = int(code.removeprefix("EPSG:")) if code.startswith("EPSG:") else code

    def make_axis(axis: str, extent: list[float], step: float) -> dict[str, Any]:
        return {"type": "spatial", "axis": axis, "extent": extent, "step": step, "reference_system": system}

    dimensions = {
        "time": {"type": "temporal", "extent": [spec.imagery.get("datetime")] * 2},
        "embedding": {"type": "bands", "values": list(range(spec.dim))},
        "y": make_axis("y", [south, north], float(spec.grid.affine.e)),
        "x": make_axis("x", [west, east], float(spec.grid.affine.a)),
    }
    variables = {
        "embeddings": {"dimensions": ["time", "embedding", "y", "x"], "type": "data"},
        "status": {"dimensions": ["time", "y", "x"], "type": "auxiliary"},
    }
    if spec.dtype == "int8":
        variables["scale"] = {"dimensions": ["time", "y", "x"], "type": "auxiliary"}
    return {"cube:dimensions": dimensions, "cube:variables": variables}


def published_collection(items: Mapping[str, dict[str, Any]], spec: AtlasSpec, title: str) -> dict[str, Any]:
    """Return the collection of one published atlas, whose STAC items these are by name.

    An atlas of several UTM zones has an item for each; `spec` is the plan of any.
    """
    item = next(iter(items.values()))
    properties, boxes = item["properties"], [item["bbox"] for item in items.values()]
    west, south, east, north = zip(*boxes, strict=True)
    whole = [min(west), min(south), max(east), max(north)]
    moments = [properties["datetime"]] * 2
    if properties["datetime"] is None:
        moments = [None, None]
    model = str(spec.model.get("card", {}).get("name", "a model"))
    text = (
        f"{title}: embeddings of the ground from above by {model}, comparable with embeddings of text. "
        f"A cell is {abs(spec.grid.affine.a):g} m wide."
    )
    layout = embedding_attributes(spec)
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "stac_extensions": [EMBEDDINGS],
        "id": item["collection"],
        "title": title,
        "description": text,
        "license": "other",
        "extent": {
            "spatial": {"bbox": boxes if len(boxes) == 1 else [whole, *boxes]},
            "temporal": {"interval": [moments]},
        },
        "emb:type": layout["geoemb:type"],
        "emb:dimensions": layout["geoemb:dimensions"],
        "emb:chip_layout": layout["geoemb:chip_layout"],
        "data_type": layout["geoemb:data_type"],
        "gsd": layout["geoemb:gsd"],
        "links": [
            *({"rel": "item", "href": f"./{name}.json", "type": "application/geo+json"} for name in items),
            {"rel": "emb:model", "href": as_uri(str(spec.model.get("source", "")))},
            {"rel": "emb:source-data", "href": as_uri(str(spec.imagery.get("uri", "")))},
        ],
        "providers": [{"name": spec.imagery.get("attribution") or "unknown", "roles": ["producer"]}],
    }
