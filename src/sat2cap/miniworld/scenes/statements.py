"""What a caption states, in the miniature world's words, so that it can be held against the truth."""

import re
from functools import cache

from sat2cap.miniworld.planet.cover import SAND_NAMES, WATER_NAMES
from sat2cap.miniworld.scenes.captions import PHRASES


def stated(caption: str) -> frozenset[str]:
    """Names of the concepts that a caption mentions, by the phrases that people use for them.

    The longest phrase wins, so that "a rocky coast" is cliffs and no rocks; case and punctuation do not
    matter. Other words, such as a season, state nothing.
    """
    words = " ".join(re.findall(r"[a-z]+", caption.lower()))
    pattern, concept = _vocabulary()
    return frozenset(concept[found] for found in pattern.findall(words))


@cache
def _vocabulary() -> tuple[re.Pattern[str], dict[str, str]]:
    """All phrases as one pattern, longest first, and the concept of each; articles are left out."""
    concept = {
        re.sub(r"^(a|an|the) ", "", phrase.format(water=water, sand=sand)): name
        for name, phrases in PHRASES.items()
        for phrase in phrases
        for water in WATER_NAMES
        for sand in SAND_NAMES
    }
    longest_first = sorted(concept, key=lambda phrase: (-len(phrase), phrase))
    return re.compile(r"\b(" + "|".join(map(re.escape, longest_first)) + r")\b"), concept
