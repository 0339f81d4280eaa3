"""``/api/photos``: photos that stand for a prompt, in place of words."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from sat2cap.errors import InputError
from sat2cap.server.state import Server

router = APIRouter(prefix="/api/photos", tags=["photos"])

_PICTURE = {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}, "required": True}


@router.post(
    "",
    summary="Send a photo as a prompt",
    openapi_extra={"requestBody": _PICTURE},
)
async def add_photo(request: Request, server: Server) -> dict[str, str]:
    """Take a picture, as it is encoded, for the body, and return the ``prompt`` that stands for it.

    The picture is kept in memory, until many newer ones have come, and goes with the server. It has a vector
    but no chance, so its maps are of scale cosine or percentile. Raises `PictureError`,
    and `MissingExtraError` without torch; ``photos`` of an atlas says whether it can be asked with one.
    """
    content = await request.body()
    if not content:
        raise InputError("the body is empty; send the bytes of a picture")
    return {"prompt": await server.scores.run(server.photos.add, content)}


@router.get("/{name}.webp", summary="Show a photo that was sent", response_class=Response)
async def show_photo(server: Server, name: Annotated[str, Path(max_length=64)]) -> Response:
    """A small picture of a photo, to show what a prompt stands for. Raises `PromptError` if it is gone."""
    content = await server.scores.run(server.photos.thumbnail, name)
    return Response(content, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})
