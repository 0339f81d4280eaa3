"""The application: routes, protection, errors and the page, put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import metadata, resources
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles

from sat2cap.server.collection import AtlasCollection
from sat2cap.server.metrics import Metrics
from sat2cap.server.nonsense import NonsenseChances
from sat2cap.server.photos import PhotoPrompts
from sat2cap.server.problems import add_error_handlers
from sat2cap.server.protection import Protection
from sat2cap.server.questions import refuse_unknown_parameters
from sat2cap.server.routes import atlases, export, imagery, places, scores, status, wmts, zones
from sat2cap.server.routes import photos as photo_routes
from sat2cap.server.scores import ScoreService
from sat2cap.server.settings import ServerSettings
from sat2cap.server.state import ServerState
from sat2cap.server.tiles import PREFIX, tiler
from sat2cap.server.warming import WarmUp

_DESCRIPTION = "Text-prompted maps from overhead imagery: a prompt is a map layer."


def create_app(
    collection: AtlasCollection, settings: ServerSettings, warm_up: WarmUp | None = None
) -> FastAPI:
    """Return the application that serves `collection`; `warm_up` runs when it starts, beside the requests."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        photos = PhotoPrompts()
        service = ScoreService(settings, metrics, photos)  # here, since it belongs to the event loop
        nonsense = NonsenseChances(service.run)
        warming = None if warm_up is None else asyncio.create_task(warm_up.run(service, nonsense))
        with TemporaryDirectory(prefix="sat2cap-serve-", ignore_cleanup_errors=True) as scratch:
            app.state.server = ServerState(
                settings, collection, service, metrics, nonsense, photos, Path(scratch), warm_up
            )
            yield
        if warming is not None:
            warming.cancel()
            with suppress(asyncio.CancelledError):
                await warming
        service.close()

    app = FastAPI(
        title="sat2cap",
        description=_DESCRIPTION,
        version=metadata.version("sat2cap"),
        lifespan=lifespan,
        dependencies=[Depends(refuse_unknown_parameters)],
        docs_url=None,  # its page loads scripts from elsewhere, which our policy refuses
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    for module in (status, atlases, photo_routes, scores, places, zones, export, imagery, wmts):
        app.include_router(module.router)
    app.include_router(tiler.router, prefix=PREFIX, tags=["map"])
    add_error_handlers(app)
    _add_protection(app, settings, metrics)
    _add_page(app)
    return app


def _add_protection(app: FastAPI, settings: ServerSettings, metrics: Metrics) -> None:
    """Add what every request passes through: allowed origins, own names, key, limits and metrics."""
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(settings.allowed_origins), expose_headers=["X-Score"]
        )
    app.add_middleware(Protection, settings=settings, metrics=metrics)


def _add_page(app: FastAPI) -> None:
    """Serve the live page at the root, or the sentence that it was not built."""
    page = find_page()
    if page is None:
        app.add_api_route("/", _say_page_is_missing, include_in_schema=False)
    else:
        app.mount("/", StaticFiles(directory=page, html=True), name="page")


def _say_page_is_missing() -> PlainTextResponse:
    """Return what to do where this installation was built without Node."""
    sentence = (
        "This installation was built without the page, as Node could not be reached; /api works. "
        "Install again with Node, or run in web/: npm install && npm run build\n"
    )
    return PlainTextResponse(sentence)


def find_page() -> Path | None:
    """Return the folder of the built page; None in a source tree where it has not been built."""
    folder = Path(str(resources.files("sat2cap.server"))) / "page"
    return folder if (folder / "index.html").is_file() else None
