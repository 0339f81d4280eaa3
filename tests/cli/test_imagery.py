"""``sat2cap imagery``, and imagery's options where imagery is taken."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import zarr
from command import run
from file_server import file_process
from odc.geo.geobox import GeoBox
from PIL import Image
from rasterio.transform import from_origin
from servers import stac_item, stac_server, tile_server

from sat2cap.atlas.store import CellStatus, open_atlas
from sat2cap.miniworld.world import MiniImagery, World
from sat2cap.sources.named import catalogue

REGION = "70.1,46.1,2km"


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """Four 16-bit bands, none of them marked as a colour."""
    path = tmp_path / "deep.tif"
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 4, "width": 60, "height": 60, "nodata": 0}
    with rasterio.open(
        path, "w", crs="EPSG:32631", transform=from_origin(5e5, 5e6, 60, 60), **profile
    ) as file:
        values = np.arange(1, 5, dtype=np.uint16)[:, None, None] * np.full((60, 60), 600, np.uint16)
        values[:, :, 50:] = 0
        file.write(values)
    return path


def test_the_list_has_every_source_and_its_terms() -> None:
    done = run("imagery", "list")
    assert done.status == 0
    for name, source in catalogue().items():
        assert f"\n{name}\n" in f"\n{done.out}"
        assert source.licence in done.out
        assert source.terms in done.out
    assert "needs an agreement with the provider" in done.out


def test_check_says_what_a_file_is_and_reads_a_patch(deep: Path, tmp_path: Path) -> None:
    done = run("imagery", "check", deep)
    assert done.status == 2
    assert "say which to use, such as bands 4,3,2" in done.err
    done = run("imagery", "check", deep, "--bands", "4,3,2", "--scale", "0,3000", "-o", tmp_path / "p.png")
    assert done.status == 0, done.err
    assert "mean colour  204, 153, 102" in done.out
    assert "EPSG:32631" in done.out
    assert "licence      unknown" in done.out
    assert "overviews    none" in done.out
    assert np.asarray(Image.open(tmp_path / "p.png")).shape == (224, 224, 3)
    assert "mean colour  204, 153, 102" in run("imagery", "check", deep, "--recipe", "sentinel2").out
    nothing = run("imagery", "check", deep, "--recipe", "sentinel2", "--at", "9,40")
    assert nothing.status == 1
    assert "nothing is there" in nothing.out


def test_check_of_a_tile_service_says_the_zoom_and_the_unknown_licence() -> None:
    with tile_server(MiniImagery(World(2))) as server:
        done = run("imagery", "check", server.url, "--at", "70.1,46.1")
    assert done.status == 0, done.err
    assert "zoom 16" in done.out
    assert "missing      0%" in done.out
    assert "licence of" in done.err
    assert "is unknown" in done.err
    assert run("imagery", "check", server.url).status == 2, "a service is everywhere: it must be said where"


def test_embed_reads_tiles_and_keeps_them(model: Path, tmp_path: Path) -> None:
    out, cache = tmp_path / "x.zarr", tmp_path / "tiles"
    words = ("--model", model, "--cache", cache, "-o")
    with tile_server(MiniImagery(World(2))) as server:
        done = run("embed", REGION, "--imagery", server.url, *words, out)
        assert done.status == 0, done.err
        asked = sum(server.asked.values())
        assert asked == len(server.asked), "no tile twice"
        again = run("embed", REGION, "--imagery", server.url, *words, tmp_path / "y.zarr")
        assert again.status == 0, again.err
        assert sum(server.asked.values()) == asked, "the second run reads what the first kept"
    atlas = open_atlas(out)
    assert (atlas.status[atlas.wanted] == CellStatus.OK).all()
    assert atlas.imagery["uri"] == server.url
    assert atlas.imagery["licence"] == "unknown"


def test_embed_takes_bands_and_scale(model: Path, deep: Path, tmp_path: Path) -> None:
    words = ("embed", "--imagery", deep, "--model", model, "-o")
    assert run(*words, tmp_path / "none.zarr").status == 2
    assert run(*words, tmp_path / "a.zarr", "--bands", "4,3,2", "--scale", "0,3000").status == 0
    assert run(*words, tmp_path / "b.zarr", "--recipe", "sentinel2").status == 0
    assert run(*words, tmp_path / "c.zarr", "--recipe", "sentinel2", "--scale", "0,9000").status == 0
    one, same, other = (open_atlas(tmp_path / f"{name}.zarr").imagery["identity"] for name in "abc")
    assert one == same != other
    wrong = run(*words, tmp_path / "d.zarr", "--recipe", "nonsense")
    assert wrong.status == 2
    assert "bgrn, landsat, rgbn, sentinel2" in wrong.err


def test_embed_records_the_items_of_a_search(model: Path, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    path = tmp_path / "files" / "scene.tif"
    grid = GeoBox((300, 300), from_origin(5e5, 5e6, 10, 10), "EPSG:32631")
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": 300, "height": 300, "nodata": 0}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=grid.affine, **profile) as file:
        file.write(np.moveaxis(np.maximum(MiniImagery(World(2)).read(grid).values[..., :3], 1), -1, 0))
    lon, lat = grid.extent.centroid.to_crs("EPSG:4326").coords[0]
    out = tmp_path / "x.zarr"
    with stac_server(tmp_path) as (root, server), file_process(tmp_path / "files") as files:
        asset = {"href": f"{files}/scene.tif", "eo:bands": [{"name": name} for name in "rgb"]}
        server.items.append(stac_item("scene", grid, {"visual": asset}, **{"eo:cloud_cover": 2.0}))
        source = f"stac:{root}?collection=made&max_cloud=10"
        words = ("--imagery", source, "--model", model, "-o", out)
        assert run("embed", *words).status == 2, "a search must be told where"
        done = run("embed", f"{lon},{lat},700", *words)
    assert done.status == 0, done.err
    atlas = open_atlas(out)
    assert (atlas.status[atlas.wanted] == CellStatus.OK).all()
    assert [item["id"] for item in atlas.imagery["items"]] == ["scene"]
    assert atlas.imagery["items"][0]["cloud_cover"] == 2.0
    assert zarr.open_group(out).attrs["sat2cap:imagery"]["items"] == atlas.imagery["items"]
