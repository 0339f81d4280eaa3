"""From an error to an HTTP status: one table, and one sentence as the answer."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from rio_tiler.errors import PointOutsideBounds, RioTilerError, TileOutsideBounds
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Mount

from sat2cap.errors import ImageryError, InputError, JobError, Sat2CapError
from sat2cap.server.collection import UnknownAtlasError
from sat2cap.server.scores import OverloadedError, OvertakenError

log = logging.getLogger("sat2cap.server")


class TooLargeError(InputError):
    """A body or a result beyond the server's limits."""


STATUS_OF_ERROR: dict[type[Exception], int] = {
    UnknownAtlasError: 404,
    PointOutsideBounds: 404,
    ImageryError: 404,
    TooLargeError: 413,
    InputError: 400,
    RioTilerError: 400,
    OverloadedError: 503,
    OvertakenError: 409,
    JobError: 500,
}
"""The status of each error; of several that fit, that of the nearest class counts."""

_RETRY_AFTER_S = 1
_UNREADABLE_BODY = "There was an error parsing the body"
"""What FastAPI says of JSON that is nested too deeply, or not of UTF-8."""
_SENTENCES = {
    404: "there is nothing at this address; /api/openapi.json lists those that there are",
    405: "this address does not answer this method; the header Allow has those that it answers",
}


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error with its status and ``{"detail": one sentence}``, never cached."""
    for error_class in (Sat2CapError, RioTilerError):
        app.add_exception_handler(error_class, _answer_error)
    app.add_exception_handler(TileOutsideBounds, _answer_empty_tile)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_fault)


def status_of(error: Exception) -> int:
    """Return the status of an error by its nearest class in `STATUS_OF_ERROR`; 500 for any other."""
    return next((STATUS_OF_ERROR[kind] for kind in type(error).__mro__ if kind in STATUS_OF_ERROR), 500)


def problem(status: int, sentence: str) -> JSONResponse:
    """Return an answer that says what is wrong."""
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = str(_RETRY_AFTER_S)
    if status == 401:
        headers["WWW-Authenticate"] = "ApiKey"
    return JSONResponse({"detail": " ".join(sentence.split())}, status, headers)


async def _answer_error(request: Request, error: Exception) -> Response:
    return problem(status_of(error), request.app.state.server.collection.hide_paths(str(error)))


async def _answer_empty_tile(request: Request, error: Exception) -> Response:
    """Answer that a tile beside the data is empty: clients would ask for a missing one again and again."""
    return Response(status_code=204, headers={"Cache-Control": "public, max-age=3600"})


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem(400, _describe_invalid(error.errors()[0]))


def _describe_invalid(error: Mapping[str, Any]) -> str:
    """Return a sentence for what the framework found wrong in a request: where, what, and what to do."""
    origin, *path = error["loc"]
    name, kind = ".".join(map(str, path)), error["type"]
    if origin == "body" and (not path or kind == "json_invalid"):
        fault = "is missing" if kind == "missing" else "is not a JSON object"
        return f"the body of the request {fault}; send GeoJSON of polygons"
    if kind == "missing":
        return f"the parameter {name} is missing; /api/openapi.json describes it"
    return f"{name}: {error['msg']}"


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = str(error.detail)
    if sentence == _UNREADABLE_BODY:
        sentence = "the body of the request is not JSON that can be read; send GeoJSON of polygons"
    elif sentence == HTTPStatus(error.status_code).phrase:  # of the framework, which says no more
        sentence = _SENTENCES.get(error.status_code, sentence)
    answer = problem(error.status_code, sentence)
    if error.status_code == 405:
        answer.headers["Allow"] = ", ".join(sorted(_allowed_methods(request)))
    return answer


def _allowed_methods(request: Request) -> set[str]:
    """Return the methods that the address of a request answers; those of a file of the page, if no other."""
    routes = [route for route in request.app.routes if not isinstance(route, Mount)]
    methods = {
        method
        for method in ("GET", "POST")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    }
    return {"GET", "HEAD"} | methods if methods != {"POST"} else methods


async def _answer_fault(request: Request, error: Exception) -> Response:
    log.error("a fault in %s", request.scope.get("path"), exc_info=error)
    return problem(500, "the server failed; its log says why")
