"""What errors quote of strangers' texts: one line, short, without control characters."""

import pickle

import pytest

from sat2cap.errors import ImageryError, RegionError, Sat2CapError, quote
from sat2cap.geo import parse_region


def test_words_of_other_libraries_are_one_short_line():
    assert quote(ValueError("first\n  second\tthird")) == "first second third"
    assert quote(KeyError()) == "KeyError"
    assert quote("a" * 200) == "a" * 200
    assert quote("a" * 5000) == "a" * 200 + "… (5000 letters)"
    assert quote("red \x1b[31m half \ud800 é 地") == "red \\x1b[31m half \\ud800 é 地"


def test_messages_quote_at_most_200_letters_of_a_value_and_no_control_characters():
    value = "x" * 5000
    message = str(ImageryError(f"imagery {value!r} is {'it is' + value!r}; check it"))
    assert message.count("x") == 395
    assert message.startswith("imagery 'xxx")
    assert message.endswith("… (5005 letters)" + "; check it") or "(5005 letters); check it" in message
    assert str(Sat2CapError("two\nlines \x07")) == "two lines \\x07"
    prose = "it doesn't matter " + "b" * 300 + " isn't cut"
    assert str(Sat2CapError(prose)) == prose, "apostrophes are no quotation marks"
    assert str(pickle.loads(pickle.dumps(Sat2CapError("a b")))) == "a b"


def test_a_region_of_thousands_of_letters_is_one_short_line():
    with pytest.raises(RegionError) as caught:
        parse_region("1" * 5000 + ",2,3,4")
    assert len(str(caught.value)) < 600
