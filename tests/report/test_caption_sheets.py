"""Figure 6: which places, whose photos, and where on the map, read back from the pixels."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))  # seeing lives there

from seeing import Plain, seeing

from sat2cap.evaluation.captions.generation import GalleryCaptions
from sat2cap.evaluation.miniworld.captions import JANUARY, JULY
from sat2cap.evaluation.retrieval.gallery import decode_image, embed_gallery
from sat2cap.report.figures.captions import CaptionColumn, CaptionRow, caption_figure, caption_sheet

LON, LAT = np.array([0.0, 100.0]), np.array([-20.0, 40.0])


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def near(pixels: np.ndarray, colour: tuple[int, int, int], most: int = 12) -> np.ndarray:
    return np.abs(pixels - colour).max(-1) < most


def sheet(words: list[CaptionColumn], lon: float = 0.0, lat: float = -20.0) -> np.ndarray:
    patch = Image.new("RGB", (30, 30), (10, 200, 30))
    return opened(caption_sheet([CaptionRow("here", patch, lon, lat, words)], LON, LAT))


def test_photos_stand_over_their_caption_in_order() -> None:
    photos = [Image.new("RGB", (40, 30), colour) for colour in ((200, 0, 0), (0, 0, 200))]
    drawn = sheet(
        [CaptionColumn("ours", "a red thing and a blue one", photos), CaptionColumn("CLIP", "nothing")]
    )
    columns = [np.flatnonzero(near(drawn, c).any(0)) for c in ((10, 200, 30), (200, 0, 0), (0, 0, 200))]
    assert [len(column) for column in columns] == [columns[0].size] * 3, "all as large"
    assert columns[0].max() < columns[1].min() <= columns[1].max() < columns[2].min()
    below = np.flatnonzero(near(drawn, (200, 0, 0)).any(1)).max() + 3
    dark = near(drawn[below:, columns[1].min() : columns[2].max()], (29, 26, 38))
    assert dark.any(), "the caption"


def test_longer_captions_take_more_lines_and_stay_in_their_column() -> None:
    long = "a very long caption of many words that cannot stand on a single line"
    drawn = sheet([CaptionColumn("one", long), CaptionColumn("two", "")])
    ink = near(drawn, (29, 26, 38))
    lines = np.flatnonzero(np.diff(np.concatenate([[0], ink.any(1).astype(int)])) == 1)
    assert len(lines) >= 3
    wide = np.ptp(np.flatnonzero(ink.any(0)))
    assert 200 < wide <= 2 * 140, "two pixels a unit"


def test_no_caption_runs_into_the_next_row() -> None:
    photo = Image.new("RGB", (30, 30), (200, 0, 0))
    long = CaptionColumn("ours", "so many words " * 20, [photo])
    rows = [CaptionRow("here", photo, 0.0, -20.0, [long]) for _ in range(2)]
    drawn = opened(caption_sheet(rows, LON, LAT))
    second = np.flatnonzero(near(drawn, (200, 0, 0)).sum(1) > 300)
    start = second[np.flatnonzero(np.diff(second) > 1)[-1] + 1]
    ink = np.flatnonzero(near(drawn, (29, 26, 38))[:start].any(1)).max()
    assert ink < start - 2 * 16, "above the second row's title"


@pytest.mark.parametrize(("lon", "lat"), [(0.0, -20.0), (100.0, 40.0), (50.0, 10.0)])
def test_the_place_is_marked_where_it_lies(lon: float, lat: float) -> None:
    drawn = sheet([CaptionColumn("ours", "")], lon, lat)
    map_rows, map_columns = (
        np.flatnonzero(near(drawn, (246, 244, 249), 4).sum(axis) > 20) for axis in (1, 0)
    )
    rows, columns = (np.flatnonzero(near(drawn, (168, 50, 125)).sum(axis) > 3) for axis in (1, 0))
    x = (columns.mean() - map_columns.min() - 10) / (np.ptp(map_columns) - 20)
    y = (rows.mean() - map_rows.min() - 10) / (np.ptp(map_rows) - 20)
    assert x == pytest.approx(lon / 100, abs=0.04)
    assert y == pytest.approx((40 - lat) / 60, abs=0.06)


@pytest.mark.parametrize("dynamic", [True, False])
def test_the_figure_has_places_outside_the_tropics_and_the_photos_nearest_to_them(dynamic: bool) -> None:
    eye = seeing(dynamic=dynamic)
    gallery = embed_gallery(Plain(), eye)
    numbers = [f"caption {number}" for number in range(len(gallery.lon))]
    months = {JANUARY: numbers, JULY: numbers} if dynamic else {}
    captions = GalleryCaptions(gallery, {"": numbers, "clip": numbers}, months)
    (picture,) = caption_figure(Plain(), "test", captions, eye, rows=4)
    assert ("outside the tropics" in picture.caption) is dynamic
    drawn = opened(picture.data)
    latitudes = []
    for number in range(4):
        top = 2 * (12 + 16) + 2 * number * (16 + 104 + 4 + 16 + 12)  # two pixels a unit, one line of words
        patch, photo = drawn[top + 50, 2 * 12 + 50], drawn[top + 50, 2 * (12 + 104 + 12) + 50]
        pairs = {tuple(np.asarray(decode_image(p.ground))[0, 0]): p.lat for p in Plain().read("test")}
        (lat,) = (lat for colour, lat in pairs.items() if np.abs(patch - np.array(colour)).max() < 6)
        latitudes.append(lat)
        if not dynamic:
            assert np.abs(photo - patch).max() < 6, "a place's own photo is nearest to it"
    assert latitudes == sorted(latitudes, reverse=True)
    assert sum(lat < 0 for lat in latitudes) == 2
    if dynamic:
        assert min(map(abs, latitudes)) > 23.4
