"""The conditioning of a score: data in its attributes, words in files."""

import json
from pathlib import Path

import geopandas as gpd
import pyarrow.parquet as pq
import pytest
from made_up_scores import made_up

from sat2cap.geo.when import When
from sat2cap.maps.conditioning import Conditioning, conditioning_of, date_warning
from sat2cap.maps.layers import provenance, stack_times
from sat2cap.maps.places import top_places, write_places

OUT_OF_RANGE = {"dynamic": "year-out-of-range", "training_years": [2018, 2021]}
WORDS = "outside the years of the training photos, 2018 to 2021: the model guesses"


@pytest.mark.parametrize(
    ("attrs", "warning"),
    [
        ({}, ""),
        ({"dynamic": "static"}, ""),
        ({"dynamic": "dynamic"}, ""),
        ({"dynamic": "no-dynamic-encoder"}, "ignored: the model has no Dynamic Encoder"),
        (OUT_OF_RANGE, WORDS),
    ],
)
def test_only_a_date_that_does_not_count_is_warned_of(attrs: dict[str, object], warning: str) -> None:
    assert date_warning(attrs) == warning


def test_other_texts_are_no_conditioning() -> None:
    assert conditioning_of({"dynamic": "perhaps"}) is None
    assert [conditioning_of({"dynamic": value.value}) for value in Conditioning] == list(Conditioning)


@pytest.mark.parametrize("suffix", [".geojson", ".parquet"])
def test_places_carry_data_and_their_files_words(tmp_path: Path, suffix: str) -> None:
    places = top_places(made_up().assign_attrs(OUT_OF_RANGE), 3)
    assert (places.attrs["dynamic"], places.attrs["training_years"]) == ("year-out-of-range", [2018, 2021])
    write_places(places, tmp_path / f"p{suffix}")
    if suffix == ".geojson":
        tags = json.loads((tmp_path / "p.geojson").read_text())["sat2cap"]
    else:
        tags = json.loads(pq.read_schema(tmp_path / "p.parquet").metadata[b"sat2cap"])
        assert isinstance(gpd.read_parquet(tmp_path / "p.parquet"), gpd.GeoDataFrame)
    assert tags["dynamic"] == WORDS
    assert "training_years" not in tags


def test_one_year_out_of_range_marks_the_whole_series() -> None:
    layer = made_up().expand_dims(prompt=["snow"])
    scores = [layer.assign_attrs(dynamic="dynamic"), layer.assign_attrs(OUT_OF_RANGE)]
    series = stack_times(scores, [When(2020, 5, 1, 12.0), When(2030, 5, 1, 12.0)])
    assert conditioning_of(series.attrs) is Conditioning.YEAR_OUT_OF_RANGE
    assert provenance(series)["dynamic"] == WORDS
