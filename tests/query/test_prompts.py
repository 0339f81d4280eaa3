import sys
from pathlib import Path

import numpy as np
import pytest
from made_model import model

from sat2cap.errors import PromptError
from sat2cap.query.prompts import GENERIC, embed_prompts, split_prompt

sys.path.append(str(Path(__file__).parents[1] / "model"))  # tiny_model lives there


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("snow", ["snow"]),
        ("  a busy street ", ["a busy street"]),
        ("snow + forest", ["snow", "forest"]),
        ("a  +  b + c", ["a", "b", "c"]),
        ("a C++ meetup", ["a C++ meetup"]),
        ("1+1", ["1+1"]),
        ("\ufeffa san\u00addy\u200b beach\u200e", ["a sandy beach"]),  # as copied from a page
        ("\u202bsnow\u202c + \u2060rain", ["snow", "rain"]),
        ("\u0645\u06cc\u200c\u062e", ["\u0645\u06cc\u200c\u062e"]),  # a joiner belongs to a Persian word
    ],
)
def test_split_prompt(prompt, texts):
    assert split_prompt(prompt) == texts


def test_parts_and_templates_are_averaged_as_unit_vectors():
    checkpoint = model()
    vectors = {text: checkpoint.embed_text([text])[0] for text in ["a x", "a y", "the x", "the y"]}
    mean = np.mean(list(vectors.values()), 0)
    embedded = embed_prompts(checkpoint, ["x + y", "x"], ["a {}", "the {}"])
    np.testing.assert_allclose(embedded[0], mean / np.linalg.norm(mean), atol=1e-6)
    mean = (vectors["a x"] + vectors["the x"]) / 2
    np.testing.assert_allclose(embedded[1], mean / np.linalg.norm(mean), atol=1e-6)
    assert embedded.dtype == np.float32


def test_a_text_asked_for_twice_is_embedded_once():
    checkpoint = model()
    embedded_texts = []
    embed_text = type(checkpoint).embed_text
    counting = type(
        "Counting",
        (type(checkpoint),),
        {"embed_text": lambda self, texts: embedded_texts.append(list(texts)) or embed_text(self, texts)},
    )
    object.__setattr__(checkpoint, "__class__", counting)
    embed_prompts(checkpoint, ["p + q", "q", "p"])
    assert embedded_texts == [["p", "q"]]


def test_the_bank_has_no_doubles_and_reads_as_prompts():
    assert len(set(GENERIC)) == len(GENERIC) >= 20
    assert all(split_prompt(prompt) == [prompt] for prompt in GENERIC)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("", "is empty"),
        (" \t", "is empty"),
        ("?! ...", "empty but for signs"),
        ("the", "names no thing"),
        ("There is the", "names no thing"),
        ("a + of the", "names no thing"),
        (" + sea", "nothing on one side"),
    ],
)
def test_a_prompt_that_says_nothing_is_refused(prompt, words):
    with pytest.raises(PromptError, match=words) as error:
        split_prompt(prompt)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("prompt", ["the sea", "海", "no. 5", "🏖"])
def test_a_prompt_that_says_something_is_not(prompt):
    assert split_prompt(prompt) == [prompt]


def test_a_prompt_longer_than_the_model_reads_says_what_would_be_cut(tmp_path):
    from tiny_model import tiny_clip

    from sat2cap.model.load import load_model

    checkpoint = load_model(tiny_clip(tmp_path / "clip", image=16, hidden=64, dim=32))
    fits, long = "snow " * 75, "snow " * 75 + "forest"
    assert checkpoint.text.tokenize([fits])[0].shape == (1, 77)
    assert embed_prompts(checkpoint, [fits]).shape == (1, 32)
    with pytest.raises(PromptError, match=r"longer than the model reads; 'forest' would be cut off: shorten"):
        embed_prompts(checkpoint, [long])
    with pytest.raises(PromptError, match="would be cut off"):  # a template's words count too
        embed_prompts(checkpoint, [fits], ["a photo of {}"])
    with pytest.raises(PromptError, match="; '森林 and a lake' would be cut off"):  # whole words, as written
        embed_prompts(checkpoint, ["snow " * 74 + "森林 and a lake"])
    joined = embed_prompts(checkpoint, ["snow " * 40 + "+ " + "forest " * 40])
    assert np.linalg.norm(joined) == pytest.approx(1)


@pytest.mark.parametrize("letter", ["\udc80", "\x07", "\0", "\x1b", "\n", "\x85", "\ufffe"])
def test_letters_that_no_file_of_text_may_hold_are_refused_in_one_line(letter):
    with pytest.raises(PromptError, match="holds control characters or broken letters") as caught:
        split_prompt(f"a {letter} street")
    assert str(caught.value).isprintable()
    assert split_prompt("café 地 🏖 + a\u2028b") == ["café 地 🏖", "a\u2028b"]


@pytest.mark.parametrize("template", ["a photo of {} \udc80", "a\x07 {}"])
def test_a_template_that_no_file_may_hold_is_refused(template: str) -> None:
    with pytest.raises(PromptError, match=r"template .* holds control characters or broken letters"):
        embed_prompts(model(8), ["snow"], (template,))
