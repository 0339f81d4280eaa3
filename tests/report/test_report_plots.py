"""Figures of evaluations: looked at by their pixels."""

import io

import numpy as np
from PIL import Image

from sat2cap.evaluation.clusters.evaluation import ClusterMap
from sat2cap.evaluation.maps.classes import LandClass
from sat2cap.evaluation.maps.landcover import LandMaps
from sat2cap.report.figures.plots import calendar_picture, cluster_picture, landcover_picture, silhouette_plot
from sat2cap.report.figures.sheets import Strip, contact_sheet

RIGHT = (0x1F, 0x8A, 0x4C)


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def near(pixels: np.ndarray, colour: tuple[int, ...], off: int = 12) -> np.ndarray:
    return (np.abs(pixels - np.array(colour)) < off).all(-1)


def test_a_sheet_shows_every_photo_and_frames_the_right_one() -> None:
    colours = [(200, 30, 40), (30, 40, 200), (220, 200, 30)]
    photos = [(Image.new("RGB", (20, 30), c), "", i == 1) for i, c in enumerate(colours)]
    strips = [Strip("a place", Image.new("RGB", (9, 9), (0, 0, 0)), photos)] * 2
    pixels = opened(contact_sheet(strips))
    lefts = [np.flatnonzero(near(pixels, c).any(0)).min() for c in colours]
    assert lefts == sorted(lefts)
    green = near(pixels, RIGHT, 60)
    columns = np.flatnonzero(green.sum(0) > 100)
    assert lefts[0] < columns.min() <= lefts[1] + 4
    assert columns.max() < lefts[2], "only the right photo is framed"


def test_a_silhouette_plot_has_a_line_a_space() -> None:
    curves = {"sat2cap": [[0.1, 0.2], [0.4, 0.5]], "clip": [[0.3, 0.3], [0.1, 0.2]]}
    pixels = opened(silhouette_plot([10, 100], curves, {"clip": "CLIP"}, 500, 100))
    ours, theirs = (near(pixels, c, 30) for c in ((0xA8, 0x32, 0x7D), (0x2F, 0x6D, 0xB5)))
    ends = [np.flatnonzero(line[:, np.flatnonzero(line.any(0)).max() - 3]).mean() for line in (ours, theirs)]
    assert ends[1] - ends[0] > pixels.shape[0] / 4, "at the last k ours is high above theirs"


def test_clusters_are_drawn_in_their_own_colours() -> None:
    label = np.zeros((6, 8), int)
    label[:, 4:], label[0, 0] = 1, -1
    pixels = opened(cluster_picture(ClusterMap(label, (("sea",), ("land", "town")))))
    left = pixels[pixels.shape[0] // 2, 40 : pixels.shape[1] // 2]
    assert len({tuple(p) for p in left[20:-80].tolist()}) >= 2


def test_land_cover_and_maps_stand_side_by_side() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((3, 9, 7)).astype(np.float32)
    classes = tuple(LandClass(n, (i,), (n,), None, 0.5, "") for i, n in enumerate("abc"))
    scores = rng.random((3, 9, 7)).astype(np.float32)
    scores[:, 0, 0] = np.nan
    alone = LandMaps(classes, truth, {"": scores}, truth.max(0) > 0.5)
    both = LandMaps(classes, truth, {"": scores, "clip": scores}, truth.max(0) > 0.5)
    small, large = opened(landcover_picture(alone)), opened(landcover_picture(both))
    assert large.shape[1] > 1.4 * small.shape[1]
    assert large.std() > 20


def test_calendars_show_truth_where_there_is_one() -> None:
    series = np.arange(96.0)
    curves = {"a long prompt with many words in it": {"north": {"score": series}, "south": {"score": series}}}
    without = opened(calendar_picture(curves)).shape
    curves["a long prompt with many words in it"]["south"]["truth"] = series
    assert opened(calendar_picture(curves)).shape[1] > without[1]
