"""Letters that matplotlib's own font lacks: found in another font, or caught to be missing, once."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from made_up_scores import made_up, three_prompts
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font
from PIL import Image

from sat2cap.maps.decoration.fonts import _families
from sat2cap.maps.picture import write_png

OTHERS = "\N{POSITION INDICATOR}"  # in STIX, which ships with matplotlib, not in DejaVu
NOBODYS = "\U00014400"  # an Anatolian hieroglyph


def test_a_font_is_found_that_has_the_letter() -> None:
    assert ord(OTHERS) not in FT2Font(findfont("DejaVu Sans")).get_charmap()
    families, missing = _families(f"a street {OTHERS}")
    assert missing == ""
    assert families[0] == "DejaVu Sans"
    assert any(ord(OTHERS) in FT2Font(findfont(name)).get_charmap() for name in families[1:])
    assert _families("Straße, улица, شارع") == (["DejaVu Sans"], "")


def test_a_letter_without_a_font_is_said_once_and_a_box_is_drawn(tmp_path: Path) -> None:
    assert _families(NOBODYS) == (["DejaVu Sans"], NOBODYS)
    score = three_prompts().assign_coords(prompt=["snow", NOBODYS, f"{NOBODYS} again"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        write_png(score, tmp_path / "m.png")
    words = [str(warning.message) for warning in caught if warning.category is UserWarning]
    assert len(words) == 1
    assert NOBODYS in words[0]
    assert "install one that has them" in words[0]


def test_what_a_font_has_is_drawn_as_its_letter(tmp_path: Path) -> None:
    """Not as the box that stands for a letter without a glyph."""
    titles = []
    for prompt in (OTHERS, NOBODYS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_png(made_up().assign_attrs(prompt=prompt, when=""), tmp_path / "m.png")
        titles.append(np.asarray(Image.open(tmp_path / "m.png").convert("L"))[10:70, 40:100])
    assert (titles[0] < 128).any()
    assert not np.array_equal(*titles)


@pytest.mark.filterwarnings("error::UserWarning")
def test_words_of_our_own_font_say_nothing(tmp_path: Path) -> None:
    write_png(made_up().assign_attrs(prompt="Straße, улица"), tmp_path / "m.png")
