"""An option that takes one value, given twice."""

import pytest

from sat2cap.cli import main


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["difference", "x.zarr", "snow", "--when", "2024-01", "--when", "2024-07", "-o", "d.tif"], "--when"),
        (["map", "x.zarr", "snow", "-o", "a.tif", "--out=b.tif"], "--out"),
        (["atlas", "repair", "x.zarr", "--imagery", "a.tif", "--imagery", "b.tif"], "--imagery"),
        (["embed", "--patch", "120", "--patch", "120", "-o", "x.zarr"], "--patch"),
    ],
)
def test_is_refused_in_one_line(words, name, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {name} is given 2 times; give it once\n"


def test_options_that_collect_values_and_switches_may_be_repeated(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(
            [
                "map",
                str(tmp_path / "no.zarr"),
                "snow",
                "--when",
                "2024-01",
                "--when",
                "2024-07",
                "-o",
                "a.png",
            ]
        )
    assert "no.zarr" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["embed", "--dry-run", "--dry-run", "--imagery", "nothing.tif", "-o", str(tmp_path / "no.zarr")])
    assert "times" not in capsys.readouterr().err
