"""What words without meaning reach: measured at the date of the map, and only where chances are."""

import dataclasses
import json

import numpy as np
import pytest
from served import make_client

import sat2cap
from sat2cap.server.nonsense import TEXTS


def test_nonsense_is_measured_at_the_date_of_the_map(client, folder, checkpoint):
    opened = sat2cap.open(folder / "The North.zarr", checkpoint)
    chances = []
    for when in (None, "2024-01-15T12:00", "2024-07-15T23:00"):
        answer = client.get("/api/atlases/the-north/nonsense", params={"when": when} if when else {})
        scores = opened.map(list(TEXTS), when, scale="contrast").values.reshape(len(TEXTS), -1)
        best = [np.percentile(row[np.isfinite(row)], 99.9) for row in scores]
        assert answer.json()["chance"] == pytest.approx(sorted(best)[len(TEXTS) // 2])
        chances.append(answer.json()["chance"])
    assert len(set(chances)) == 3
    assert client.get("/api/atlases/the-north/nonsense?when=soon").status_code == 400


def test_a_model_without_calibration_has_no_nonsense_chance(folder, checkpoint):
    with make_client(folder, dataclasses.replace(checkpoint, calibration=None)) as client:
        assert client.get("/api/atlases/the-north/nonsense").json() == {"chance": None}


def test_words_that_fit_no_photo_better_than_nonsense_say_nothing(client, checkpoint):
    """By the arithmetic itself: the best photo's lead, against the median lead of nonsense on nonsense."""
    photos = checkpoint.calibration.ground
    nonsense = photos @ checkpoint.embed_text(list(TEXTS)).T
    leads = [
        max(row[number] - max(np.delete(row, number)) for row in nonsense) for number in range(len(TEXTS))
    ]
    answers = set()
    for prompt in ("snow", "a beach", TEXTS[0], "bcdfg", "skiers", "a quiet lane"):
        lead = max(photos @ checkpoint.embed_text([prompt])[0] - nonsense.max(1))
        expected = bool(lead <= sorted(leads)[len(TEXTS) // 2])
        about = read_about(client, prompt, "contrast")
        assert about["says_nothing"] is expected
        answers.add(expected)
        assert read_about(client, prompt, "cosine")["says_nothing"] is False
    assert answers == {True, False}


@pytest.mark.parametrize(
    ("prompt", "less", "expected"),
    [
        (TEXTS[0], {"minus_when": "2024-01-15T12:00", "when": "2024-07-15T12:00"}, True),
        (TEXTS[0], {"minus": TEXTS[1]}, True),
        (TEXTS[0], {"minus": "a beach"}, False),
        ("a beach", {"minus": TEXTS[1]}, False),
        ("a beach", {"minus_when": "2024-01-15T12:00", "when": "2024-07-15T12:00"}, False),
    ],
)
def test_a_difference_says_nothing_if_none_of_its_words_do(client, prompt, less, expected):
    assert read_about(client, prompt, "contrast", **less)["says_nothing"] is expected


def read_about(client, prompt, scale, **more):
    query = {"prompt": prompt, "scale": scale} | more
    answer = client.get("/api/atlases/the-north/scores", params=query)
    return json.loads(answer.headers["x-score"])
