"""The phrases of a bank that are nearest to a place: words for it that no language model makes up."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import PromptError
from sat2cap.model import Checkpoint
from sat2cap.query.prompts import embed_prompts

Floats = NDArray[np.float32]


class Near(NamedTuple):
    """A phrase and how near it is."""

    phrase: str
    cosine: float


def nearest_phrases(
    checkpoint: Checkpoint, embeddings: Floats, bank: Sequence[str], top: int = 5
) -> list[list[Near]]:
    """The `top` phrases by cosine for each of `[N, D]` embeddings, best first; none for one that is NaN.

    Embeddings need not be normalised. Raises `PromptError` for an empty bank, `ModelError` without texts.
    """
    phrases = list(dict.fromkeys(bank))
    if not phrases:
        raise PromptError("the phrase bank is empty; give a file with a phrase a line")
    texts = embed_prompts(checkpoint, phrases)
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    found = []
    for cosines in (embeddings / lengths) @ texts.T:
        best = np.argsort(-cosines, kind="stable")[:top]
        found.append(
            [Near(phrases[index], float(cosines[index])) for index in best if np.isfinite(cosines[index])]
        )
    return found
