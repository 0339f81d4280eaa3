"""Single places: the best ones, what one scores and shows, and how that changes with the time."""

import json
import math
import warnings
from typing import Annotated, Any, Literal

import numpy as np
import xarray as xr
from fastapi import APIRouter, Query, Response

from sat2cap.api import Prompt
from sat2cap.errors import InputError, ModelError, Sat2CapError
from sat2cap.geo import When, cell_at, grid_of, hours_of, months_of
from sat2cap.maps import default_distance_m, top_places
from sat2cap.server.collection import ServedAtlas
from sat2cap.server.polygons import GeoJSONBody, keep_within, read_polygons
from sat2cap.server.questions import Question, read_moment
from sat2cap.server.settings import MAX_TOP_PLACES
from sat2cap.server.state import AskedAnswer, AskedAtlas, AskedQuestion, Server, ServerState

router = APIRouter(prefix="/api/atlases/{atlas}", tags=["places"])

Lon = Annotated[float, Query(ge=-180, le=180, description="Longitude, degrees.")]
Lat = Annotated[float, Query(ge=-90, le=90, description="Latitude, degrees.")]

_PHRASES = 5


Top = Annotated[int, Query(ge=1, le=MAX_TOP_PLACES, description="Number of places.")]
Apart = Annotated[
    float | None,
    Query(ge=0, le=1e6, description="Least distance between places, metres; three cells if left out."),
]


@router.get("/search", summary="Find the best places")
def find_places(served: AskedAtlas, answer: AskedAnswer, top: Top = 20, apart_m: Apart = None) -> Response:
    """The cells that score highest, as GeoJSON points with rank and score, best first."""
    places = _best_places(_one_pixel_a_cell(served, answer.score), top, apart_m)
    return Response(places, media_type="application/geo+json")


def _one_pixel_a_cell(served: ServedAtlas, score: xr.DataArray) -> xr.DataArray:
    """Return a map in which a cell that several pixels show has one of them, and the others have no data."""
    assert served.opened is not None
    mask = served.opened.one_pixel_a_cell()
    return score if mask is None else score.where(mask)


def _best_places(score: xr.DataArray, top: int, apart_m: float | None) -> str:
    distance_m = default_distance_m(grid_of(score)) if apart_m is None else apart_m
    places = top_places(score, top, distance_m)
    return json.dumps(places.to_geo_dict(drop_id=True))


@router.post("/search", summary="Find the best places within polygons")
async def find_places_within(
    server: Server,
    served: AskedAtlas,
    answer: AskedAnswer,
    body: GeoJSONBody,
    top: Top = 20,
    apart_m: Apart = None,
) -> Response:
    """The cells that score highest among those whose centres lie in the polygons of a GeoJSON body."""
    places = await server.scores.run(
        lambda: _best_places(
            keep_within(_one_pixel_a_cell(served, answer.score), read_polygons(body)), top, apart_m
        )
    )
    return Response(places, media_type="application/geo+json")


@router.get("/point", summary="Describe a place")
async def describe_point(
    server: Server, served: AskedAtlas, answer: AskedAnswer, question: AskedQuestion, lon: Lon, lat: Lat
) -> dict[str, Any]:
    """Score and percentile of a cell, its chance if the model is calibrated, and the nearest phrases."""
    row, col = _cell_of(served, lon, lat)
    values = answer.score.values
    score = float(values[row, col])
    if not math.isfinite(score):
        return {"lon": lon, "lat": lat, "score": None, "percentile": None, "chance": None, "phrases": []}
    valid = values[np.isfinite(values)]
    more = await server.scores.run(_describe_cell, server, served, question, lon, lat)
    return {
        "lon": lon,
        "lat": lat,
        "score": score,
        "percentile": float((valid <= score).mean() * 100),
        **more,
    }


