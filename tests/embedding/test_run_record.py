"""The record of runs beside an atlas."""

import numpy as np
import pytest
from small_model import Ground, grid, model

from sat2cap.embedding import embed_region
from sat2cap.errors import JobError
from sat2cap.files import parse_json
from sat2cap.stores.records import record_name

CELLS = np.ones((4, 5), bool)


def records(atlas):
    return [parse_json(line) for line in atlas.with_name(record_name(atlas.name)).read_text().splitlines()]


def test_a_run_is_recorded_and_one_without_work_is_not(tmp_path):
    out = tmp_path / "a.zarr"
    broken = (480_001, 5_759_000, 480_100, 5_759_900)
    made = embed_region(grid(4, 5), CELLS, Ground(broken=broken), model(), out)
    embed_region(grid(4, 5), CELLS, Ground(broken=broken), model(), out)
    (record,) = records(out)
    assert record_name(out.name) == "a.runs.jsonl"
    assert (record["outcome"], record["engine"]) == ("finished", "process")
    assert record["identity"] == made.identity
    failed = int((made.status == 3).sum())
    assert failed > 0
    assert record["statuses"] == {"IMAGERY_FAILED": failed, "OK": 20 - failed}
    assert (record["cells"], record["retries"]) == (20, {})
    (worker,) = record["workers"]
    assert (worker["chunks"], worker["cells"], worker["device"]) == (1, 20, "cpu")
    assert {"processor", "torch", "numpy", "sat2cap", "host"} <= set(worker)
    assert made.model["computing"]["torch"] == worker["torch"]


def test_a_run_that_fails_says_why(tmp_path):
    with pytest.raises(JobError):
        embed_region(grid(4, 5), CELLS, Ground(), model(poison=True), tmp_path / "a.zarr")
    (record,) = records(tmp_path / "a.zarr")
    assert record["outcome"].startswith("JobError: small 0 gives no embedding that is finite")
    assert record["cells"] == 0
