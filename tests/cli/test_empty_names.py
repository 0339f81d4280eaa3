"""A name that is empty, as a variable of the shell that is not set leaves it, is no folder, least of all the
one that the command runs in."""

import pytest
from command import run

import sat2cap

COMMANDS = {
    "map": ["map", "", "snow", "-o", "a.tif"],
    "map -o": ["map", "a.zarr", "snow", "-o", ""],
    "map --places": ["map", "a.zarr", "snow", "-o", "a.png", "--places", ""],
    "embed --imagery": ["embed", "--imagery", "", "--model", "miniclip", "-o", "a.zarr"],
    "embed -o": ["embed", "4,5,6,7", "--imagery", "miniworld:2", "--model", "miniclip", "-o", ""],
    "pairs build --photos": ["pairs", "build", "--photos", "", "--imagery", "miniworld:2", "-o", "p"],
    "pairs build -o": ["pairs", "build", "--photos", "miniworld:2", "--imagery", "miniworld:2", "-o", ""],
    "pairs inspect": ["pairs", "inspect", ""],
    "train": ["train", ""],
    "models info": ["models", "info", ""],
    "zones --zones": ["zones", "a.zarr", "snow", "--zones", ""],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_empty_name_is_refused_in_one_line_and_nothing_is_written(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*COMMANDS[command])
    assert result.status == 2
    assert result.err.count("\n") == 1
    assert "empty" in result.err
    assert list(tmp_path.iterdir()) == []


def test_so_it_is_from_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (
        lambda: sat2cap.open(""),
        lambda: sat2cap.open_imagery(""),
        lambda: sat2cap.open_photos(" "),
        lambda: sat2cap.open_pairs(""),
        lambda: sat2cap.load_model(""),
        lambda: sat2cap.build_pairs("miniworld:2", "miniworld:2", "", count=4),
    ):
        with pytest.raises(sat2cap.errors.InputError, match="empty"):
            call()
    assert list(tmp_path.iterdir()) == []