@router.get("/series", summary="Follow a place through the year or the day")
async def follow_point(
    server: Server,
    served: AskedAtlas,
    question: AskedQuestion,
    lon: Lon,
    lat: Lat,
    over: Annotated[
        Literal["months", "hours"], Query(description="Noon of each month, or each hour of a day.")
    ],
) -> dict[str, Any]:
    """The score of the cell at a place at noon in each month of a year, or at each hour of a day.

    The year or the day is that of ``when``, or 2024 and 2024-06-21. Raises ModelError if the model knows no
    time.
    """
    _cell_of(served, lon, lat)
    if question.is_difference:
        raise InputError("a series is that of one prompt; leave minus and minus_when out")
    day = question.when or When(2024, 6, 21, 12.0)
    moments = months_of(day.year) if over == "months" else hours_of(day)
    values = await server.scores.run(_follow_cell, server, served, question, lon, lat, moments)
    return {"over": over, "when": [moment.isoformat() for moment in moments], "scores": values}


@router.get("/caption", summary="Caption a place")
async def caption_point(
    server: Server,
    served: AskedAtlas,
    lon: Lon,
    lat: Lat,
    when: Annotated[str | None, Query(description="Local date and hour, such as 2024-05-20T08:00.")] = None,
) -> dict[str, Any]:
    """What a photo at a place would show, as a sentence that a language model writes; None without imagery.

    Raises ModelError if there is no captioner for the atlas's model; ``captions`` of an atlas says whether
    there is.
    """
    moment = read_moment(when)
    _cell_of(served, lon, lat)
    caption = await server.scores.run(_caption_cell, server, served, lon, lat, moment)
    return {"lon": lon, "lat": lat, "when": moment.isoformat() if moment else None, "caption": caption}


def _cell_of(served: ServedAtlas, lon: float, lat: float) -> tuple[int, int]:
    """Return row and column of a place. Raises `InputError` if it lies outside the atlas."""
    assert served.opened is not None
    row, col = (int(index) for index in cell_at(served.opened.map_grid, lon, lat))
    if row < 0:
        raise InputError(f"{lon:g},{lat:g} lies outside the atlas; give a place within its bounds")
    return row, col


def _describe_cell(
    server: ServerState, served: ServedAtlas, question: Question, lon: float, lat: float
) -> dict[str, Any]:
    """Return the chance of a place, None without calibration, and the phrases nearest to it."""
    assert served.opened is not None
    opened, chance = served.opened, None
    is_chance = question.scale != "percentile" and not question.is_difference
    if opened.query_model.calibration is not None and is_chance:
        try:
            prompt, negatives = _resolve(server, served, question)
            chance = float(opened.score_at(lon, lat, prompt, question.when, negatives, "contrast"))
        except Sat2CapError:
            chance = None  # an example, a place or a photo, has no chance
    phrases = opened.phrases([(lon, lat)], question.when, top=_PHRASES)["phrases"].iloc[0]
    return {
        "chance": chance,
        "phrases": [{"text": text, "cosine": float(cosine)} for text, cosine in phrases],
    }


def _resolve(server: ServerState, served: ServedAtlas, question: Question) -> tuple[Prompt, list[Prompt]]:
    """Return prompt and negatives of a question as the library takes them: photos are vectors."""
    resolve = server.photos.resolve
    return resolve(served, question.prompt), [resolve(served, text) for text in question.negatives]


def _caption_cell(
    server: ServerState, served: ServedAtlas, lon: float, lat: float, when: When | None
) -> str | None:
    """Return the caption of a cell; None where it has no embedding. Raises `ModelError`."""
    assert served.opened is not None
    captioner = server.collection.load_captioner(served)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is missing is in the answer
        try:
            captions = served.opened.caption([(lon, lat)], when, captioner=captioner)
        except InputError:
            return None  # no embedding there
    return str(captions["caption"].iloc[0])


def _follow_cell(
    server: ServerState, served: ServedAtlas, question: Question, lon: float, lat: float, moments: list[When]
) -> list[float | None]:
    """Return the score of a cell at each moment, None where it has none. Raises `ModelError` without time."""
    assert served.opened is not None
    opened = served.opened
    if opened.query_model.dynamic_weights is None:
        raise ModelError("the model of this atlas knows no time, so its scores are the same at every date")
    scale = "cosine" if question.scale == "percentile" else question.scale
    prompt, negatives = _resolve(server, served, question)
    series = opened.score_at(lon, lat, prompt, moments, negatives, scale).tolist()
    return [value if math.isfinite(value) else None for value in series]
