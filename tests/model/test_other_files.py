"""Model files as others leave them: read right, or refused in one line, whichever way the model is opened."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import tiny_clip

from sat2cap.errors import ModelError
from sat2cap.model.formats.folder import save_checkpoint
from sat2cap.model.formats.pickles import read_pickled_tensors
from sat2cap.model.load import load_model
from sat2cap.model.open_model import open_query_model

TEXTS = ["a busy street", "snow"]
Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("sound") / "model", image=32, hidden=64, dim=32)


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "model"))


def change_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def change_weights(folder: Path, change: Callable[[Weights], Weights]) -> None:
    file = folder / "model.safetensors"
    changed = {name: weight.contiguous() for name, weight in change(load_file(file)).items()}
    file.unlink()
    save_file(changed, file, metadata={"format": "pt"})


def refusals(folder: Path) -> list[str]:
    """Return what is said when texts and images are embedded by the model, opened in both ways."""
    said = []
    for open_model in (open_query_model, load_model):
        with pytest.raises(ModelError) as error:
            open_model(str(folder)).embed_text(TEXTS)
        assert "\n" not in str(error.value)
        said.append(str(error.value))
    return said


def with_type(dtype: torch.dtype) -> Callable[[Weights], Weights]:
    return lambda weights: {name: weight.to(dtype) for name, weight in weights.items()}


def with_scale(*values: float) -> Callable[[Weights], Weights]:
    return lambda weights: {**weights, "logit_scale": torch.tensor(values)}


def with_nan(weights: Weights) -> Weights:
    weights["text_model.final_layer_norm.bias"][0] = torch.nan
    return weights


WEIGHTS: dict[str, tuple[Callable[[Weights], Weights], str]] = {
    "int8": (with_type(torch.int8), "int8, quantised numbers that mean nothing without their scales"),
    "not numbers": (with_nan, "gives embeddings that are no numbers"),
    "scale not a number": (with_scale(np.nan), "logit_scale that is no number"),
    "scale too large": (with_scale(1e4), "logit_scale that is no number"),
    "two scales": (with_scale(2.0, 3.0), "logit_scale that is no number"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_mean_something_else_are_refused(folder: Path, name: str) -> None:
    change, rule = WEIGHTS[name]
    change_weights(folder, change)
    assert all(rule in text for text in refusals(folder))


def test_eight_bit_floats_are_refused(folder: Path) -> None:
    change_weights(folder, with_type(torch.float8_e4m3fn))
    in_numpy, in_torch = refusals(folder)
    assert "F8_E4M3" in in_numpy
    assert "float8_e4m3fn, quantised" in in_torch


def test_images_by_damaged_weights_are_refused(folder: Path) -> None:
    def spoil(weights: Weights) -> Weights:
        weights["vision_model.post_layernorm.bias"][0] = torch.nan
        return weights

    change_weights(folder, spoil)
    model = load_model(folder)
    with pytest.raises(ModelError, match="embeddings that are no numbers"):
        model.embed_ground(np.zeros((1, 32, 32, 3), np.uint8))


CONFIGS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "quantised": (lambda c: c.update(quantization_config={"load_in_8bit": True}), "is quantised"),
    "heads": (lambda c: c["text_config"].update(num_attention_heads=3), "num_attention_heads 3"),
    "fewer layers of images": (
        lambda c: c["vision_config"].update(num_hidden_layers=1),
        "layers.1.layer_norm1.bias, a layer more than its config says",
    ),
    "fewer layers of texts": (
        lambda c: c["text_config"].update(num_hidden_layers=1),
        "layers.1.layer_norm1.bias, a layer more than its config says",
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_is_not_that_of_the_weights_is_refused(folder: Path, name: str) -> None:
    change, rule = CONFIGS[name]
    change_json(folder / "config.json", change)
    assert all(rule in text for text in refusals(folder))


def test_an_adapter_that_would_not_be_applied_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    assert all("which is not applied: merge it into the model" in text for text in refusals(folder))


@pytest.mark.parametrize(
    "settings",
    [
        {"rescale_factor": 1 / 127.5},
        {"do_rescale": False},
        {"do_flip_channel_order": True},
        {"do_pad": True},
        {"crop_pct": 0.9},
        {"offset": True},
        {"size": "32"},
        {"crop_size": {"height": 32, "width": 16}},
    ],
)
def test_steps_of_preprocessing_that_would_be_left_out_are_refused(
    folder: Path, settings: dict[str, Any]
) -> None:
    change_json(folder / "preprocessor_config.json", lambda values: values.update(settings))
    assert all("preprocessing that this package does not support" in text for text in refusals(folder))


@pytest.mark.parametrize("kind", ["checkpoint", "transformers"])
def test_another_model_in_its_place_is_not_mixed_with_the_one_that_was_opened(
    sound: Path, tmp_path: Path, kind: str
) -> None:
    """What was read of the first goes on; what would be read of the second is refused."""
    other = tiny_clip(tmp_path / "other", seed=1, image=32, hidden=64, dim=32)
    place = tmp_path / "place"

    def put(folder: Path) -> None:
        if kind == "checkpoint":
            save_checkpoint(load_model(folder), place)
        else:
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(folder, place)

    put(sound)
    used, unused = (open_query_model(str(place)) for _ in range(2))
    before = used.embed_text(TEXTS)
    put(other)
    np.testing.assert_array_equal(used.embed_text(TEXTS), before)
    for read in (
        lambda: unused.embed_text(TEXTS),
        lambda: used.embed_ground([np.zeros((32, 32, 3), np.uint8)]),
    ):
        with pytest.raises(ModelError, match="has changed since it was opened: open it again"):
            read()
    assert abs(open_query_model(str(place)).embed_text(TEXTS) - before).max() > 0.1


def no_template(values: dict[str, Any]) -> None:
    values["post_processor"] = None


def fixed_padding(values: dict[str, Any]) -> None:
    values["padding"] = {
        "strategy": {"Fixed": 20},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "a",
    }


@pytest.mark.parametrize("change", [no_template, fixed_padding])
def test_a_tokenizer_file_of_other_settings_gives_the_same_embeddings(
    sound: Path, folder: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    """The class knows the marks at both ends, and CLIP's positions count from the first token."""
    change_json(folder / "tokenizer.json", change)
    expected = load_model(sound).embed_text(TEXTS)
    for open_model in (open_query_model, load_model):
        np.testing.assert_allclose(open_model(str(folder)).embed_text(TEXTS), expected, atol=1e-6)


def test_a_token_that_the_tower_does_not_have_is_refused(folder: Path) -> None:
    token = {"id": 9999, "content": "street", "single_word": False, "lstrip": False, "rstrip": False}
    token |= {"normalized": False, "special": False}
    change_json(folder / "tokenizer.json", lambda values: values["added_tokens"].append(token))
    assert all("put back the tokenizer that it was saved with" in text for text in refusals(folder))


@pytest.mark.parametrize(
    "content", [b"root:x:0:0:root:/root:/bin/bash\n", b"# Weights\n\nin words\n", b"(dq\x00."]
)
def test_a_file_that_is_no_pickle_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    """Read as a pickle, a text is commands, which fail in ways of their own: the first by IndexError."""
    (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(ModelError, match="is broken, or was not written by PyTorch"):
        read_pickled_tensors(tmp_path / "weights.pt")
