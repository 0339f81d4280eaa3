"""Attributes of a published group, by the Zarr conventions at their present versions.

``proj:`` and ``spatial:`` (v0.1) are written by `zarr-cm`, the package of those conventions. ``geoemb:`` is
still a proposal, whose schema's address is not served: it is registered by its uuid and name alone, as in
its own examples. A ``stac:`` link needs an absolute address, so it is there only if that address is known.
"""

from collections.abc import Sequence
from typing import Any

import zarr_cm

from sat2cap.atlas import PARTS_KEY, AtlasSpec, embedding_attributes, projection_attributes
from sat2cap.publishing.depths import Depths

GEOEMB = {"uuid": "61c12cc5-0e28-4056-999a-480cf3fb7e4c", "name": "geoemb:"}
"""Registration of the convention of geospatial embeddings."""


def published_attributes(spec: AtlasSpec, depths: Depths | None, item_url: str | None) -> dict[str, Any]:
    """Return the attributes of the published group, as plain JSON values.

    `depths` describes the rotated copies, if there are any, and `item_url` is the absolute address of the
    STAC item, if it is known. The transform begins at the outer corner of the first cell.
    """
    code = projection_attributes(spec)
    place = zarr_cm.proj.create(code=code.get("proj:code"), wkt2=code.get("proj:wkt2"))
    conventions: list[Any] = [GEOEMB, dict(zarr_cm.proj.CMO), dict(zarr_cm.spatial.CMO)]
    attributes: dict[str, Any] = {
        "zarr_conventions": conventions,
        **embedding_attributes(spec),
        **place,
        **_spatial_attributes(spec),
        "attribution": spec.imagery.get("attribution", ""),
        "licence": spec.imagery.get("licence", "unknown"),
        "sat2cap:identity": spec.identity,
        PARTS_KEY: spec.parts,
        "sat2cap:model": spec.model,
        "sat2cap:imagery": spec.imagery,
        "sat2cap:patch_m": spec.patch_m,
    }
    if depths is not None:
        attributes["geoemb:depths"] = depths.declarations(spec.dim)
    if item_url is not None:
        conventions.append(dict(zarr_cm.stac.CMO))
        link = {"href": item_url, "rel": "self", "type": "application/geo+json"}
        attributes |= {"stac:encoding": "link", "stac:item": link}
    return attributes


def _spatial_attributes(spec: AtlasSpec) -> dict[str, Any]:
    """Return the ``spatial:`` fields of the grid."""
    box = spec.grid.boundingbox
    return dict(
        zarr_cm.spatial.create(
            dimensions=["y", "x"],
            transform=[float(number) for number in tuple(spec.grid.affine)[:6]],
            transform_type="affine",
            bbox=[float(edge) for edge in box.bbox],
            shape=list(spec.grid.shape),
            registration="pixel",
        )
    )


def array_attributes(dims: Sequence[str], attributes: dict[str, Any]) -> dict[str, Any]:
    """Return an array's attributes, with ``spatial:dimensions`` if it lies on the grid."""
    return attributes | ({"spatial:dimensions": ["y", "x"]} if {"y", "x"} <= set(dims) else {})
