"""``/api/atlases``: what is offered, and where its cells lie."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query

from sat2cap.files import digest
from sat2cap.geo import LONLAT, ground_metres, lonlat_bounds, outline, transformer
from sat2cap.server.collection import ServedAtlas
from sat2cap.server.questions import read_moment
from sat2cap.server.state import AskedAtlas, Server

router = APIRouter(prefix="/api/atlases", tags=["atlases"])

_MESH_STEPS = 16
"""Steps along each side of the mesh that places cells in Web Mercator; between its points it is straight."""


@router.get("", summary="List the atlases")
def list_atlases(server: Server) -> list[dict[str, Any]]:
    """Every atlas with its name; a broken one with the problem, an unfinished one with how much is done."""
    return [_summarise(server.collection.describe(slug)) for slug in server.collection.slugs]


@router.get("/{atlas}", summary="Describe an atlas")
def describe_atlas(server: Server, served: AskedAtlas) -> dict[str, Any]:
    """Its grid, its extent, what its model can do, and the mesh that places its cells on a map."""
    assert served.opened is not None
    grid, checkpoint = served.opened.map_grid, served.opened.query_model
    a = grid.affine
    own = served.opened.atlas.members[0].grid  # a wide atlas is shown on another grid than it was made on
    return {
        **_summarise(served),
        "grid": {
            "shape": list(grid.shape),
            "transform": [a.a, a.b, a.c, a.d, a.e, a.f],
            "crs": str(grid.crs),
            "cell_m": abs(own.affine.a) * ground_metres(own),
        },
        "mesh": _mercator_mesh(served),
        "model": str(checkpoint.card.get("name", "unnamed")),
        "captions": server.collection.has_captioner(served),
        "photos": server.photos.are_possible(served),
        "text_scale": checkpoint.logit_scale,
        "version": _version_text(served),
    }


@router.get("/{atlas}/nonsense", summary="What words without meaning reach")
async def read_nonsense_chance(
    server: Server,
    served: AskedAtlas,
    when: Annotated[str | None, Query(description="Local date and hour, as of a map.")] = None,
) -> dict[str, float | None]:
    """The ``chance`` that words without meaning typically reach at a date, 0 to 1; null if not calibrated.

    A prompt whose best cell does not exceed it says nothing about this atlas.
    """
    return {"chance": await server.nonsense.chance(served, read_moment(when))}


def _summarise(served: ServedAtlas) -> dict[str, Any]:
    """Return an entry of the list of atlases, as plain JSON values."""
    if served.opened is None:
        return {"id": served.slug, "title": served.title, "problem": served.problem}
    atlas, checkpoint = served.opened.atlas, served.opened.query_model
    west, south, east, north = lonlat_bounds(outline(served.opened.map_grid))
    years = checkpoint.card.get("training", {}).get("years")
    return {
        "id": served.slug,
        "title": served.title,
        "problem": None,
        "complete": not served.unfinished,
        "unfinished": served.unfinished or None,
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
    grid = served.opened.map_grid
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
    return digest(repr(served.version))[:32]
