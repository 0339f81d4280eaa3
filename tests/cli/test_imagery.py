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

from sat2cap.atlas import CellStatus, open_atlas
from sat2cap.imagery.named import named_sources
from sat2cap.miniworld.world import MiniImagery, World
from sat2cap.model import compute

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
    for name, source in named_sources().items():
        assert f"\n{name}\n" in f"\n{done.out}"
        assert source.licence in done.out
        assert source.terms in done.out
    assert "needs an agreement with the provider" in done.out


def test_check_says_what_a_file_is_and_reads_a_patch(deep: Path, tmp_path: Path) -> None:
    done = run("imagery", "check", deep)
    assert done.status == 2
    assert "say which to use, such as bands 4,3,2" in done.err
    done = run("imagery", "check", deep, "--bands", "4,3,2", "--stretch", "0,3000", "-o", tmp_path / "p.png")
    assert done.status == 0, done.err
    assert "mean colour  204, 153, 102" in done.out
    assert "EPSG:32631" in done.out
    assert "licence      unknown" in done.out
    assert "overviews    none" in done.out
    assert np.asarray(Image.open(tmp_path / "p.png")).shape == (224, 224, 3)
    assert "mean colour  204, 153, 102" in run("imagery", "check", deep, "--recipe", "sentinel2").out
    nothing = run("imagery", "check", deep, "--recipe", "sentinel2", "--at", "9,40")
    assert nothing.status == 1
    assert "no imagery there" in nothing.out


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


@pytest.mark.parametrize(
    ("status", "said"),
    [(403, "is refused (403 Forbidden); check the address, the key"), (404, "no pixels there, or too few")],
)
def test_embed_that_embeds_nothing_fails_and_says_why(
    status: int, said: str, model: Path, tmp_path: Path
) -> None:
    with tile_server(MiniImagery(World(2))) as server:
        server.faults = lambda tile, nth: status
        words = ("embed", REGION, "--imagery", server.url, "--model", model, "-o", tmp_path / "x.zarr")
        tried, done = run(*words, "--dry-run"), run(*words)
    assert done.status == 1
    assert "0 of " in done.out
    assert said in done.out
    assert tried.status == 0
    assert ("could not be read" in tried.err) == ("could not be read" in done.err) == (status == 403)


def test_repair_knows_what_the_imagery_was_called(model: Path, tmp_path: Path) -> None:
    """The address alone would not do: the source file adds a token, zooms and bounds."""
    mine, out = tmp_path / "mine.toml", tmp_path / "x.zarr"
    with tile_server(MiniImagery(World(2))) as server:
        mine.write_text(f'kind = "tiles"\nurl = "{server.url}"\nzooms = [0, 15]\nbounds = [70, 46, 71, 47]\n')
        server.faults = lambda tile, nth: 500 if sum(tile) % 2 == 0 else None
        done = run("embed", "70.1,46.1,3km", "--imagery", mine, "--model", model, "-o", out)
        assert done.status == 0, done.err
        assert "the first failure: " in done.out
        assert f"try the failed cells again with: sat2cap atlas repair {out}" in done.out
        again = run("atlas", "repair", out)
        assert again.status == 0, again.err
        assert "0 failed cells filled" in again.out
        assert "the first failure: " in again.out
        server.rest()
        mended = run("atlas", "repair", out)
        other = run("atlas", "repair", out, "--imagery", server.url)
    assert mended.status == 0, mended.err
    atlas = open_atlas(out)
    assert (atlas.status[atlas.wanted] == CellStatus.OK).all()
    assert "nothing has to be computed again" in other.out


