"""What words without meaning reach: measured at the date of the map, and only where chances are."""

import dataclasses

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
