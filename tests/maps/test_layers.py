"""What a score of several maps says of each."""

import numpy as np
import pytest
from made_up_scores import made_up, three_months, three_prompts

from sat2cap.errors import InputError
from sat2cap.maps.decoration.text import subtitle_of
from sat2cap.maps.layers import layers_of, names_of, one_layer, provenance, scale_of, with_standard_attributes


def test_prompts_and_dates_are_names() -> None:
    assert names_of(made_up()) == ["a busy street"]
    assert names_of(three_prompts()) == ["snow", "a $5 ice", "ü"]
    assert names_of(three_months()) == ["2024-01-15T12:00", "2024-04-15T12:00", "2024-07-15T12:00"]
    two_prompts = three_months().expand_dims(prompt=["snow", "sea"])
    assert names_of(two_prompts)[:4] == [f"snow, {name}" for name in names_of(three_months())] + [
        "sea, 2024-01-15T12:00"
    ]


def test_a_selected_map_knows_its_own_prompt_and_date() -> None:
    """A score made for three keeps attributes of all three; a slice of it must not carry them on."""
    july = three_months().isel(time=2)
    assert provenance(july)["when"] == "2024-07-15T12:00"
    assert provenance(three_prompts().isel(prompt=0))["prompt"] == "snow"
    assert provenance(three_prompts().isel(prompt=[0, 2]))["prompt"] == "snow | ü"
    assert provenance(three_months())["when"].count(" | ") == 2


def test_a_selected_map_says_whether_few_photos_fit_its_own_prompt() -> None:
    few = three_prompts().assign_attrs(
        few_photos=["snow: about 3 of 2,000 photos", "ü: about 9 of 50 photos"]
    )
    assert provenance(few)["few_photos"] == "snow: about 3 of 2,000 photos; ü: about 9 of 50 photos"
    assert provenance(few.isel(prompt=0))["few_photos"] == "snow: about 3 of 2,000 photos"
    assert "few_photos" not in provenance(few.isel(prompt=1))
    assert subtitle_of(few.isel(prompt=0)).endswith("few photos fit: snow: about 3 of 2,000 photos")
    assert with_standard_attributes(few).attrs["few_photos"].count(" | ") == 1


def test_contrast_says_whether_it_is_a_chance() -> None:
    share = made_up().assign_attrs(scale="contrast")
    assert scale_of(share).label == "share against generic prompts (0 to 1)"
    chance = share.assign_attrs(calibration="2,000 photos held out of training")
    assert scale_of(chance).label == "share of photos that CLIP would say fit (0 to 1)"
    assert provenance(chance)["calibration"] == "2,000 photos held out of training"


def test_layers_hold_the_values_in_order() -> None:
    two_prompts = three_months().expand_dims(prompt=["snow", "sea"])
    layers = layers_of(two_prompts)
    assert len(layers) == 6
    np.testing.assert_array_equal(layers[5].values, two_prompts.values[1, 2])


@pytest.mark.parametrize("dims", [("x", "y"), ("y", "x", "prompt"), ("band", "y", "x")])
def test_other_dimensions_are_refused(dims: tuple[str, ...]) -> None:
    score = made_up() if len(dims) == 2 else three_prompts()
    if "band" in dims:
        score = score.rename(prompt="band")
    with pytest.raises(InputError, match="transpose or select"):
        layers_of(score.transpose(*dims))


def test_one_of_several_is_asked_for() -> None:
    with pytest.raises(InputError, match="this score has 3"):
        one_layer(three_months(), "tiles show")


def test_words_of_scales() -> None:
    def label(**attrs: object) -> str:
        return scale_of(made_up().assign_attrs(attrs)).label

    assert label(scale="difference of percentile") == "difference of percentile within the region (%)"
    assert label(scale="difference of contrast").endswith("generic prompts (no unit)")
    assert label(scale="something else") == "something else (no unit)"
    assert scale_of(made_up().assign_attrs(scale="difference of cosine")).centred


def test_ordinary_objects_have_what_xarray_looks_for() -> None:
    score = with_standard_attributes(three_prompts().assign_attrs(negatives=["rain", "fog"]))
    assert score.name == "score"
    assert score.attrs["long_name"] == "cosine similarity less that of the negatives"
    assert score.attrs["negatives"] == "rain | fog"
    assert np.isnan(score.encoding["_FillValue"])
    assert score.encoding["grid_mapping"] == "spatial_ref"
