"""What an atlas knows of single places, and the phrases nearest to them."""

from pathlib import Path

import numpy as np
import pytest
from made_model import atlas, embeddings, grid, model

from sat2cap.errors import AtlasError, InputError, PromptError
from sat2cap.geo.grid import cell_lonlat
from sat2cap.geo.region import parse_place
from sat2cap.geo.when import When
from sat2cap.query.phrases import nearest_phrases
from sat2cap.query.points import embeddings_at

WHEN = When(2021, 1, 15, 12.0)


def test_a_place_has_its_own_cells_embedding_and_moment(tmp_path: Path) -> None:
    checkpoint, values, holes = model(), embeddings(9, 7, 64), np.zeros((9, 7), bool)
    holes[3, 2] = True
    opened = atlas(tmp_path / "x.zarr", values, checkpoint, holes, dtype="float16")
    lon, lat = cell_lonlat(grid(9, 7))
    cells = [(0, 0), (8, 5), (3, 2), (4, 3)]
    places = [(float(lon[cell]), float(lat[cell])) for cell in cells]
    result = embeddings_at(opened, checkpoint, [*places, (100.0, -80.0), (0.0, 90.0)])
    for row, cell in zip(result, cells, strict=False):
        expected = np.full(64, np.nan) if holes[cell] else values[cell]
        np.testing.assert_allclose(row, expected, rtol=2e-3, atol=1e-3)
    assert np.isnan(result[4:]).all(), "outside"
    offset = checkpoint.dynamic_offset(places[1][1], places[1][0], 2021, 1, 15, 12.0)[0]
    conditioned = embeddings_at(opened, checkpoint, places, WHEN)
    np.testing.assert_allclose(conditioned[1] - result[1], offset, atol=1e-4)
    assert np.isnan(conditioned[2]).all()
    with pytest.raises(AtlasError, match="is not the model of this atlas"):
        embeddings_at(opened, model(seed=5), places)


def test_a_model_that_knows_no_time_says_the_same_at_any(tmp_path: Path) -> None:
    checkpoint = model(dynamic=False)
    opened = atlas(tmp_path / "x.zarr", embeddings(3, 3, 64), checkpoint, np.zeros((3, 3), bool))
    lon, lat = cell_lonlat(grid(3, 3))
    place = [(float(lon[1, 1]), float(lat[1, 1]))]
    np.testing.assert_array_equal(
        embeddings_at(opened, checkpoint, place, WHEN), embeddings_at(opened, checkpoint, place)
    )


@pytest.mark.parametrize("text", ["", "4.9", "4.9,52,1", "a,b", "200,3", "3,-91"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"write (LON,LAT|4\.9,52\.37)"):
        parse_place(text)
    assert parse_place(" -4.9,52.37 ") == (-4.9, 52.37)


def test_the_nearest_phrases_are_those_of_the_greatest_cosine() -> None:
    checkpoint, bank = model(), ["snow", "a beach", "a town", "snow", "the sea"]
    rows = checkpoint.embed_text(["the sea", "a beach"]) * np.array([[9.0], [0.1]], np.float32)
    result = nearest_phrases(
        checkpoint, np.concatenate([rows, np.full((1, 64), np.nan, np.float32)]), bank, 3
    )
    assert [some[0].phrase for some in result[:2]] == ["the sea", "a beach"]
    assert result[0][0].cosine == pytest.approx(1, abs=1e-5)
    cosines = (
        checkpoint.embed_text(["snow", "a beach", "a town", "the sea"])
        @ checkpoint.embed_text(["a beach"])[0]
    )
    assert [near.cosine for near in result[1]] == pytest.approx(sorted(cosines, reverse=True)[:3], abs=1e-5)
    assert result[2] == []
    with pytest.raises(PromptError, match="empty"):
        nearest_phrases(checkpoint, rows, [])
