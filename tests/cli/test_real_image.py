"""A real image and a network for large patches: aligned with the input, no data where the image has none."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from command import run
from rasterio.warp import transform_bounds
from rio_cogeo import cog_validate

from sat2cap.api.embedding import extent_of
from sat2cap.geo.grid import cell_grid
from sat2cap.imagery.raster import open_raster

DATA = Path(__file__).parents[3] / "shared" / "data"

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is absent: no real image to try")


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CLIP ViT-B/32 in the Hugging Face layout, with 2 layers for images and 1 for texts."""
    from tiny_model import tiny_tokenizer
    from transformers import CLIPConfig, CLIPModel

    folder = tmp_path_factory.mktemp("b32")
    tokenizer = tiny_tokenizer(folder / "made")
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {
        "vocab_size": len(tokenizer),
        "num_hidden_layers": 1,
        "pad_token_id": tokenizer.pad_token_id,
        **ends,
    }
    # transformers' own defaults are B/32; each of its twelve layers would take a second of these tests
    model = CLIPModel(CLIPConfig(text_config=text, vision_config={"num_hidden_layers": 2}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        '{"resample": 3, "size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}'
    )
    return folder


@needs_data
def test_sentinel_scene_with_gaps(full_size: Path, tmp_path: Path) -> None:
    image, atlas, out = DATA / "overhead" / "TCI.tif", tmp_path / "x.zarr", tmp_path / "m.tif"
    cells = ("--cell", 20_000, "--model", full_size, "-o", atlas)
    done = run("embed", "--imagery", image, *cells)
    assert done.status == 0, done.err
    assert run("map", atlas, "a forest", "-o", out).status == 0
    assert cog_validate(out, strict=True)[0]
    with rasterio.open(out) as score, rasterio.open(image) as source:
        assert score.crs == source.crs
        for mine, theirs, inward in zip(score.bounds, source.bounds, (1, 1, -1, -1), strict=True):
            assert 0 <= (theirs - mine) * inward < 20_000, "the cells cover the image, and no more"
        values, (height, width) = score.read(1), score.shape
        share = np.empty((height, width))
        for row, col in np.ndindex(height, width):
            window = source.window(
                *rasterio.windows.bounds(((row, row + 1), (col, col + 1)), score.transform)
            )
            share[row, col] = (source.read_masks(1, window=window, boundless=True) > 0).sum() / 200**2
        known = np.isfinite(values)
        assert known[share > 0.6].all()
        assert not known[share < 0.4].any()
        assert known.any()
        assert np.nanstd(values) > 0


@needs_data
def test_aerial_photo_in_another_crs(full_size: Path, tmp_path: Path) -> None:
    image, atlas, out = DATA / "overhead" / "aerial_korea_0.6m.tif", tmp_path / "x.zarr", tmp_path / "m.tif"
    done = run("embed", "--imagery", image, "--cell", 120, "--model", full_size, "-o", atlas)
    assert done.status == 0, done.err
    assert run("map", atlas, "a street", "-o", out).status == 0
    with rasterio.open(out) as score, rasterio.open(image) as source:
        mine = transform_bounds(score.crs, "EPSG:4326", *score.bounds)
        theirs = transform_bounds(source.crs, "EPSG:4326", *source.bounds)
        assert np.allclose(mine, theirs, atol=240 / 88_000)
        assert 9 <= np.isfinite(score.read(1)).sum() <= 36


def test_all_of_an_image_across_the_antimeridian(tmp_path: Path) -> None:
    path = tmp_path / "dateline.tif"
    transform = Affine(100, 0, 780_000, 0, -100, 6_000_000)  # UTM 60 N, to about 181 degrees east
    profile = {"driver": "GTiff", "width": 900, "height": 500, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", crs="EPSG:32660", transform=transform, **profile) as file:
        file.write(np.full((3, 500, 900), 99, np.uint8))
    region = extent_of(open_raster(str(path)))
    grid = cell_grid(region, 1000, "EPSG:32660")
    height, width = grid.shape
    assert (50, 90) <= (height, width) <= (54, 94)
