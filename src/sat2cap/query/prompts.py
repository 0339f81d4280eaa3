"""Prompts embedded as unit vectors, over their parts and over templates."""

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import PromptError
from sat2cap.formatting import is_plain_text
from sat2cap.model import QueryModel
from sat2cap.query.prompt_text import split_prompt
from sat2cap.query.text_vectors import embed_texts

Floats = NDArray[np.float32]

GENERIC = (
    "a photo",
    "a photo of a place",
    "an outdoor scene",
    "a landscape",
    "the countryside",
    "a town",
    "a city",
    "a street",
    "a road",
    "a house",
    "a building",
    "a field",
    "a forest",
    "trees",
    "grass",
    "water",
    "a river",
    "the sea",
    "a beach",
    "hills",
    "mountains",
    "snow",
    "sand",
    "the sky",
    "people",
    "vehicles",
    "animals",
    "a sunny day",
    "a cloudy day",
    "the night",
)
"""Things that a photo of any place may show: the default bank that `contrast` sets a prompt against."""

PLAIN = ("{}",)
"""The template that leaves a prompt as it is."""

TEMPLATES = (
    "{}",
    "a photo of {}",
    "a photo taken near {}",
    "a picture that shows {}",
    "an outdoor photo of {}",
    "a place with {}",
)
"""Different wordings of one prompt, to average over or to measure how much the wording matters."""


def _fill_template(template: str, text: str) -> str:
    """Put `text` where the template has {}. Raises `PromptError` unless it has that exactly once."""
    if template.count("{}") != 1:
        raise PromptError(f"template {template!r} must hold {{}} once; use 'a photo of {{}}'")
    if not is_plain_text(template):
        raise PromptError(
            f"template {template!r} holds control characters or broken letters; give plain text"
        )
    return template.replace("{}", text)


def embed_prompts(
    checkpoint: QueryModel,
    prompts: Sequence[str],
    templates: Sequence[str] = PLAIN,
    embed_example: Callable[[str], Floats | None] = lambda part: None,
) -> Floats:
    """Return the unit vectors of P prompts, float32 `[P, D]`.

    A prompt's vector is the mean over its parts and over the templates, normalised. `embed_example` returns
    the unit vector `[D]` of a part that is an example and None for a text; templates do not apply to
    examples. For "snow + place:4.9,52.37" and two templates it is the mean of four vectors: two of texts, and
    twice the place's. Raises `PromptError` for a prompt without text or longer than the model reads,
    `ModelError` if the model has no text tower.
    """
    if isinstance(prompts, str):
        raise PromptError(f"prompts {prompts!r} is a single text; give a list of texts")
    if not templates:
        raise PromptError("no template is given; use '{}'")
    split = [split_prompt(prompt) for prompt in prompts]
    vectors = {
        part: vector for part in dict.fromkeys(chain(*split)) if (vector := embed_example(part)) is not None
    }
    groups = [
        [
            part if part in vectors else _fill_template(template, part)
            for part in group
            for template in templates
        ]
        for group in split
    ]
    texts = [text for text in dict.fromkeys(chain(*groups)) if text not in vectors]
    if texts:
        vectors |= dict(zip(texts, embed_texts(checkpoint, texts, _check_length), strict=True))
    if not groups:
        return np.zeros((0, checkpoint.dim), np.float32)
    means = np.stack([np.mean([vectors[text] for text in group], 0) for group in groups])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def _check_length(checkpoint: QueryModel, texts: Sequence[str]) -> None:
    """Raise `PromptError` if a text is longer than the model reads, naming the words cut off."""
    for text in texts:
        cut_off = checkpoint.find_cut_off_text(text)
        if cut_off:
            start = text if len(text) <= 40 else f"{text[:40]}…"
            raise PromptError(
                f"prompt {start!r} is longer than the model reads; {cut_off!r} would be cut off: shorten it, "
                "or join shorter ones with ' + '"
            )
