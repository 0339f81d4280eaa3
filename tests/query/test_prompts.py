import numpy as np
import pytest
from made_model import model

from sat2cap.query.prompts import GENERIC, embed_prompts, parts


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("snow", ["snow"]),
        ("  a busy street ", ["a busy street"]),
        ("snow + forest", ["snow", "forest"]),
        ("a  +  b + c", ["a", "b", "c"]),
        ("a C++ meetup", ["a C++ meetup"]),
        ("1+1", ["1+1"]),
    ],
)
def test_parts(prompt, texts):
    assert parts(prompt) == texts


def test_parts_and_templates_are_averaged_as_unit_vectors():
    checkpoint = model()
    vectors = {text: checkpoint.embed_text([text])[0] for text in ["a x", "a y", "the x", "the y"]}
    mean = np.mean(list(vectors.values()), 0)
    got = embed_prompts(checkpoint, ["x + y", "x"], ["a {}", "the {}"])
    np.testing.assert_allclose(got[0], mean / np.linalg.norm(mean), atol=1e-6)
    mean = (vectors["a x"] + vectors["the x"]) / 2
    np.testing.assert_allclose(got[1], mean / np.linalg.norm(mean), atol=1e-6)
    assert got.dtype == np.float32


def test_a_text_asked_for_twice_is_embedded_once():
    checkpoint = model()
    seen = []
    real = type(checkpoint).embed_text
    counting = type(
        "Counting",
        (type(checkpoint),),
        {"embed_text": lambda self, texts: seen.append(list(texts)) or real(self, texts)},
    )
    object.__setattr__(checkpoint, "__class__", counting)
    embed_prompts(checkpoint, ["p + q", "q", "p"])
    assert seen == [["p", "q"]]


def test_the_bank_has_no_doubles_and_reads_as_prompts():
    assert len(set(GENERIC)) == len(GENERIC) >= 20
    assert all(parts(prompt) == [prompt] for prompt in GENERIC)
