"""Where something is to be written, an address is refused: as a path it would be a folder called ``s3:``."""

import pytest

import sat2cap
from sat2cap.errors import InputError


@pytest.mark.parametrize(
    "place", ["s3://bucket/x.tif", "GS://bucket/x.tif", "https://example.org/x?sig=SECRET"]
)
def test_calls_that_write_refuse_an_address(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (
        lambda: sat2cap.save(None, place),
        lambda: sat2cap.convert_model("miniclip", place),
        lambda: sat2cap.export_model("miniclip", place),
        lambda: sat2cap.calibrate_model("miniclip", "pairs", place),
    ):
        with pytest.raises(
            InputError, match="is an address; write to this machine, then copy it there"
        ) as raised:
            call()
        assert "SECRET" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "method", ["", 'method = "clip"\nout = "{}"', 'method = "captioner"', 'method = "linear"']
)
def test_a_run_file_that_trains_into_an_address_is_refused(method, tmp_path):
    place = "s3://bucket/run?token=SECRET"
    run = tmp_path / "run.toml"
    run.write_text(f'{method.format(place)}\n[output]\nfolder = "{place}"\n')
    with pytest.raises(InputError, match="is an address; write to this machine") as raised:
        sat2cap.train(run)
    assert "SECRET" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]
