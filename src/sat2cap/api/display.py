"""What an atlas shows of itself in a terminal and in a notebook."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from sat2cap.atlas import Atlas, CellStatus, WideAtlas
from sat2cap.display import facts_html, training_years_text
from sat2cap.geo import lonlat_bounds, outline

_THUMBNAIL_PIXELS = 160
_EMBEDDED, _FAILED, _OUTSIDE = (53, 116, 120), (214, 137, 16), (244, 244, 244)


def describe_atlas(atlas: Atlas) -> dict[str, str]:
    """Return what an atlas holds, by name: its grid, extent, embeddings, model, imagery, dates and licence.

    The values are short texts for people, such as ``"40 x 38 cells of 480 m in EPSG:32631"``; the extent is
    in degrees.
    """
    (height, width), status = atlas.grid.shape, atlas.status
    wanted_count = int(atlas.wanted.sum())
    card = atlas.model.get("card", {})
    west, south, east, north = lonlat_bounds(outline(atlas.grid))
    return {
        "grid": f"{height} x {width} cells of {atlas.grid.affine.a:g} m in {atlas.grid.crs}",
        "extent": f"{west:.4f},{south:.4f},{east:.4f},{north:.4f}",
        "embedded": f"{int((status == CellStatus.OK).sum()):,} of {wanted_count:,} cells",
        "embeddings": f"{atlas.dim} numbers a cell, {atlas.spec.dtype}",
        "model": str(card.get("name", "unnamed")),
        "training photos of": training_years_text(card),
        "imagery": str(atlas.imagery.get("uri", "")),
        "imagery of": _imagery_dates(atlas.imagery),
        "licence": atlas.licence,
    }


def _imagery_dates(imagery: Mapping[str, Any]) -> str:
    """Return the first and last day of an atlas's imagery, one day alone, or ``unknown``."""
    moments = [item.get("datetime") for item in imagery.get("items", ())] or [imagery.get("datetime")]
    days = sorted({str(moment)[:10] for moment in moments if moment})
    return "unknown" if not days else days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def atlas_text(atlas: Atlas) -> str:
    """Return the `repr` of an atlas: one line with its path, grid, number of embedded cells and model."""
    facts = describe_atlas(atlas)
    return f"<sat2cap atlas {atlas.name!r}: {facts['grid']}, {facts['embedded']}, model {facts['model']}>"


def atlas_html(atlas: Atlas) -> str:
    """Return the `_repr_html_` of an atlas: a thumbnail of its cells beside a table of `describe_atlas`."""
    return facts_html(atlas.name, describe_atlas(atlas), _thumbnail(atlas))


def describe_wide_atlas(atlas: WideAtlas) -> dict[str, str]:
    """Return what an atlas of several UTM zones holds, by the names of `describe_atlas`.

    The grid is told by its cells and zones, and the extent is the names of the zones.
    """
    facts, wanted = describe_atlas(atlas.members[0]), atlas.wanted
    embedded = int((atlas.status[wanted] == CellStatus.OK).sum())
    cell_m = atlas.members[0].grid.affine.a
    return facts | {
        "grid": f"cells of {cell_m:g} m in {len(atlas.parts)} UTM zones",
        "extent": ", ".join(part.zone.name for part in atlas.parts),
        "embedded": f"{embedded:,} of {int(wanted.sum()):,} cells",
    }


def wide_atlas_text(atlas: WideAtlas) -> str:
    """Return the `repr` of an atlas of several UTM zones: path, cells, number of embedded cells and model."""
    facts = describe_wide_atlas(atlas)
    return f"<sat2cap atlas {atlas.name!r}: {facts['grid']}, {facts['embedded']}, model {facts['model']}>"


def wide_atlas_html(atlas: WideAtlas) -> str:
    """Return the `_repr_html_` of an atlas of several UTM zones: the table of `describe_wide_atlas`.

    The thumbnail beside it shows the westernmost part alone.
    """
    return facts_html(atlas.name, describe_wide_atlas(atlas), _thumbnail(atlas.members[0]))


def _thumbnail(atlas: Atlas) -> bytes:
    """Return a PNG: embedded cells, cells that failed, and ground outside the region, north up."""
    status = atlas.status
    pixels = np.full((*status.shape, 3), _OUTSIDE, np.uint8)
    pixels[atlas.wanted] = _FAILED
    pixels[status == CellStatus.OK] = _EMBEDDED
    picture = Image.fromarray(pixels)
    scale = _THUMBNAIL_PIXELS / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    buffer = io.BytesIO()
    picture.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX).save(buffer, "PNG")
    return buffer.getvalue()
