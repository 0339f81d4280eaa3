"""A checkpoint in Hugging Face's layout, read by transformers and back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny_model import tiny_clip
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from sat2cap.cli import main
from sat2cap.errors import ModelError
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.formats.export import export_hugging_face
from sat2cap.model.formats.folder import save_checkpoint
from sat2cap.model.load import load_model
from sat2cap.model.networks.dynamic_encoder import DynamicEncoder

CARD = {
    "name": "towns",
    "source": "trained from some/clip",
    "licence": "CC-BY-4.0",
    "training": {
        "steps": 150,
        "samples": 1200,
        "pairs": {"fingerprint": "abc", "count": 50},
        "init": {"name": "some/clip"},
        "run": {"method": "sat2cap", "optim": {"lr": 0.003, "batch": 8}},
    },
    "metrics": {"loss": 1.23456, "validation.overhead2ground.r10": 0.4567},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("clip")
    start = load_model(tiny_clip(folder / "clip", image=24, hidden=32, dim=16))
    torch.manual_seed(1)
    overhead = load_model(tiny_clip(folder / "other", seed=3, image=24, hidden=32, dim=16)).overhead
    seen = replace(start.overhead_preprocess, mean=(0.3, 0.4, 0.5), std=(0.2, 0.21, 0.22))
    return replace(
        start,
        overhead=overhead,
        dynamic=DynamicEncoder(16, 8, 128),
        encoding="sphere",
        overhead_preprocess=seen,
        card=CARD,
    )


def test_back_it_is_the_same_model(trained: Checkpoint, tmp_path: Path) -> None:
    found = load_model(export_hugging_face(trained, tmp_path / "out"))
    assert found.identity == trained.identity
    assert found.place_identity == trained.place_identity
    assert found.card == CARD
    assert found.encoding == "sphere"
    np.testing.assert_array_equal(
        found.dynamic_offset(1, 2, 2020, 3, 4, 5), trained.dynamic_offset(1, 2, 2020, 3, 4, 5)
    )
    again = load_model(export_hugging_face(found, tmp_path / "out"))  # over itself
    assert again.identity == trained.identity
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("squash", [False, True])
def test_transformers_reads_tower_and_processor_without_this_package(
    trained: Checkpoint, tmp_path: Path, squash: bool
) -> None:
    seen = replace(trained.overhead_preprocess, squash=squash)
    trained = replace(trained, overhead_preprocess=seen)
    folder = export_hugging_face(trained, tmp_path / "out")
    tower = CLIPVisionModelWithProjection.from_pretrained(folder).eval()
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    patches = np.random.default_rng(0).integers(0, 256, (3, 40, 52, 3), dtype=np.uint8)
    pixels = processor(images=list(patches), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        found = tower(pixel_values=pixels).image_embeds.numpy()
    np.testing.assert_allclose(found, trained.embed_overhead(patches), atol=1e-4)


def test_the_card_says_what_it_is_and_its_figures(trained: Checkpoint, tmp_path: Path) -> None:
    text = (export_hugging_face(trained, tmp_path / "out") / "README.md").read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["license"] == "cc-by-4.0"
    assert head["base_model"] == "some/clip"
    assert head["library_name"] == "transformers"
    for line in (
        "# towns",
        'tower = transformers.CLIPVisionModelWithProjection.from_pretrained("FOLDER")',
        "| loss | 1.235 |",
        "| validation.overhead2ground.r10 | 0.4567 |",
        "| optim.lr | 0.003 |",
        "| pairs.count | 50 |",
        "| samples | 1200 |",
    ):
        assert f"\n{line}\n" in text
    cropped = replace(trained, overhead_preprocess=replace(trained.overhead_preprocess, crop=800))
    assert "middle 800 px" in (export_hugging_face(cropped, tmp_path / "crop") / "README.md").read_text()


def test_something_else_is_not_replaced(trained: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ModelError, match="is no sat2cap checkpoint"):
        export_hugging_face(trained, tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_the_command(trained: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(trained, tmp_path / "trained")
    with pytest.raises(SystemExit) as stop:
        main(["models", "export", str(tmp_path / "trained"), "-o", str(tmp_path / "out")])
    assert not stop.value.code
    assert capsys.readouterr().out.strip() == str(tmp_path / "out")
    assert load_model(tmp_path / "out").identity == trained.identity
