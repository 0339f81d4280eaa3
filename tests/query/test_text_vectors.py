"""Vectors of texts are computed once for each model, and no more of them are kept than is allowed."""

import gc
from dataclasses import replace

import numpy as np
import pytest
from made_model import model

from sat2cap.query import text_vectors
from sat2cap.query.prompts import embed_prompts
from sat2cap.query.text_vectors import TextVectors, embed_texts


def no_check(checkpoint, texts):
    """Let every text through."""


@pytest.fixture
def counting(monkeypatch):
    """A model, and the texts that its tower was given."""
    checkpoint, seen = model(), []
    embed = type(checkpoint).embed_text
    monkeypatch.setattr(
        type(checkpoint), "embed_text", lambda self, texts: seen.extend(texts) or embed(self, texts)
    )
    return checkpoint, seen


def test_a_text_is_embedded_once(counting):
    checkpoint, seen = counting
    first = embed_prompts(checkpoint, ["snow", "a beach"])
    again = embed_prompts(checkpoint, ["a beach", "fog", "snow"])
    assert seen == ["snow", "a beach", "fog"]
    np.testing.assert_array_equal(again[[2, 0]], first)


def test_another_model_has_vectors_of_its_own():
    one, other = model(seed=0), replace(model(seed=0), card={"name": "other"})
    embed_texts(one, ["snow"], no_check)
    seen = []
    embed_texts(other, ["snow"], lambda checkpoint, texts: seen.extend(texts))
    assert seen == ["snow"]


def test_the_last_used_are_kept(counting):
    checkpoint, seen = counting
    vectors = TextVectors(capacity=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        vectors.embed(checkpoint, [text], no_check)
    assert seen == ["a", "b", "c", "b"]


def test_vectors_go_with_their_model():
    before = len(text_vectors._OF_MODELS)
    checkpoint = model()
    embed_texts(checkpoint, ["snow"], no_check)
    assert len(text_vectors._OF_MODELS) == before + 1
    del checkpoint
    gc.collect()
    assert len(text_vectors._OF_MODELS) <= before


def test_a_text_that_is_refused_is_not_kept():
    checkpoint, vectors = model(), TextVectors()

    def refuse(checkpoint, texts):
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # the check's own
        vectors.embed(checkpoint, ["snow"], refuse)
    assert vectors.embed(checkpoint, ["snow"], no_check).shape == (1, 64)
