"""docs/checkpoint.md: its reader is run as printed; what it says of the format is held against the code."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_model import tiny_clip

from sat2cap.model.calibration import make_calibration
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.formats.folder import FORMAT, VERSION, save_checkpoint
from sat2cap.model.load import load_model
from sat2cap.model.networks.dynamic_encoder import DynamicEncoder
from sat2cap.model.networks.metadata import Encoding, encode_metadata

PAGE = Path(__file__).parents[2] / "docs" / "checkpoint.md"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """One in which every part is its own."""
    folder = tiny_clip(tmp_path_factory.mktemp("clip") / "clip", image=16, hidden=64, dim=32)
    torch.manual_seed(5)
    rows = np.ones((3, 32), np.float32)
    return replace(
        load_model(folder),
        ground=load_model(folder).ground,
        dynamic=DynamicEncoder(32).eval(),
        calibration=make_calibration(rows, rows, rows[:, :12]),
    )


def test_the_three_line_reader_needs_no_sat2cap(model: Checkpoint, tmp_path: Path) -> None:
    made = save_checkpoint(model, tmp_path / "m")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(code.strip().splitlines()) == 3
    assert "sat2cap" not in code
    patch = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    names: dict[str, object] = {"seen": model.overhead_preprocess.images(patch)}
    zeros = "torch.zeros(1, 3, tower.config.image_size, tower.config.image_size)"
    assert zeros in code
    exec(code.replace('"MODEL/', f'"{made}/').replace(zeros, "seen"), names)
    found = names["embeddings"].detach().numpy()
    np.testing.assert_allclose(found, model.embed_overhead(patch), atol=1e-5)


def test_the_page_names_every_field_and_file(model: Checkpoint, tmp_path: Path) -> None:
    made, page = save_checkpoint(model, tmp_path / "m"), PAGE.read_text()
    manifest = json.loads((made / "sat2cap.json").read_text())
    fields = [*manifest, *manifest["parts"], *manifest["overhead_preprocess"]]
    assert len(fields) > 15
    assert [name for name in fields if f"`{name}`" not in page] == []
    layout = page.split("## Layout")[1].split("```")[1]
    assert {line.split()[0].rstrip("/") for line in layout.strip().splitlines()[1:]} == {
        path.name for path in made.iterdir()
    }
    assert f'`"format": "{FORMAT}"` and `"version": {VERSION}`' in page
    for name, tensor in load_file(made / "dynamic.safetensors").items():
        assert name in layout
        assert f"{name} {list(tensor.shape)}".replace("[32,", "[D,") in layout or tensor.ndim == 1


@pytest.mark.parametrize("encoding", ["cyclic", "reference"])
def test_the_angles_are_those_of_the_table(encoding: Encoding) -> None:
    rows = [line.split("|")[1:4] for line in PAGE.read_text().splitlines() if "π ·" in line]
    assert len(rows) == 6
    column = 1 + ["cyclic", "reference"].index(encoding)
    given = {"lat": 12.5, "lon": -71.0, "year": 2021, "month": 11, "day": 23, "hour": 7.5}
    formulas = [row[column].replace("2π", "2 * π").replace("·", "*").replace("−", "-") for row in rows]
    angles = [eval(formula.strip(), {"π": np.pi, **given}) for formula in formulas]
    expected = [f(angle) for angle in angles for f in (np.sin, np.cos)]
    np.testing.assert_allclose(encode_metadata(*given.values(), encoding)[0], expected, atol=1e-6)
