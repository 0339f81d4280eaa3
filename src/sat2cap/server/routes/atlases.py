"""``/api/atlases``: what is offered, and where its cells lie."""

from typing import Any

import numpy as np
from fastapi import APIRouter

from sat2cap.api import OpenAtlas
from sat2cap.geo import LONLAT, lonlat_bounds, outline, transformer
from sat2cap.server.collection import ServedAtlas
from sat2cap.server.state import AskedAtlas, Server

router = APIRouter(prefix="/api/atlases", tags=["atlases"])

_NONSENSE = ("blorf wug tama", "xqzv prrt 77", "zanf otrip", "lorem ipsum dolor", "qwertz uiopas")
"""Texts that describe no place."""
_MESH_STEPS = 16
"""Steps along each side of the mesh that places cells in Web Mercator; between its points it is straight."""


@router.get("", summary="List the atlases")
def list_atlases(server: Server) -> list[dict[str, Any]]:
    """Every atlas with its name; a broken one with the problem, in one sentence."""
    return [_summarise(server.collection.describe(slug)) for slug in server.collection.slugs]


@router.get("/{atlas}", summary="Describe an atlas")
def describe_atlas(server: Server, served: AskedAtlas) -> dict[str, Any]:
    """Its grid, its extent, what its model can do, and the mesh that places its cells on a map."""
    assert served.opened is not None
    atlas = served.opened.atlas
    checkpoint = served.opened.query_model
    a = atlas.grid.affine
    return {
        **_summarise(served),
        "grid": {
            "shape": list(atlas.grid.shape),
            "transform": [a.a, a.b, a.c, a.d, a.e, a.f],
            "crs": str(atlas.grid.crs),
            "cell_m": abs(a.a),
        },
        "mesh": _mercator_mesh(served),
        "model": str(checkpoint.card.get("name", "unnamed")),
        "captions": server.collection.has_captioner(served),
        "text_scale": checkpoint.logit_scale,
        "version": _version_text(served),
        "nonsense_chance": nonsense_chance(served.opened),
    }


def nonsense_chance(opened: OpenAtlas) -> float | None:
    """Return the chance that words without meaning reach in an atlas, 0 to 1; None if not calibrated.

    The highest of a few such texts, each by the chance that one cell in a thousand exceeds. A prompt whose
    best cell does not exceed it says nothing.
    """
    if opened.query_model.calibration is None:
        return None
    scores = opened.map(list(_NONSENSE), scale="contrast").values.reshape(len(_NONSENSE), -1)
    valid = scores[:, np.isfinite(scores[0])]
    return float(np.percentile(valid, 99.9, axis=1).max()) if valid.size else None


def _summarise(served: ServedAtlas) -> dict[str, Any]:
    if served.opened is None:
        return {"id": served.slug, "title": served.path.stem, "problem": served.problem}
    atlas, checkpoint = served.opened.atlas, served.opened.query_model
    west, south, east, north = lonlat_bounds(outline(atlas.grid))
    years = checkpoint.card.get("training", {}).get("years")
    return {
        "id": served.slug,
        "title": served.path.stem,
        "problem": None,
        "complete": atlas.complete,
        "cells": int(atlas.wanted.sum()),
        "bounds": [west, south, east, north],
        "knows_time": checkpoint.dynamic_weights is not None,
        "years": years,
        "calibrated": checkpoint.calibration is not None,
        "attribution": atlas.attribution,
        "licence": atlas.licence,
    }


def _mercator_mesh(served: ServedAtlas) -> dict[str, Any]:
    """Return points of the grid in Web Mercator, 0 to 1 east- and southward, as map libraries count them."""
    assert served.opened is not None
    grid = served.opened.atlas.grid
    height, width = grid.shape
    rows, cols = np.linspace(0, height, _MESH_STEPS + 1), np.linspace(0, width, _MESH_STEPS + 1)
    row, col = np.meshgrid(rows, cols, indexing="ij")
    a = grid.affine
    lon, lat = transformer(grid.crs, LONLAT).transform(a.c + a.a * col, a.f + a.e * row)
    lon = np.unwrap(np.unwrap(np.asarray(lon), period=360, axis=1), period=360, axis=0)
    sine = np.sin(np.radians(np.clip(lat, -85.051129, 85.051129)))
    x, y = lon / 360 + 0.5, 0.5 - np.log((1 + sine) / (1 - sine)) / (4 * np.pi)
    return {"steps": _MESH_STEPS, "xy": np.stack([x, y], axis=-1).reshape(-1, 2).tolist()}


def _version_text(served: ServedAtlas) -> str:
    return "-".join(f"{modified:x}{size:x}" for modified, size in served.version)
