"""Health, version and counters."""

from importlib import metadata

from fastapi import APIRouter, Response

from sat2cap.server.state import Server

router = APIRouter(tags=["status"])


@router.get("/api/health", summary="Whether the server answers")
async def read_health(server: Server) -> dict[str, str | bool]:
    """``status`` is always ``ok``: an answer is the sign of health. ``ready``: whether the atlases are open.

    Before that, questions are answered too, but the first of an atlas waits until it is open.
    """
    return {"status": "ok", "ready": server.warm_up is None or server.warm_up.is_done}


@router.get("/api/version", summary="The version of the package")
async def read_version() -> dict[str, str]:
    """The installed version of sat2cap."""
    return {"version": metadata.version("sat2cap")}


@router.get("/api/base-map", summary="The public map that the page may show underneath")
async def read_base_map(server: Server) -> dict[str, str | None]:
    """``tiles`` is the address of its tiles, with ``{z}/{x}/{y}``, or null; ``attribution`` whom to name."""
    settings = server.settings
    return {"tiles": settings.base_map, "attribution": settings.base_map_credit}


@router.get("/metrics", summary="Counters for Prometheus", response_class=Response)
async def read_metrics(server: Server) -> Response:
    """Requests, times, scans and memory, in Prometheus's text format."""
    return Response(server.metrics.as_text(), media_type="text/plain; version=0.0.4; charset=utf-8")
