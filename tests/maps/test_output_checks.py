"""What is said of an output's name and title before any work."""

from pathlib import Path

import pytest

from sat2cap.errors import InputError
from sat2cap.maps.options import MapOptions, check_output


@pytest.mark.parametrize("letter", ["\0", "\udc80", "\x07", "\uffff"])
def test_a_name_or_title_that_no_file_may_hold_is_refused(letter: str) -> None:
    with pytest.raises(InputError, match=r"output '.*' holds control characters or broken letters"):
        check_output(Path(f"a{letter}.png"))
    with pytest.raises(InputError, match=r"title '.*' holds control characters or broken letters"):
        check_output(Path("a.png"), MapOptions(title=f"a{letter}"))


def test_a_title_of_two_lines_is_plain() -> None:
    assert check_output(Path("a.png"), MapOptions(title="snow\nin January 雪 😀")) == ".png"
