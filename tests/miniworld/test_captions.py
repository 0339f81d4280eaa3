"""Captions name only what a scene shows, and a third of the prompts are sentences that no caption can be."""

import re
from itertools import product

import numpy as np
import pytest

from sat2cap.miniworld.concepts import CONCEPT_NAMES
from sat2cap.miniworld.photos import MiniPhotos
from sat2cap.miniworld.planet.cover import SAND_NAMES, WATER_NAMES
from sat2cap.miniworld.prompts import PROMPTS, SEASONAL_PROMPTS
from sat2cap.miniworld.scenes.captions import (
    CONCEPT_PHRASES,
    CONJUNCTIONS,
    DAY_PHRASES,
    NIGHT_PHRASES,
    SEASON_PHRASES,
    SENTENCE_FRAMES,
    write_caption,
)
from sat2cap.miniworld.scenes.scene import Scene
from sat2cap.miniworld.world import World

NOTHING = ("an empty place", "nothing special", "a plain landscape")
TIME_PHRASES = (
    *NIGHT_PHRASES,
    *DAY_PHRASES,
    *(words for season in SEASON_PHRASES.values() for words in season),
)


def phrases_with_concepts() -> dict[str, set[str]]:
    """Every phrase as it can stand in a caption, with the concepts that it names."""
    concepts: dict[str, set[str]] = {words: set() for words in NOTHING}
    for name, phrases in CONCEPT_PHRASES.items():
        for phrase, water, sand in product(phrases, WATER_NAMES, SAND_NAMES):
            concepts.setdefault(phrase.format(water=water, sand=sand), set()).add(name)
    return concepts


CONCEPTS_OF_PHRASE = phrases_with_concepts()


def any_of(words: tuple[str, ...] | dict[str, set[str]]) -> str:
    return "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True))


PHRASE = f"(?:{any_of(CONCEPTS_OF_PHRASE)})"
FRAME = "|".join(
    re.escape(frame).replace(
        re.escape("{all}"), f"(?P<all{k}>{PHRASE}(?:(?:{any_of(CONJUNCTIONS)}){PHRASE}){{0,3}})"
    )
    for k, frame in enumerate(sorted(set(SENTENCE_FRAMES), key=len, reverse=True))
)
GRAMMAR = re.compile(f"(?:{FRAME})(?: (?:{any_of(TIME_PHRASES)}))?")
"""Everything the grammar can produce, and nothing else."""


def concepts_of_parts(text: str) -> list[set[str]]:
    """The possible concepts of each part of a caption; fails if the grammar cannot produce it."""
    match = GRAMMAR.fullmatch(text)
    assert match, f"not of the grammar: {text!r}"
    (everything,) = (value for key, value in match.groupdict().items() if value is not None)
    return [CONCEPTS_OF_PHRASE[part] for part in re.findall(PHRASE, everything)]


def test_every_concept_has_phrases_of_its_own() -> None:
    assert set(CONCEPT_PHRASES) == set(CONCEPT_NAMES)
    assert all(len(phrases) >= 4 for phrases in CONCEPT_PHRASES.values())
    shared = {phrase: names for phrase, names in CONCEPTS_OF_PHRASE.items() if len(names) > 1}
    assert shared == {}


def test_captions_name_only_what_is_shown() -> None:
    source = MiniPhotos(World(11), 250)
    records = list(source.photos())
    mentioned: set[str] = set()
    for scene, texts in zip(source.scenes(records), source.captions(records, per_photo=4), strict=True):
        for text in texts:
            parts = concepts_of_parts(text)
            assert 1 <= len(parts) <= 4
            for part in parts:
                assert part <= scene.shown, (text, sorted(scene.shown))
                mentioned |= part
            assert "{" not in text
    assert len(mentioned) > 35


@pytest.mark.parametrize("name", CONCEPT_NAMES)
def test_a_scene_with_one_thing_is_captioned_with_it(name: str) -> None:
    scene = Scene(frozenset({name}), 0, 2, 0, 0.2, False, 1.0, 0.0, "summer", False)
    r = np.random.default_rng(1)
    texts = {write_caption(scene, r) for _ in range(12)}
    assert len(texts) > 4
    for text in texts:
        assert concepts_of_parts(text) == [{name}]
        assert not text.endswith(SEASON_PHRASES["winter"])


def test_the_time_is_only_told_when_it_is_so() -> None:
    r = np.random.default_rng(2)
    night, noon = (
        Scene(frozenset({"sea"}), 0, 0, 0, 0.2, False, day, 0.0, "winter", False) for day in (0.0, 1.0)
    )
    at_night = [write_caption(night, r) for _ in range(300)]
    at_noon = [write_caption(noon, r) for _ in range(300)]
    assert any(text.endswith(NIGHT_PHRASES) for text in at_night)
    assert not any(text.endswith(DAY_PHRASES) for text in at_night)
    assert any(text.endswith(DAY_PHRASES) for text in at_noon)
    assert not any(text.endswith(NIGHT_PHRASES) for text in at_noon)
    assert any(text.endswith(SEASON_PHRASES["winter"]) for text in at_noon)
    assert not any(text.endswith(SEASON_PHRASES["summer"]) for text in at_noon)


def test_a_third_of_the_prompts_are_sentences_that_no_caption_can_be() -> None:
    new = [prompt.text for prompt in PROMPTS if not GRAMMAR.fullmatch(prompt.text)]
    assert len(new) * 3 >= len(PROMPTS)


def test_the_grammar_is_recognised() -> None:
    """The check above means something: it knows a caption when it sees one."""
    assert GRAMMAR.fullmatch("a photo of camels and the desert in summer")
    assert GRAMMAR.fullmatch("camels")
    assert not GRAMMAR.fullmatch("camels camels")
    assert not GRAMMAR.fullmatch("a photo of")


def test_prompts_mean_known_concepts_and_each_is_asked_once() -> None:
    for prompts in (PROMPTS, SEASONAL_PROMPTS):
        assert {prompt.concept for prompt in prompts} <= set(CONCEPT_NAMES)
        assert len({prompt.text for prompt in prompts}) == len(prompts)
    assert all(prompt.when for prompt in SEASONAL_PROMPTS)
