"""What all routes share, kept on the application."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import fastapi
from fastapi import Depends, Request

from sat2cap.server.collection import AtlasCollection, ServedAtlas
from sat2cap.server.metrics import Metrics
from sat2cap.server.nonsense import NonsenseChances
from sat2cap.server.photos import PhotoPrompts
from sat2cap.server.questions import Question, read_question
from sat2cap.server.scores import Answer, ScoreService
from sat2cap.server.settings import ServerSettings
from sat2cap.server.warming import WarmUp


@dataclass(frozen=True)
class ServerState:
    """What one server offers, keeps and counts, and its options."""

    settings: ServerSettings
    collection: AtlasCollection
    scores: ScoreService
    metrics: Metrics
    nonsense: NonsenseChances
    photos: PhotoPrompts
    scratch: Path
    """A folder for files on their way, which goes when the server stops."""
    warm_up: WarmUp | None = None
    """What gets the atlases ready; None where each is opened when it is first asked for."""


def state_of(request: Request) -> ServerState:
    """Return the state of the server that a request came to."""
    state: ServerState = request.app.state.server
    return state


def find_atlas(
    request: Request,
    atlas: Annotated[str, fastapi.Path(description="An atlas by its name here.", max_length=200)],
) -> ServedAtlas:
    """Return the atlas in a request's path. Raises `UnknownAtlasError`, `AtlasError` if it is broken."""
    return state_of(request).collection.get(atlas)


async def answer_question(
    request: Request,
    served: Annotated[ServedAtlas, Depends(find_atlas)],
    question: Annotated[Question, Depends(read_question)],
) -> Answer:
    """Return the scores that a request asks for; not computed if its client has gone meanwhile."""

    async def is_wanted() -> bool:
        return not await request.is_disconnected()

    return await state_of(request).scores.answer(served, question, is_wanted)


Server = Annotated[ServerState, Depends(state_of)]
AskedAtlas = Annotated[ServedAtlas, Depends(find_atlas)]
AskedQuestion = Annotated[Question, Depends(read_question)]
AskedAnswer = Annotated[Answer, Depends(answer_question)]
