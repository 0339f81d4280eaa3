"""The imagery underneath a map, as tiles, where its source can be read."""

import io
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Response
from odc.geo.geobox import GeoBox
from PIL import Image

from sat2cap.api import reopen_imagery
from sat2cap.errors import InputError
from sat2cap.geo import Region, Tile, outline, tile_affine
from sat2cap.server.collection import ServedAtlas
from sat2cap.server.state import AskedAtlas, Server

router = APIRouter(prefix="/api/atlases/{atlas}", tags=["imagery"])

_TILE_PIXELS = 256
_MAX_ZOOM = 18


@router.get("/imagery/{z}/{x}/{y}.webp", summary="Read a tile of the imagery", response_class=Response)
async def read_imagery_tile(
    server: Server,
    served: AskedAtlas,
    z: Annotated[int, Path(ge=0, le=_MAX_ZOOM)],
    x: Annotated[int, Path(ge=0)],
    y: Annotated[int, Path(ge=0)],
) -> Response:
    """256 pixels a side in Web Mercator; 204 where the imagery has none."""
    if max(x, y) >= 2**z:
        raise InputError(f"there is no tile {z}/{x}/{y}; columns and rows run from 0 to {2**z - 1}")
    content = await server.scores.run(_render_tile, served, (z, x, y))
    return Response(content, 200 if content else 204, {"Cache-Control": "public, max-age=3600"}, "image/webp")


def _render_tile(served: ServedAtlas, tile: Tile) -> bytes:
    """Return a WebP picture; no bytes if every pixel lacks imagery."""
    assert served.opened is not None
    grid = GeoBox((_TILE_PIXELS, _TILE_PIXELS), tile_affine(*tile, _TILE_PIXELS), "EPSG:3857")
    atlas = served.opened.atlas
    region = Region(outline(served.opened.map_grid), served.slug)
    pixels = reopen_imagery(atlas.imagery, region).read(grid)
    rgba = np.asarray(pixels.transpose("y", "x", "band").values)
    if not rgba[..., 3].any():
        return b""
    buffer = io.BytesIO()
    Image.fromarray(rgba, "RGBA").save(buffer, "WEBP", quality=80)
    return buffer.getvalue()
