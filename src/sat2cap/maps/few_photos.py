"""Which prompts of a chance few held-out photos speak for, as data and in words.

A chance is the share of photos that CLIP would say fit the prompt. Where hardly any of the model's held-out
photos fits, little more than the prior decides how chances rise: they rank places, but say little more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

FEW_PHOTOS_KEY = "few_photos"
"""The attribute of a score with `describe_photos` of each prompt that few photos fit; absent if none."""

FEWEST_PHOTOS = 20
"""Number of fitting photos below which a prompt's chances are little more than their prior."""


def describe_photos(prompt: str, fitting: float, total: int) -> str:
    """Return how many of the held-out photos fit a prompt, as `FEW_PHOTOS_KEY` lists it.

    `fitting` is the sum over the photos of how well each fits, 0 to 1.

    >>> describe_photos("skiers", 3.2, 2000)
    'skiers: about 3 of 2,000 photos'
    """
    count = f"about {fitting:.0f}" if fitting >= 1 else "fewer than 1"
    return f"{prompt}: {count} of {total:,} photos"


def list_entries(attrs: Mapping[Any, Any]) -> list[str]:
    """Return the attribute `FEW_PHOTOS_KEY` as a list; empty if it is absent."""
    listed = attrs.get(FEW_PHOTOS_KEY) or ()
    return [str(entry) for entry in ([listed] if isinstance(listed, str) else listed)]


def photos_of_prompts(attrs: Mapping[Any, Any], prompts: Sequence[str]) -> dict[str, list[str]]:
    """Return the attribute `FEW_PHOTOS_KEY` of these prompts alone; nothing if none of them is in it."""
    chosen = [
        entry for entry in list_entries(attrs) if any(entry.startswith(f"{prompt}: ") for prompt in prompts)
    ]
    return {FEW_PHOTOS_KEY: chosen} if chosen else {}


def few_photos_warning(attrs: Mapping[Any, Any]) -> str:
    """Return which prompts few held-out photos speak for; empty if there is none.

    >>> few_photos_warning({"prompt": "skiers", "few_photos": ["skiers: about 3 of 2,000 photos"]})
    'few held-out photos fit (skiers: about 3 of 2,000 photos): compare places by these chances, not prompts'
    """
    prompt = attrs.get("prompt", "")
    if isinstance(
        prompt, str
    ):  # one map, or a difference, whose prompt names both sides: the list is its own
        entries = list_entries(attrs)
    else:
        entries = photos_of_prompts(attrs, list(prompt)).get(FEW_PHOTOS_KEY, [])
    if not entries:
        return ""
    return f"few held-out photos fit ({'; '.join(entries)}): compare places by these chances, not prompts"
