"""What people write: never of things that are not shown, and not the sentences that maps are asked for."""

import re
from itertools import product

import numpy as np
import pytest

from sat2cap.miniworld.concepts import NAMES
from sat2cap.miniworld.photos import MiniPhotos
from sat2cap.miniworld.planet.cover import SAND_NAMES, WATER_NAMES
from sat2cap.miniworld.prompts import PROMPTS, SEASONAL
from sat2cap.miniworld.scenes.captions import DAY, FRAMES, JOINS, NIGHT, PHRASES, SEASONS, caption
from sat2cap.miniworld.scenes.scene import Scene
from sat2cap.miniworld.world import World

NOTHING = ("an empty place", "nothing special", "a plain landscape")
TIMES = (*NIGHT, *DAY, *(words for season in SEASONS.values() for words in season))


def written() -> dict[str, set[str]]:
    """Every phrase as it can stand in a caption, with the concepts that it names."""
    found: dict[str, set[str]] = {words: set() for words in NOTHING}
    for name, phrases in PHRASES.items():
        for phrase, water, sand in product(phrases, WATER_NAMES, SAND_NAMES):
            found.setdefault(phrase.format(water=water, sand=sand), set()).add(name)
    return found


WRITTEN = written()


def alternatives(words: tuple[str, ...] | dict[str, set[str]]) -> str:
    return "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True))


ONE = f"(?:{alternatives(WRITTEN)})"
FRAME = "|".join(
    re.escape(frame).replace(
        re.escape("{all}"), f"(?P<all{k}>{ONE}(?:(?:{alternatives(JOINS)}){ONE}){{0,3}})"
    )
    for k, frame in enumerate(sorted(set(FRAMES), key=len, reverse=True))
)
GRAMMAR = re.compile(f"(?:{FRAME})(?: (?:{alternatives(TIMES)}))?")
"""Everything the grammar can produce, and nothing else."""


def named(text: str) -> list[set[str]]:
    """The possible concepts of each part of a caption; fails if the grammar cannot produce it."""
    match = GRAMMAR.fullmatch(text)
    assert match, f"not of the grammar: {text!r}"
    (everything,) = (value for key, value in match.groupdict().items() if value is not None)
    return [WRITTEN[part] for part in re.findall(ONE, everything)]


def test_every_concept_has_phrases_of_its_own() -> None:
    assert set(PHRASES) == set(NAMES)
    assert all(len(phrases) >= 4 for phrases in PHRASES.values())
    shared = {phrase: names for phrase, names in WRITTEN.items() if len(names) > 1}
    assert shared == {}


def test_captions_name_only_what_is_shown() -> None:
    source = MiniPhotos(World(11), 250)
    records = list(source.photos())
    mentioned: set[str] = set()
    for scene, texts in zip(source.scenes(records), source.captions(records, each=4), strict=True):
        for text in texts:
            parts = named(text)
            assert 1 <= len(parts) <= 4
            for part in parts:
                assert part <= scene.shown, (text, sorted(scene.shown))
                mentioned |= part
            assert "{" not in text
    assert len(mentioned) > 35


@pytest.mark.parametrize("name", NAMES)
def test_a_scene_with_one_thing_is_captioned_with_it(name: str) -> None:
    scene = Scene(frozenset({name}), 0, 2, 0, 0.2, False, 1.0, 0.0, "summer", False)
    r = np.random.default_rng(1)
    texts = {caption(scene, r) for _ in range(12)}
    assert len(texts) > 4
    for text in texts:
        assert named(text) == [{name}]
        assert not text.endswith(SEASONS["winter"])


def test_the_time_is_only_told_when_it_is_so() -> None:
    r = np.random.default_rng(2)
    night, noon = (
        Scene(frozenset({"sea"}), 0, 0, 0, 0.2, False, day, 0.0, "winter", False) for day in (0.0, 1.0)
    )
    at_night = [caption(night, r) for _ in range(300)]
    at_noon = [caption(noon, r) for _ in range(300)]
    assert any(text.endswith(NIGHT) for text in at_night)
    assert not any(text.endswith(DAY) for text in at_night)
    assert any(text.endswith(DAY) for text in at_noon)
    assert not any(text.endswith(NIGHT) for text in at_noon)
    assert any(text.endswith(SEASONS["winter"]) for text in at_noon)
    assert not any(text.endswith(SEASONS["summer"]) for text in at_noon)


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
    for prompts in (PROMPTS, SEASONAL):
        assert {prompt.concept for prompt in prompts} <= set(NAMES)
        assert len({prompt.text for prompt in prompts}) == len(prompts)
    assert all(prompt.when for prompt in SEASONAL)
