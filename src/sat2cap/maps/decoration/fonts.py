"""Fallback fonts for letters that matplotlib's own font lacks."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

import matplotlib as mpl
from matplotlib.font_manager import fontManager
from matplotlib.ft2font import FT2Font

_DEFAULT_FONT = "DejaVu Sans"  # ships with matplotlib: Latin, Greek, Cyrillic, Arabic, and many signs
_SIGNS_FONT = (
    "STIXGeneral"  # ships with it too; what else does holds signs of formulas and a box for everything
)


@contextmanager
def fonts_for(words: Iterable[str]) -> Iterator[None]:
    """Let matplotlib draw `words` with installed fonts that have their letters, inside the ``with`` block.

    Warns once about letters that no installed font has; these are drawn as boxes.
    """
    families, missing = _families("".join(sorted(set("".join(words)))))
    if missing:
        warnings.warn(
            f"no installed font has {missing!r}: boxes are drawn instead; "
            "install one that has them, such as a Noto font",
            stacklevel=3,
        )
    log = logging.getLogger("matplotlib.font_manager")
    level = log.level
    log.setLevel(logging.ERROR)  # it says of each weight that a font lacks
    try:
        with mpl.rc_context({"font.family": families}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
            yield
    finally:
        log.setLevel(level)


@lru_cache(maxsize=64)
def _families(letters: str) -> tuple[list[str], str]:
    """Return font families that together have these letters, and the letters that none has.

    Matplotlib's own family comes first.
    """
    left = {letter for letter in letters if letter.isprintable() and not letter.isspace()}
    families = [_DEFAULT_FONT]
    candidates = [
        font
        for font in fontManager.ttflist
        if font.name in (_DEFAULT_FONT, _SIGNS_FONT) or not font.fname.startswith(mpl.get_data_path())
    ]
    for font in sorted(candidates, key=lambda font: (font.name != _DEFAULT_FONT, font.style != "normal")):
        if not left:
            break
        covered = left & _letters_of_font(font.fname)
        if covered:
            left -= covered
            families += [font.name] if font.name not in families else []
    return families, "".join(sorted(left))


@lru_cache(maxsize=4096)
def _letters_of_font(path: str) -> frozenset[str]:
    """Return the letters of a font file; none if matplotlib cannot draw with it, as with bitmap emoji."""
    try:
        return frozenset(map(chr, FT2Font(path).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()
