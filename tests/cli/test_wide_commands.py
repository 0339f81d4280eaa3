"""A wide atlas by the command line, from a region of the miniature world across two UTM zones to its maps."""

import json
import subprocess

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import zarr
from command import run

import sat2cap
from sat2cap.geo import cell_lonlat, grid_of

REGION = "-72.04,46,-71.96,46.04"
"""On land, across the edge of zones 18 and 19."""


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    out = tmp_path_factory.mktemp("wide") / "w.zarr"
    done = run("embed", REGION, "--imagery", "miniworld:2", "--model", "miniclip", "--crs", "utm", "-o", out)
    assert done.status == 0, done.err
    assert done.err.count("cells of 480 m in EPSG:326") == 2
    assert f"{out}: " in done.out
    assert "cells embedded" in done.out
    return out


def test_it_is_described_verified_prepared_and_repaired(wide):
    info = run("atlas", "info", wide)
    assert "EPSG:32618" in info.out
    assert "EPSG:32619" in info.out
    assert info.out.splitlines()[1].split() == ["complete", "yes"]
    assert run("atlas", "verify", wide).out == f"{wide}: sound\n"
    before = sat2cap.open(wide).map("a forest")
    assert run("atlas", "prepare", wide).out == f"{wide}\n"
    assert np.array_equal(sat2cap.open(wide).map("a forest").values, before.values, equal_nan=True)
    assert run("atlas", "repair", wide).out == f"{wide}: nothing has to be computed again\n"
    file = next(path for path in (wide / "utm19n" / "scale" / "c").rglob("*") if path.is_file())
    sound = file.read_bytes()
    file.write_bytes(b"x" + sound[1:])
    verified = run("atlas", "verify", wide)
    assert verified.status == 1
    assert "utm19n: scale/c/" in verified.out
    repaired = run("atlas", "repair", wide)
    assert "1 damaged chunks computed again" in repaired.out, repaired.err
    assert file.read_bytes() == sound


def test_a_map_a_difference_and_classes_are_files_across_the_edge(wide, tmp_path):
    for words, crs in (([], 6933), (["--crs", "EPSG:3857"], 3857), (["--crs", "EPSG:32618"], 32618)):
        out = tmp_path / f"{crs}.tif"
        done = run("map", wide, "a forest", "-o", out, *words)
        assert done.status == 0, done.err
        with rasterio.open(out) as dataset:
            assert dataset.crs.to_epsg() == crs
            values = dataset.read(1)
        score = sat2cap.open(wide).map("a forest", crs=f"EPSG:{crs}")
        np.testing.assert_array_equal(values, score.values)
        lon, lat = cell_lonlat(grid_of(score))
        inside = (np.abs(lon + 72) < 0.035) & (np.abs(lat - 46.02) < 0.017)
        assert np.isfinite(values[inside]).all()
    for command, prompts in (("difference", ["a forest", "a town"]), ("classify", ["a forest", "a town"])):
        done = run(command, wide, *prompts, "-o", tmp_path / f"{command}.tif")
        assert done.status == 0, done.err
    for suffix in ("png", "pmtiles", "geojson"):
        assert run("map", wide, "a forest", "-o", tmp_path / f"m.{suffix}").status == 0
    assert run("map", wide, "a forest", "-o", tmp_path / "x.tif", "--crs", "EPSG:4326").status != 0


def test_search_and_zones(wide, tmp_path):
    best = sat2cap.open(wide).search("a forest", top=3)
    found = run("search", wide, "a forest", "--top", 3)
    assert [line.split()[1] for line in found.out.splitlines()[1:]] == [f"{s:.4f}" for s in best["score"]]
    boxes = [shapely.box(-72.03, 46.01, -71.97, 46.03), shapely.box(-72.03, 46.01, -72.01, 46.03)]
    zones = tmp_path / "zones.gpkg"
    gpd.GeoDataFrame({"name": ["both", "west"]}, geometry=boxes, crs="EPSG:4326").to_file(zones)
    done = run("zones", wide, "a forest", "--zones", zones, "-o", tmp_path / "z.geojson")
    assert done.status == 0, done.err
    table = gpd.read_file(tmp_path / "z.geojson")
    np.testing.assert_allclose(table["covered_share"], 1, atol=1e-3)
    assert run("zones", wide, "a forest", "--zones", zones, "-o", tmp_path / "z.png").status == 0


def test_a_published_copy_is_asked_as_the_atlas_is(wide, tmp_path):
    done = run("atlas", "publish", wide, tmp_path / "public", "--url", "https://example.org/w")
    assert done.status == 0, done.err
    copy, stac = tmp_path / "public" / "w.zarr", ["w-utm18n.json"]
    opened = sat2cap.open(copy)
    assert opened.atlas.identity == sat2cap.open(wide).atlas.identity
    expected = sat2cap.open(wide).map("a forest", crs="EPSG:3857")
    assert np.array_equal(opened.map("a forest", crs="EPSG:3857").values, expected.values, equal_nan=True)
    assert run("search", copy, "a forest", "--top", 2).out == run("search", wide, "a forest", "--top", 2).out
    assert run("atlas", "info", copy).status == 0
    assert "sha256sum -c w.sha256" in run("atlas", "verify", copy).err
    for command in ("repair", "prepare"):
        assert "is a published copy, which is only read; give the atlas" in run("atlas", command, copy).err
    item, collection = (json.loads((copy.parent / name).read_text()) for name in (*stac, "collection.json"))
    assert item["assets"]["embeddings"]["href"] == "./w.zarr/utm18n"
    assert [link["href"] for link in collection["links"] if link["rel"] == "item"] == [
        "./w-utm18n.json",
        "./w-utm19n.json",
    ]
    whole, *boxes = collection["extent"]["spatial"]["bbox"]
    assert boxes[0] == item["bbox"]
    assert whole == [
        *(min(box[n] for box in boxes) for n in (0, 1)),
        *(max(box[n] for box in boxes) for n in (2, 3)),
    ]
    assert set(zarr.open_group(copy, mode="r").group_keys()) == {"utm18n", "utm19n"}
    subprocess.run(["sha256sum", "-c", "--quiet", "w.sha256"], cwd=tmp_path / "public", check=True)
    short = run("atlas", "publish", wide, tmp_path / "short", "--depth", 8)
    assert short.status == 0, short.err
    assert (
        zarr.open_group(tmp_path / "short/w.zarr/utm19n", mode="r").attrs["geoemb:depths"][0]["dimensions"]
        == 8
    )


def test_its_maps_are_judged_by_the_truth_of_the_planet(wide):
    done = run("evaluate", "maps", wide)
    assert done.status == 0, done.err
    assert "auroc.mean" in done.out
    done = run("evaluate", "time", wide, "--prompt", "snow")
    assert "has no Dynamic Encoder" in done.err
