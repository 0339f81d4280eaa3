"""Prompts as people write them, as unit vectors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import PromptError
from sat2cap.model.checkpoint import Checkpoint

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
"""What a photo of somewhere may show: the bank that `contrast` sets a prompt against."""

PLAIN = ("{}",)
"""The one template that leaves a prompt as it is."""

JOIN = " + "


def parts(prompt: str) -> list[str]:
    """The texts of ``"a + b"``; a plus without spaces around it is part of a word. Raises `PromptError`."""
    texts = [text.strip() for text in f" {prompt} ".split(JOIN)]
    if not any(texts):
        raise PromptError(f"prompt {prompt!r} is empty; write what a photo there would show")
    if not all(texts):
        raise PromptError(f"prompt {prompt!r} has nothing on one side of a +; write 'one thing + another'")
    return texts


def _fill(template: str, text: str) -> str:
    if template.count("{}") != 1:
        raise PromptError(f"template {template!r} must hold {{}} once; use 'a photo of {{}}'")
    return template.replace("{}", text)


def embed_prompts(
    checkpoint: Checkpoint, prompts: Sequence[str], templates: Sequence[str] = PLAIN
) -> NDArray[np.float32]:
    """Unit vectors `[P, D]`: the mean over the parts of a prompt and over the templates, made unit again.

    Raises `PromptError` for a prompt without text, `ModelError` if the model has no text tower.
    """
    if isinstance(prompts, str):
        raise PromptError(f"prompts {prompts!r} is one text; give a list of them")
    if not templates:
        raise PromptError("no template is given; use '{}'")
    texts = [[_fill(template, part) for part in parts(p) for template in templates] for p in prompts]
    unique = list(dict.fromkeys(text for group in texts for text in group))
    if not unique:
        return np.zeros((0, checkpoint.dim), np.float32)
    vectors = dict(zip(unique, checkpoint.embed_text(unique), strict=True))
    means = np.stack([np.mean([vectors[text] for text in group], 0) for group in texts])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)