def test_repair_knows_the_bands_and_the_stretch(model: Path, deep: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.zarr"
    words = ("--imagery", deep, "--recipe", "sentinel2", "--stretch", "0,9000")
    assert run("embed", *words, "--model", model, "-o", out).status == 0
    lose_a_chunk(out)
    wrong = run("atlas", "repair", out, "--stretch", "0,8000")
    assert wrong.status == 2
    assert "differs in imagery); name what it was made from" in wrong.err
    done = run("atlas", "repair", out)
    assert done.status == 0, done.err
    assert run("atlas", "verify", out).status == 0


def lose_a_chunk(atlas: Path) -> None:
    file = next(path for path in (atlas / "embeddings" / "c").rglob("*") if path.is_file())
    file.unlink()


def test_an_unfinished_atlas_goes_on_in_its_precision(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "has_bfloat16", lambda: True)
    out = tmp_path / "x.zarr"
    words = ("embed", REGION, "--imagery", "miniworld:2", "--model", model, "-o", out)
    assert run(*words, "--precision", "float32").status == 0
    (out / "zarr.json").unlink()  # as a kill leaves it: this file is written last
    lose_a_chunk(out)
    done = run(*words)
    assert done.status == 0, done.err
    assert open_atlas(out).model["precision"] == "float32"
    assert "computing       float32" in done.err


def test_check_says_places_and_extents_as_they_are_written(tmp_path: Path) -> None:
    """At the antimeridian and over a pole, where the middle of two edges is elsewhere."""
    done = run("imagery", "check", "miniworld:2", "--at", "180,10")
    assert "patch        480 m at 180.00000,10.00000" in done.out
    nowhere = run("imagery", "check", "miniworld:2", "--at", "500,3")
    assert nowhere.err.startswith("error: place '500,3' is not on Earth")
    grids = {
        "dateline": ("EPSG:32660", from_origin(690_000, 5_800_000, 1000, 1000), "179.", "-179."),
        "pole": ("EPSG:3031", from_origin(-30_000, 30_000, 1000, 1000), "-180.0", "180.0"),
    }
    for name, (crs, transform, west, east) in grids.items():
        path = tmp_path / f"{name}.tif"
        profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": 60, "height": 60}
        with rasterio.open(path, "w", crs=crs, transform=transform, **profile) as file:
            file.write(np.full((3, 60, 60), 99, np.uint8))
        done = run("imagery", "check", path)
        extent = next(line for line in done.out.splitlines() if line.startswith("extent"))
        edges = extent.split()[1].split(",")
        assert edges[0].startswith(west), extent
        assert edges[2].startswith(east), extent
        assert "missing      0%" in done.out


def test_embed_takes_bands_and_stretch(model: Path, deep: Path, tmp_path: Path) -> None:
    words = ("embed", "--imagery", deep, "--model", model, "-o")
    assert run(*words, tmp_path / "none.zarr").status == 2
    assert run(*words, tmp_path / "a.zarr", "--bands", "4,3,2", "--stretch", "0,3000").status == 0
    assert run(*words, tmp_path / "b.zarr", "--recipe", "sentinel2").status == 0
    assert run(*words, tmp_path / "c.zarr", "--recipe", "sentinel2", "--stretch", "0,9000").status == 0
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
        lose_a_chunk(out)
        mended = run("atlas", "repair", out)
    assert done.status == 0, done.err
    assert mended.status == 0, mended.err
    atlas = open_atlas(out)
    assert (atlas.status[atlas.wanted] == CellStatus.OK).all()
    assert [item["id"] for item in atlas.imagery["items"]] == ["scene"]
    assert atlas.imagery["items"][0]["cloud_cover"] == 2.0
    assert zarr.open_group(out).attrs["sat2cap:imagery"]["items"] == atlas.imagery["items"]


def test_the_former_name_of_stretch_works_and_is_not_listed(deep: Path) -> None:
    words = ("imagery", "check", deep, "--bands", "4,3,2")
    former = run(*words, "--scale", "0,3000")
    assert former.status == 0, former.err
    assert "mean colour  204, 153, 102" in former.out
    assert "mean colour  204, 153, 102" in run(*words, "--scale=0,3000").out
    assert "stretch '9,1': give the values" in run(*words, "--scale", "9,1").err
    for command in (("imagery", "check"), ("embed",), ("atlas", "repair"), ("pairs", "build")):
        help_text = run(*command, "--help").out
        assert "--stretch" in help_text
        assert "--scale" not in help_text
        listed = run(*command, "--scale")
        assert listed.status == 2
        assert "--stretch" in listed.err  # it needs a value: so it is known, and as what
