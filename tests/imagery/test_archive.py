"""PMTiles archives of pictures, local and over HTTP."""

import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer
from servers import encode, file_server, tile_box

from sat2cap.errors import ImageryError
from sat2cap.geo.grid import patch_around
from sat2cap.imagery.protocol import PartlyReadError
from sat2cap.imagery.tiles.pmtiles import open_archive
from sat2cap.miniworld.world import MiniImagery, World

GROUND = MiniImagery(World(2))
HERE = patch_around(70.1, 46.1, 480, 224)
X, Y = 45528, 23287  # of zoom 16, where HERE is


@cache
def tiles():
    """The ground under HERE, zoom 16, and a coarser level."""
    fine = [(16, x, y) for x in range(X, X + 4) for y in range(Y, Y + 4)]
    wanted = [*fine, (15, X // 2, Y // 2)]
    return {tile: encode(GROUND.read(tile_box(tile)).values, "png") for tile in wanted}


def write_archive(path, kind=TileType.PNG, spoil=None):
    with path.open("wb") as file:
        writer = Writer(file)
        for tile, data in sorted(tiles().items(), key=lambda item: zxy_to_tileid(*item[0])):
            writer.write_tile(zxy_to_tileid(*tile), data[:500] if tile == spoil else data)
        header = {
            "tile_type": kind,
            "tile_compression": Compression.NONE,
            "min_zoom": 15,
            "max_zoom": 16,
            "min_lon_e7": int(70.09e7),
            "min_lat_e7": int(46.09e7),
            "max_lon_e7": int(70.11e7),
            "max_lat_e7": int(46.11e7),
            "center_zoom": 16,
            "center_lon_e7": int(70.1e7),
            "center_lat_e7": int(46.1e7),
        }
        writer.finalize(header, {"attribution": "made up"})
    return str(path)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("archive") / "ground.pmtiles")


def test_an_archive_gives_the_ground_it_was_made_of(archive):
    imagery = open_archive(archive)
    pixels = imagery.read(HERE).values
    assert (pixels[..., 3] == 255).all()
    truth = GROUND.read(HERE).values
    assert np.abs(pixels.astype(int) - truth.astype(int)).mean() < 2
    assert (imagery.zooms, imagery.tile_pixels, imagery.info.attribution) == ((15, 16), 256, "made up")
    assert imagery.info.gsd_m == pytest.approx(1.657, abs=0.001)
    assert not imagery.read(patch_around(71, 46.1, 480, 32)).values.any()
    assert np.array_equal(pickle.loads(pickle.dumps(imagery)).read(HERE).values, pixels)


def test_over_http_it_is_the_same_and_only_parts_are_fetched(archive, tmp_path):
    near = open_archive(archive)
    folder = tmp_path / "served"
    folder.mkdir()
    served = folder / "ground.pmtiles"
    served.write_bytes(Path(archive).read_bytes())
    with file_server(folder) as (root, server):
        far = open_archive(f"{root}/ground.pmtiles")
        box = patch_around(70.1, 46.1, 100, 40)
        np.testing.assert_array_equal(far.read(box).values, near.read(box).values)
        assert server.sent < served.stat().st_size / 2
        with pytest.raises(ImageryError, match="there is no such file"):
            open_archive(f"{root}/none.pmtiles")


def test_a_broken_tile_costs_its_own_pixels(tmp_path):
    imagery = open_archive(write_archive(tmp_path / "a.pmtiles", spoil=(16, X + 1, Y + 1)))
    with pytest.raises(PartlyReadError, match=f"tile 16/{X + 1}/{Y + 1} .* is broken") as caught:
        imagery.read(HERE)
    assert 0 < caught.value.failed.mean() < 1


def test_what_is_no_archive_of_pictures_is_one_clear_line(tmp_path):
    vector = write_archive(tmp_path / "vector.pmtiles", kind=TileType.MVT)
    (tmp_path / "text.pmtiles").write_text("not an archive" * 100)
    old = str(tmp_path / "old.pmtiles")
    Path(old).write_bytes(b"PM\x02\x00" + bytes(600))
    for path, rule in {
        vector: "holds MVT tiles",
        str(tmp_path / "text.pmtiles"): "no PMTiles archive",
        str(tmp_path / "none.pmtiles"): "no such file",
        old: "of another version than 3",
    }.items():
        with pytest.raises(ImageryError, match=rule) as caught:
            open_archive(path)
        assert "\n" not in str(caught.value)
