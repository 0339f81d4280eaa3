"""The phrases of a bank that are nearest to a place: a description that no language model makes up."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import InputError, PromptError
from sat2cap.files import MAX_TEXT_BYTES, read_regular_file
from sat2cap.model import QueryModel
from sat2cap.query.prompts import embed_prompts

Floats = NDArray[np.float32]


class PhraseMatch(NamedTuple):
    """A phrase of the bank and its cosine with a place."""

    phrase: str
    cosine: float


DEFAULT_PHRASES = (
    "the open sea", "a sandy beach", "a rocky coast", "a harbour with boats", "a river", "a lake",
    "a marsh", "a waterfall", "a forest", "pine trees", "palm trees", "a jungle", "a grassy meadow",
    "a wheat field", "a rice paddy", "a vineyard", "an orchard", "cows in a pasture", "a farm",
    "a greenhouse", "a desert", "sand dunes", "bare rocks", "high mountains", "a glacier", "snow",
    "a ski slope", "hiking in the hills", "a village", "houses with gardens", "red roofs", "white houses",
    "apartment blocks", "a busy city street", "skyscrapers", "a shopping street", "a market", "a cafe",
    "a restaurant", "a museum", "a church", "a castle", "ruins", "a school", "a university", "a hospital",
    "an office", "a stadium", "a concert", "a city park", "a playground", "a zoo", "a golf course",
    "a swimming pool", "a factory", "a power station", "a warehouse", "a quarry", "a construction site",
    "a highway", "a traffic jam", "a bridge", "a railway station", "an airport", "a parking lot",
    "a country lane", "a bicycle path", "wind turbines", "a dam", "a camp site", "a cemetery",
)  # fmt: skip
"""Phrases that a place is described by, and clusters are named after, by default."""


def nearest_phrases(
    checkpoint: QueryModel, embeddings: Floats, bank: Sequence[str], top: int = 5
) -> list[list[PhraseMatch]]:
    """Return the `top` phrases by cosine for each of N embeddings `[N, D]`, best first.

    Embeddings need not be normalised; one that is NaN has no phrases. A phrase that is twice in the bank
    counts once. Raises `PromptError` for an empty bank, `ModelError` for a model without text tower.
    """
    phrases = list(dict.fromkeys(bank))
    if not phrases:
        raise PromptError("the phrase bank is empty; give a file with a phrase a line")
    phrase_vectors = embed_prompts(checkpoint, phrases)
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    matches = []
    for cosines in (embeddings / lengths) @ phrase_vectors.T:
        best = np.argsort(-cosines, kind="stable")[:top]
        finite = [index for index in best if np.isfinite(cosines[index])]
        matches.append([PhraseMatch(phrases[index], float(cosines[index])) for index in finite])
    return matches


def read_phrases(path: Path) -> tuple[str, ...]:
    """Read phrases from a text file in UTF-8, one a line; empty lines are passed over.

    Raises `InputError` if the file cannot be read or has none.
    """
    try:
        text = read_regular_file(path, MAX_TEXT_BYTES).decode("utf-8")
        lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    except (OSError, ValueError) as error:
        raise InputError(
            f"phrases {str(path)!r} cannot be read ({error}); write one phrase a line"
        ) from error
    if not lines:
        raise InputError(f"phrases {str(path)!r} is empty; write one phrase a line")
    return lines
