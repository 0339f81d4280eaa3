"""A written score read back by others."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from made_up_scores import ABOUT, made_up, three_prompts
from rio_cogeo import cog_validate

from sat2cap.errors import InputError
from sat2cap.geo.frame import grid_of
from sat2cap.maps.cog import write_cog


@pytest.mark.parametrize("shape", [(1, 1), (40, 60), (700, 1100)])
def test_a_valid_cog_with_the_same_numbers_in_the_same_place(tmp_path: Path, shape: tuple[int, int]) -> None:
    score = made_up(*shape)
    path = tmp_path / "deeper" / "out.tif"
    write_cog(score, path)

    valid, errors, warnings = cog_validate(path, strict=True)
    assert (valid, errors, warnings) == (True, [], [])
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(1), score.values)
        assert file.transform == grid_of(score).affine
        assert file.crs.to_epsg() == 32631
        assert file.dtypes == ("float32",)
        assert np.isnan(file.nodata)
        assert (file.read_masks(1) == 0).sum() == np.isnan(score.values).sum()
        assert bool(file.overviews(1)) == (max(shape) > 512)
    assert [p.name for p in path.parent.iterdir()] == ["out.tif"], "no temporary or side files"


def test_what_it_says_of_itself(tmp_path: Path) -> None:
    write_cog(made_up(), tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as file:
        tags = file.tags()
        assert {name: tags[name] for name in ABOUT} == ABOUT
        assert tags["TIFFTAG_COPYRIGHT"] == "somebody"
        assert tags["TIFFTAG_SOFTWARE"].startswith("sat2cap ")
        assert file.descriptions == ("a busy street",)
        assert file.units == ("cosine",)
        assert float(file.tags(1)["STATISTICS_MAXIMUM"]) == pytest.approx(0.3)


def test_a_band_for_each_prompt(tmp_path: Path) -> None:
    score = three_prompts()
    write_cog(score, tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.descriptions == ("snow", "a $5 ice", "ü")
        assert file.tags()["prompt"] == "snow | a $5 ice | ü"
        np.testing.assert_array_equal(file.read(), score.values)


def test_overviews_average_what_has_data(tmp_path: Path) -> None:
    score = made_up(700, 1100)
    score.values[:] = 1
    score.values[::2, ::2] = np.nan
    write_cog(score, tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as file:
        coarse = file.read(1, out_shape=(350, 550))
    np.testing.assert_allclose(coarse, 1, rtol=1e-6)


def test_a_map_without_any_data_is_still_a_map(tmp_path: Path) -> None:
    score = made_up()
    score.values[:] = np.nan
    write_cog(score, tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as file:
        assert np.isnan(file.read(1)).all()


def test_the_same_score_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        write_cog(made_up(), tmp_path / name)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    write_cog(made_up(), path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"not \(x, y\)"):
        write_cog(made_up().transpose("x", "y"), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out.tif"]
