"""Differences and categories, against what the made-up numbers say."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from made_up_scores import made_up, three_classes, three_prompts
from PIL import Image
from rio_cogeo import cog_validate

from sat2cap.errors import InputError, PromptError
from sat2cap.maps.cog import write_category_cog
from sat2cap.maps.colours import CATEGORIES, paint_of
from sat2cap.maps.compare import classify, difference, on_common_cells
from sat2cap.maps.decoration.text import credits_of
from sat2cap.maps.few_photos import few_photos_warning
from sat2cap.maps.layers import provenance
from sat2cap.maps.picture import write_png
from sat2cap.maps.places import areas_of_categories


def test_a_difference_says_both_sides() -> None:
    summer = made_up() * 0.5
    summer.attrs = {**made_up().attrs, "when": "2024-07-01T12:00"}
    result = difference(made_up(), summer)
    np.testing.assert_allclose(result.values, made_up().values / 2, rtol=1e-6)
    texts = provenance(result)
    assert texts["when"] == "2024-05-20T08:00 minus 2024-07-01T12:00"
    assert texts["prompt"] == "a busy street"
    assert texts["scale"] == "difference of cosine"
    assert texts["licence"] == "CC0-1.0"
    beach = made_up().assign_attrs(prompt="a beach", when="")
    assert provenance(difference(beach, made_up()))["prompt"] == "a beach minus a busy street"
    assert provenance(difference(beach, made_up()))["when"] == "any time minus 2024-05-20T08:00"


def test_a_difference_says_which_of_its_sides_few_photos_fit() -> None:
    listed = {"snow": ["snow: about 3 of 2,000 photos"], "fog": ["fog: about 9 of 2,000 photos"]}
    sand = made_up().assign_attrs(prompt="sand")
    snow, fog = (sand.assign_attrs(prompt=name, few_photos=entries) for name, entries in listed.items())
    both = few_photos_warning(difference(snow, fog).attrs)
    assert both.startswith(f"few held-out photos fit ({listed['snow'][0]}; {listed['fog'][0]}): compare")
    assert listed["fog"][0] in few_photos_warning(difference(sand, fog).attrs)
    assert few_photos_warning(difference(snow, snow).attrs).count("about 3") == 1
    assert few_photos_warning(difference(sand, sand).attrs) == ""


def test_a_difference_of_two_atlases_names_and_credits_both() -> None:
    new = made_up().assign_attrs(imagery="2024.tif", identity="aa", attribution="Who flew", licence="CC0-1.0")
    old = made_up().assign_attrs(
        imagery="1985.tif", identity="bb", attribution="Who orbits", licence="CC0-1.0"
    )
    texts = provenance(difference(new, old))
    assert texts["imagery"] == "2024.tif minus 1985.tif"
    assert texts["identity"] == "aa minus bb"
    assert texts["attribution"] == "Who flew; Who orbits"
    assert texts["licence"] == "CC0-1.0"
    on_disk = [side.assign_attrs(imagery=f"/home/me/{side.attrs['imagery']}") for side in (new, old)]
    assert "imagery 2024.tif minus 1985.tif" in credits_of(difference(*on_disk))


def test_two_maps_are_cut_to_the_cells_that_both_have() -> None:
    whole = made_up(40, 50)
    first, second = whole.isel(y=slice(0, 30), x=slice(10, 50)), whole.isel(y=slice(20, 40), x=slice(0, 30))
    one, other = on_common_cells(first, second)
    assert one.shape == other.shape == (10, 20)
    assert one.identical(whole.isel(y=slice(20, 30), x=slice(10, 30)))
    assert other.identical(one)
    with pytest.raises(InputError, match="no cell in common: their regions must overlap"):
        on_common_cells(whole.isel(y=slice(0, 5)), whole.isel(y=slice(5, 40)))
    moved = whole.assign_coords(x=whole.x + 0.5 * float(whole.x[1] - whole.x[0]))
    with pytest.raises(InputError, match=r"different cells .* embed both with the same --cell and --crs"):
        on_common_cells(whole, moved)
    with pytest.raises(InputError, match="different cells"):
        on_common_cells(whole, whole.isel(y=slice(None, None, 2), x=slice(None, None, 2)))


def test_no_data_on_either_side_is_no_data() -> None:
    other = made_up(gaps=False)
    other.values[0, 0] = np.nan
    result = difference(made_up(), other).values
    assert np.isnan(result[0, 0])
    assert np.isnan(result).sum() == np.isnan(made_up().values).sum() + 1


def test_what_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="different grids"):
        difference(made_up(), made_up(41))
    with pytest.raises(InputError, match="cosine and percentile"):
        difference(made_up(), made_up().assign_attrs(scale="percentile"))
    with pytest.raises(InputError, match="this score has 3"):
        difference(three_prompts(), made_up(20, 30))


def test_zero_has_the_middle_colour_of_a_difference() -> None:
    values = made_up()
    values.values[:] = np.where(np.isnan(values.values), np.nan, -0.1)
    values.values[0, :5] = [0.02, 0.02, 0, 0, 0]
    paint = paint_of(values.assign_attrs(scale="difference of cosine"))
    assert paint.norm.vmin == -paint.norm.vmax
    assert paint.norm(0.0) == 0.5
    red, green, blue, opaque = paint.to_rgba(np.array([[0.0, -0.1, 0.1]], np.float32))[0].T.astype(int)
    assert (red[0], green[0], blue[0]) >= (235, 235, 235), "0 is nearly white"
    assert blue[1] > red[1] + 50, "less is blue"
    assert red[2] > blue[2] + 50, "more is red"
    assert opaque.tolist() == [255, 255, 255]
    opacity = paint.overlay_opacities(np.array([[0.0, -0.1, 0.1]], np.float32))[0]
    assert opacity[0] < opacity[1] == pytest.approx(opacity[2], abs=0.01), (
        "over imagery, what changes stands out"
    )


def test_two_maps_that_are_alike_have_a_range_still() -> None:
    paint = paint_of(difference(made_up(), made_up()))
    assert paint.norm.vmin < 0 < paint.norm.vmax


def test_categories_and_their_confidence() -> None:
    classes = three_classes()
    category, confidence = classes["category"].values, classes["confidence"].values
    assert category[0, [0, 10, 20]].tolist() == category[20, [0, 10, 20]].tolist() == [1, 2, 3]
    assert np.isnan(category[29, 0])
    assert np.isnan(confidence[29, 0])
    assert np.isnan(category).sum() == 1
    sure, unsure = np.exp(20 * 0.4), np.exp(20 * 0.01)
    assert confidence[0, 0] == pytest.approx(sure / (sure + 2), rel=1e-4)
    assert confidence[20, 0] == pytest.approx(unsure / (unsure + 2), rel=1e-4)
    assert classes["category"].attrs["categories"] == ["the sea", "a wood", "a $5 ice"]


def test_what_makes_no_categories() -> None:
    with pytest.raises(PromptError, match="each category must differ"):
        classify(three_prompts().assign_coords(prompt=["a", "b", "a"]), 20.0)
    with pytest.raises(InputError, match="1 categories: give 2 to 12"):
        classify(three_prompts().isel(prompt=[0]), 20.0)
    with pytest.raises(InputError, match="dims"):
        classify(made_up(), 20.0)


def test_a_category_geotiff_has_its_colours_and_names(tmp_path: Path) -> None:
    category = three_classes()["category"]
    write_category_cog(category, tmp_path / "c.tif")
    assert cog_validate(tmp_path / "c.tif", strict=True) == (True, [], [])
    with rasterio.open(tmp_path / "c.tif") as file:
        assert file.dtypes == ("uint8",)
        assert file.nodata == 0
        np.testing.assert_array_equal(file.read(1), np.nan_to_num(category.values))
        table = file.colormap(1)
        assert "#{:02X}{:02X}{:02X}".format(*table[2][:3]) == CATEGORIES[1]
        tags = file.tags()
        assert (tags["category_1"], tags["category_3"]) == ("the sea", "a $5 ice")
        assert tags["attribution"] == "somebody"


def test_overviews_of_categories_are_categories(tmp_path: Path) -> None:
    classes = three_classes()["category"]
    large = classes.isel(y=np.repeat(np.arange(30), 20), x=np.repeat(np.arange(30), 20))
    from sat2cap.geo.frame import grid_of, on_grid

    box = grid_of(made_up(600, 600))
    write_category_cog(on_grid(large.values, box, attrs=classes.attrs), tmp_path / "c.tif")
    with rasterio.open(tmp_path / "c.tif", overview_level=0) as file:
        assert file.shape == (300, 300)
        assert set(np.unique(file.read(1))) == {0, 1, 2, 3}


def test_areas_of_categories() -> None:
    classes = three_classes()
    areas = areas_of_categories(classes["category"], classes["confidence"])
    assert areas["category"].tolist() == ["a wood", "a $5 ice", "the sea"]
    assert areas["cells"].tolist() == [300, 300, 299]
    assert areas["km2"].sum() == pytest.approx(899 * 0.48**2, rel=5e-3)
    confidence = classes["confidence"].values[:, 10:20]
    assert areas["mean"][0] == pytest.approx(confidence.mean(), rel=1e-5)


def test_less_sure_cells_are_paler(tmp_path: Path) -> None:
    classes = three_classes()
    write_png(classes["category"], tmp_path / "c.png", confidence=classes["confidence"])
    image = Image.open(tmp_path / "c.png")
    assert image.text["Title"] == "the sea, a wood, a $5 ice"
    colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
    sure = tuple(int(CATEGORIES[0][i : i + 2], 16) for i in (1, 3, 5))
    assert sure in colours or any(max(abs(a - b) for a, b in zip(sure, c, strict=True)) <= 3 for c in colours)
    pale = [c for c in colours if c[2] > 230 and 150 < c[0] < 220 and c[1] > c[0]]
    assert pale, "the south of the sea, hardly more than a guess"
