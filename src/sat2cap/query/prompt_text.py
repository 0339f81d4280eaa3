"""Prompts as people write them, split into parts; without numpy, as a mistake should be said at once."""

import re
import unicodedata

from sat2cap.errors import PromptError
from sat2cap.formatting import is_plain_text

PART_SEPARATOR = " + "
"""What joins the parts of a prompt; a plus without spaces around it is part of a word."""

_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")
"""Letters that show nothing and come along with copied text: soft hyphens, breaks of no width, marks of the
direction of writing and of the order of bytes. A tokenizer would make words of them. The joiners U+200C and
U+200D are none of these, as words of some languages and emoji differ by them."""
_STOP_WORDS = (
    "a an the of in on at to for from by with without and or but not no nor is are was were be been am it",
    "its this that these those there here some any as into than then so if i you he she we they my your",
)
STOP_WORDS = frozenset(word for line in _STOP_WORDS for word in line.split())
"""Words that say nothing about what a photo shows; a prompt that consists of them alone is refused."""


def split_prompt(prompt: str) -> list[str]:
    """Split a prompt at each `PART_SEPARATOR` and return its parts, without the spaces around them.

    Letters that show nothing, such as soft hyphens, are left out.

    Raises `PromptError` if a part is empty, if the prompt consists of punctuation or stop words alone, or if
    it holds letters that no file of text may: control characters, halves of surrogate pairs, U+FFFE, U+FFFF.

    >>> split_prompt("snow + C++ code")
    ['snow', 'C++ code']
    """
    visible = _INVISIBLE.sub("", prompt)
    texts = [text.strip() for text in f" {visible} ".split(PART_SEPARATOR)]
    if not any(texts):
        raise PromptError(f"prompt {prompt!r} is empty; write what a photo there would show")
    if not is_plain_text(prompt):
        raise PromptError(f"prompt {prompt!r} holds control characters or broken letters; give plain text")
    if not all(texts):
        raise PromptError(f"prompt {prompt!r} has nothing on one side of a +; write 'one thing + another'")
    words = [word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())]
    if all(unicodedata.category(letter)[0] in "PZC" for word in words for letter in word):
        raise PromptError(f"prompt {prompt!r} is empty but for signs; write what a photo there would show")
    if STOP_WORDS.issuperset(words):
        raise PromptError(f"prompt {prompt!r} names no thing; add what a photo there would show")
    return texts
