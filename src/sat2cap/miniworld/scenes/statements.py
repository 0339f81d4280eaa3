"""Statements of captions: the concepts that a caption mentions, so that it can be compared with the truth."""

import re
from functools import cache

from sat2cap.miniworld.planet.cover import SAND_NAMES, WATER_NAMES
from sat2cap.miniworld.scenes.captions import CONCEPT_PHRASES


def stated_concepts(caption: str) -> frozenset[str]:
    """Return the names of the concepts that a caption mentions.

    They are found by the phrases that people use for them; case and punctuation do not matter. The longest
    phrase wins: "a rocky coast" states "cliffs" and not "rocks". Other words, such as a season, state
    nothing.
    """
    words = " ".join(re.findall(r"[a-z]+", caption.lower()))
    pattern, concept_of_phrase = _phrase_pattern()
    return frozenset(concept_of_phrase[phrase] for phrase in pattern.findall(words))


@cache
def _phrase_pattern() -> tuple[re.Pattern[str], dict[str, str]]:
    """Return all phrases as one pattern, longest first, and the concept of each; articles are left out."""
    concept_of_phrase = {
        re.sub(r"^(a|an|the) ", "", phrase.format(water=water, sand=sand)): name
        for name, phrases in CONCEPT_PHRASES.items()
        for phrase in phrases
        for water in WATER_NAMES
        for sand in SAND_NAMES
    }
    longest_first = sorted(concept_of_phrase, key=lambda phrase: (-len(phrase), phrase))
    return re.compile(r"\b(" + "|".join(map(re.escape, longest_first)) + r")\b"), concept_of_phrase
