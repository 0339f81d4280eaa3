"""The phrases of a bank that are nearest to a place: a description that no language model makes up."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import PromptError
from sat2cap.model import QueryModel
from sat2cap.query.prompts import embed_prompts

Floats = NDArray[np.float32]


class PhraseMatch(NamedTuple):
    """A phrase of the bank and its cosine with a place."""

    phrase: str
    cosine: float


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
