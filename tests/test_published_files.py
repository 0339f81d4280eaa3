"""Published files and folders have the permissions that the user's umask leaves to any new file."""

import os
from pathlib import Path

import pytest

from sat2cap.files import publish, publish_folder
from sat2cap.imagery.tiles.service import _write_cache_file


@pytest.fixture(params=[0o022, 0o077, 0o002, 0o027], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("is_replaced", [False, True], ids=["written in place", "made anew by its writer"])
def test_a_published_file_is_as_private_as_the_umask_says(tmp_path, umask, is_replaced):
    with publish(tmp_path / "map.tif") as temporary:
        if is_replaced:
            temporary.unlink()
            os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
        temporary.write_bytes(b"scores")
    assert mode_of(tmp_path / "map.tif") == 0o666 & ~umask
    assert [path.name for path in tmp_path.iterdir()] == ["map.tif"]


def test_a_published_folder_is_as_private_as_the_umask_says(tmp_path, umask):
    for content in (b"first", b"second"):
        with publish_folder(tmp_path / "model") as temporary:
            (temporary / "inner").mkdir()
            os.close(os.open(temporary / "inner" / "weights", os.O_CREAT | os.O_WRONLY, 0o600))
            (temporary / "inner" / "weights").write_bytes(content)
    assert mode_of(tmp_path / "model") == mode_of(tmp_path / "model" / "inner") == 0o777 & ~umask
    assert mode_of(tmp_path / "model" / "inner" / "weights") == 0o666 & ~umask
    assert (tmp_path / "model" / "inner" / "weights").read_bytes() == b"second"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_tiles_of_a_cache_can_be_read_by_those_who_share_it(tmp_path, umask):
    _write_cache_file(tmp_path / "16" / "tile", b"pixels")
    assert mode_of(tmp_path / "16" / "tile") == 0o666 & ~umask
    assert [path.name for path in (tmp_path / "16").iterdir()] == ["tile"]
