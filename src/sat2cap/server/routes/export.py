"""``GET …/export``: a map as a file to keep."""

import tempfile
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from sat2cap.api import save
from sat2cap.errors import InputError
from sat2cap.server.state import AskedAnswer, Server

router = APIRouter(prefix="/api/atlases/{atlas}", tags=["export"])

_MEDIA_TYPES = {
    "tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    "png": "image/png",
    "geojson": "application/geo+json",
    "pmtiles": "application/vnd.pmtiles",
}


@router.get("/export", summary="Download a map", response_class=Response)
async def export_map(
    server: Server,
    answer: AskedAnswer,
    format: Annotated[
        Literal["tif", "png", "geojson", "pmtiles"], Query(description="Kind of file.")
    ] = "tif",
    above: Annotated[
        float | None, Query(description="For geojson: lowest score of the areas.", allow_inf_nan=False)
    ] = None,
) -> Response:
    """A GeoTIFF, a picture, areas of high scores, or web tiles: the files that ``sat2cap map`` writes."""
    if above is not None and format != "geojson":
        raise InputError(f"above chooses the areas of a geojson, not of a {format}; leave it out")
    content = await server.scores.run(_write_map, server.scratch, answer, format, above)
    disposition = f'attachment; filename="sat2cap.{format}"'
    return Response(content, media_type=_MEDIA_TYPES[format], headers={"Content-Disposition": disposition})


def _write_map(scratch: Path, answer: AskedAnswer, suffix: str, above: float | None) -> bytes:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / f"map.{suffix}"
        save(answer.score, path, above=above)
        return path.read_bytes()
