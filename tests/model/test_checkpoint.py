"""Checkpoints: what they compute, what they read, what they refuse, and their folder."""

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import tiny_clip
from transformers import CLIPModel, CLIPVisionModelWithProjection

from sat2cap.errors import ModelError
from sat2cap.model.calibration import Calibration, make_calibration
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.file_hashes import write_sealed_manifest
from sat2cap.model.formats.folder import save_checkpoint
from sat2cap.model.load import load_model
from sat2cap.model.networks.dynamic_encoder import DynamicEncoder
from sat2cap.model.preprocess import Preprocess

CLIP_DATA = Path(__file__).parents[2].parent / "shared" / "data" / "clip"


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("clip") / "tinyclip")


@pytest.fixture
def clip(clip_folder: Path) -> Checkpoint:
    return load_model(clip_folder)


@pytest.fixture
def whole(clip: Checkpoint, clip_folder: Path) -> Checkpoint:
    """A checkpoint in which every part is its own."""
    torch.manual_seed(1)
    return replace(
        clip,
        ground=load_model(clip_folder).ground,
        dynamic=DynamicEncoder(clip.dim),
        encoding="cyclic",
        overhead_preprocess=Preprocess(48, mean=(0.367, 0.3827, 0.3338), std=(0.2209, 0.1975, 0.1988)),
        card={"name": "test", "metrics": {"r5": 0.5}},
        calibration=held_out(7, clip.dim),
    )


def held_out(count: int, dim: int) -> Calibration:
    rng = np.random.default_rng(4)
    ground, overhead = rng.normal(size=(2, count, dim)).astype(np.float32)
    return make_calibration(ground, overhead, rng.normal(size=(count, 12)).astype(np.float32))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 48, 48, 3), dtype=np.uint8)


def test_a_clip_folder_gives_what_transformers_gives(
    clip: Checkpoint, clip_folder: Path, pixels: np.ndarray
) -> None:
    theirs = CLIPModel.from_pretrained(clip_folder).eval()
    seen = clip.overhead_preprocess.images(pixels)
    with torch.no_grad():
        images = theirs.visual_projection(theirs.vision_model(pixel_values=seen).pooler_output).numpy()
        ids, mask = clip.text.tokenize(["a busy street", "snow"])
        text = theirs.text_model(input_ids=ids, attention_mask=mask).pooler_output
        text = torch.nn.functional.normalize(theirs.text_projection(text), dim=-1).numpy()
    found = clip.embed_overhead(pixels)
    np.testing.assert_allclose(found, images, atol=1e-5)
    assert found.dtype == np.float32
    assert np.abs(np.linalg.norm(found, axis=1) - 1).min() > 0.01, (
        "overhead embeddings must not be normalised"
    )
    unit = images / np.linalg.norm(images, axis=1, keepdims=True)
    np.testing.assert_allclose(clip.embed_ground(list(pixels)), unit, atol=1e-5)
    np.testing.assert_allclose(clip.embed_text(["a busy street", "snow"]), text, atol=1e-5)
    assert clip.logit_scale == pytest.approx(theirs.logit_scale.exp().item())
    assert (clip.dim, clip.patch_pixels) == (128, 48)


def test_batches_do_not_change_embeddings(clip: Checkpoint) -> None:
    many = np.random.default_rng(1).integers(0, 256, (70, 48, 48, 3), dtype=np.uint8)
    np.testing.assert_allclose(clip.embed_overhead(many)[66:], clip.embed_overhead(many[66:]), atol=1e-5)
    texts = ["a photo of the sea" if n % 3 else "snow" for n in range(70)]
    np.testing.assert_allclose(clip.embed_text(texts)[69:], clip.embed_text(["snow"]), atol=1e-5)
    assert clip.embed_overhead(many[:0]).shape == (0, 128)


def test_bfloat16_is_close(clip: Checkpoint, pixels: np.ndarray) -> None:
    exact, quick = clip.embed_overhead(pixels), clip.embed_overhead(pixels, precision="bfloat16")
    cosines = (exact * quick).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(quick, axis=1)
    assert cosines.min() > 0.999
    assert (exact != quick).any()


def test_long_texts_keep_their_end_mark(clip: Checkpoint) -> None:
    ids, mask = clip.text.tokenize(["snow " * 90, "sea"])
    assert ids.shape == (2, 77)
    assert ids[0, -1] == clip.text.tokenizer.eos_token_id
    assert mask[1].sum() == 3
    assert clip.embed_text(["snow " * 90, "sea"]).shape == (2, 128)


def test_dynamic_offset_is_the_network_on_the_features(whole: Checkpoint) -> None:
    found = whole.dynamic_offset(52.0, [4.0, 5.0, 6.0], 2024, [1, 7, 7], 20, [8, 8, 23])
    assert found.shape == (3, 128)
    assert np.abs(found[0] - found[1]).max() > 1e-4
    features = whole.dynamic_offset(52.0, 5.0, 2024, 7, 20, 8)
    np.testing.assert_allclose(features[0], found[1], atol=1e-6)
    with pytest.raises(ModelError, match="tinyclip has no Dynamic Encoder: leave the date out"):
        replace(whole, dynamic=None, card={"name": "tinyclip"}).dynamic_offset(1, 1, 2020, 1, 1, 1)


def test_save_and_load_keep_everything(whole: Checkpoint, pixels: np.ndarray, tmp_path: Path) -> None:
    again = load_model(save_checkpoint(whole, tmp_path / "model"))
    assert again.identity == whole.identity
    assert again.card == whole.card
    assert (again.encoding, again.logit_scale) == (whole.encoding, whole.logit_scale)
    assert again.text_scale == whole.text_scale == pytest.approx(1 / 0.07, rel=1e-4), "its CLIP's own"
    assert again.calibration is not None
    assert whole.calibration is not None
    for name in ("ground", "overhead", "features"):
        found, kept = (getattr(c, name) for c in (again.calibration, whole.calibration))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, kept)
    assert again.overhead_preprocess == whole.overhead_preprocess
    assert again.ground_preprocess == whole.ground_preprocess
    np.testing.assert_array_equal(again.embed_overhead(pixels), whole.embed_overhead(pixels))
    np.testing.assert_array_equal(again.embed_ground(list(pixels)), whole.embed_ground(list(pixels)))
    np.testing.assert_array_equal(again.embed_text(["the sea"]), whole.embed_text(["the sea"]))
    when = (52.0, 5.0, 2024, 7, 20, 8)
    np.testing.assert_array_equal(again.dynamic_offset(*when), whole.dynamic_offset(*when))


def test_saving_twice_gives_the_same_bytes(whole: Checkpoint, tmp_path: Path) -> None:
    first = save_checkpoint(whole, tmp_path / "first")
    whole.embed_text(["a busy street", "snow"])  # a tokenizer that was used must not be saved differently
    second = save_checkpoint(load_model(first), tmp_path / "second")
    files = sorted(path.relative_to(first) for path in first.rglob("[!.]*") if path.is_file())
    assert files == sorted(path.relative_to(second) for path in second.rglob("[!.]*") if path.is_file())
    assert len(files) > 6
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_towers_open_with_transformers_alone(whole: Checkpoint, pixels: np.ndarray, tmp_path: Path) -> None:
    folder = save_checkpoint(whole, tmp_path / "model")
    tower = CLIPVisionModelWithProjection.from_pretrained(folder / "overhead").eval()
    with torch.no_grad():
        found = tower(pixel_values=whole.overhead_preprocess.images(pixels)).image_embeds.numpy()
    np.testing.assert_array_equal(found, whole.embed_overhead(pixels))


def test_plain_clip_is_stored_once(clip: Checkpoint, tmp_path: Path) -> None:
    again = load_model(save_checkpoint(clip, tmp_path / "model"))
    assert not (tmp_path / "model" / "ground").exists()
    assert again.ground is again.overhead
    assert again.identity == clip.identity


def test_identity_changes_with_each_part_and_not_with_the_card(whole: Checkpoint, clip: Checkpoint) -> None:
    torch.manual_seed(9)
    others = [
        replace(whole, dynamic=DynamicEncoder(128)),
        replace(whole, dynamic=None),
        replace(whole, encoding="reference"),
        replace(whole, overhead_preprocess=Preprocess(48)),
        replace(whole, text=None),
        replace(whole, ground=None),
        replace(whole, calibration=held_out(6, 128)),
        replace(whole, calibration=None),
        clip,
    ]
    assert len({whole.identity, *(other.identity for other in others)}) == 1 + len(others)
    assert replace(whole, card={}).identity == whole.identity
    with torch.no_grad():
        whole.overhead.visual_projection.weight[0, 0] += 1e-3
    assert replace(whole).identity != whole.identity


def test_a_vision_folder_is_an_overhead_tower_that_can_borrow_text(
    clip: Checkpoint, pixels: np.ndarray, tmp_path: Path
) -> None:
    clip.overhead.save_pretrained(tmp_path / "vision")
    bare = load_model(tmp_path / "vision")
    np.testing.assert_allclose(bare.embed_overhead(pixels), clip.embed_overhead(pixels), atol=1e-6)
    with pytest.raises(ModelError, match="vision has no text tower: join it"):
        bare.embed_text(["snow"])
    with pytest.raises(ModelError, match="vision has no tower for ground photos"):
        bare.embed_ground(list(pixels))
    joined = bare.with_text_of(clip)
    np.testing.assert_array_equal(joined.embed_text(["snow"]), clip.embed_text(["snow"]))
    small = load_model(tiny_clip(tmp_path / "small", hidden=32, dim=16))
    with pytest.raises(ModelError, match="16 numbers an embedding, not 128"):
        bare.with_text_of(small)


def test_sharded_and_pickled_folders_are_read(clip: Checkpoint, clip_folder: Path, tmp_path: Path) -> None:
    theirs = CLIPModel.from_pretrained(clip_folder)
    shutil.copytree(clip_folder, tmp_path / "sharded")
    (tmp_path / "sharded" / "model.safetensors").unlink()
    theirs.save_pretrained(tmp_path / "sharded", max_shard_size="500KB")
    assert len(list((tmp_path / "sharded").glob("model-*.safetensors"))) > 1
    assert load_model(tmp_path / "sharded").identity == clip.identity
    shutil.copytree(clip_folder, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    torch.save(theirs.state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    assert load_model(tmp_path / "pickled").identity == clip.identity


class Bomb:
    """A pickle that would write a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.path, "w")


def test_a_pickle_that_would_run_code_is_refused(clip_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(clip_folder, tmp_path / "bomb")
    (tmp_path / "bomb" / "model.safetensors").unlink()
    torch.save({"a": Bomb(str(tmp_path / "ran"))}, tmp_path / "bomb" / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"would run code when opened .*, and none of it was run"):
        load_model(tmp_path / "bomb")
    assert not (tmp_path / "ran").exists()


def one_line(error: pytest.ExceptionInfo[ModelError]) -> str:
    """The message, which must be a single line."""
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_model_is_refused_in_one_line(clip_folder: Path, tmp_path: Path) -> None:
    cases: list[tuple[Path | str, str]] = [
        (tmp_path / "nowhere", "does not exist"),
        ("no such model", "does not exist"),
        ("./owner/name/", "does not exist"),
        ("models/step.ckpt", "there is no such file"),
        (tmp_path, "neither sat2cap.json nor config.json"),
    ]
    for name, change in {"words": {"hidden_size": "x"}, "heads": {"num_attention_heads": 7}}.items():
        shutil.copytree(clip_folder, tmp_path / name)
        config = json.loads((clip_folder / "config.json").read_text())
        config["vision_config"] |= change
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        cases.append((tmp_path / name, "its config describes no network"))
    bare = tmp_path / "bare"
    shutil.copytree(clip_folder, bare)
    config = json.loads((clip_folder / "config.json").read_text())
    (bare / "config.json").write_text(json.dumps({**config, "text_config": None}))
    cases.append((bare, "put back the config.json it was saved with|lacks .* weights of CLIPText"))
    other = tmp_path / "bert"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"architectures": ["BertModel"], "model_type": "bert"}))
    cases.append((other, "holds BertModel: give a folder of CLIPModel"))
    cut = tmp_path / "cut"
    shutil.copytree(clip_folder, cut)
    (cut / "model.safetensors").write_bytes((clip_folder / "model.safetensors").read_bytes()[:1000])
    cases.append((cut, "cannot be read"))
    empty = tmp_path / "empty"
    shutil.copytree(clip_folder, empty)
    (empty / "model.safetensors").unlink()
    cases.append((empty, "has no weights"))
    for spec, message in cases:
        with pytest.raises(ModelError, match=message) as error:
            load_model(spec)
        one_line(error)


def test_weights_without_projection_are_refused(clip: Checkpoint, tmp_path: Path) -> None:
    clip.overhead.vision_model.config.architectures = None
    from safetensors.torch import save_file

    folder = tmp_path / "bare"
    clip.overhead.save_pretrained(folder)
    weights = {k: v for k, v in clip.overhead.state_dict().items() if k != "visual_projection.weight"}
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(
        ModelError, match="bare has no visual_projection, so its numbers would not be in the space of texts"
    ):
        load_model(folder)


def test_a_spoilt_folder_of_ours_is_refused(whole: Checkpoint, tmp_path: Path) -> None:
    folder = save_checkpoint(whole, tmp_path / "model")
    good = (folder / "sat2cap.json").read_text()
    for text, message in [
        (good[:50], "cannot be read"),
        (good.replace('"version": 1', '"version": 99'), "use the sat2cap release that wrote it"),
        (good.replace('"logit_scale"', '"scale"'), "has a missing or wrong field \\('logit_scale'\\)"),
        (good.replace('"cyclic"', '"spiral"'), "encoding 'spiral'"),
    ]:
        assert text != good
        (folder / "sat2cap.json").write_text(text)
        with pytest.raises(ModelError, match=message) as error:
            load_model(folder)
        one_line(error)
    (folder / "sat2cap.json").write_text(good)
    (folder / "dynamic.safetensors").unlink()
    with pytest.raises(ModelError, match=r"dynamic\.safetensors cannot be read"):
        load_model(folder)


def test_a_spoilt_calibration_is_refused(whole: Checkpoint, tmp_path: Path) -> None:
    folder = save_checkpoint(whole, tmp_path / "model")
    path, manifest = folder / "calibration.safetensors", folder / "sat2cap.json"
    good = load_file(path)
    for change, message in (
        (
            {"ground": good["ground"][:3]},
            r"has shapes \[3, 128\], \[7, 128\], \[7, 12\], not",
        ),
        ({"features": None}, "lacks features"),
    ):
        save_file({name: t for name, t in {**good, **change}.items() if t is not None}, path)
        write_sealed_manifest(manifest, json.loads(manifest.read_text()))  # so that its hash is right
        with pytest.raises(ModelError, match=message) as error:
            load_model(folder)
        one_line(error)


def test_a_calibration_keeps_pairs_from_beginning_to_end() -> None:
    rows = np.arange(5000, dtype=np.float32)[:, None] / 8
    kept = make_calibration(rows, rows, rows).features[:, 0] * 8
    assert len(kept) == 2000
    assert (kept[0], kept[-1]) == (0, 4999)
    assert set(np.diff(kept)) == {2, 3}


def test_saving_replaces_a_checkpoint_and_nothing_else(whole: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    with pytest.raises(ModelError, match="exists and is no sat2cap checkpoint"):
        save_checkpoint(whole, tmp_path / "precious")
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "years of work"
    save_checkpoint(whole, tmp_path / "model")
    save_checkpoint(replace(whole, dynamic=None), tmp_path / "model")
    assert load_model(tmp_path / "model").dynamic is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "precious"], "nothing left behind"


def test_real_token_vectors() -> None:
    if not CLIP_DATA.is_dir():
        pytest.skip(f"needs {CLIP_DATA}")
    from sat2cap.model.networks.towers import load_tokenizer

    tokenizer = load_tokenizer(CLIP_DATA / "tokenizer")
    seen = 0
    for cases in json.loads((CLIP_DATA / "expected.json").read_text())["tokens"].values():
        for text, ids in cases:
            assert tokenizer(text)["input_ids"] == ids, text
            seen += 1
    assert seen == 29


def test_a_full_size_folder_loads_and_embeds(tmp_path: Path) -> None:
    from transformers import CLIPConfig

    text = {"num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 1}
    with torch.device("meta"):
        config = CLIPConfig(text_config=text, vision_config={"patch_size": 32}, projection_dim=512)
        model = CLIPModel(config)
    model = model.to_empty(device="cpu")
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.empty(value.shape).normal_(0, 0.02, generator=random))
    model.save_pretrained(tmp_path / "vit")
    checkpoint = load_model(str(tmp_path / "vit"))
    assert (checkpoint.dim, checkpoint.patch_pixels) == (512, 224)
    assert sum(p.numel() for p in checkpoint.overhead.parameters()) == 87_849_216
    patches = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    found = checkpoint.embed_overhead(patches)
    assert found.shape == (2, 512)
    assert np.isfinite(found).all()
    assert np.abs(found[0] - found[1]).max() > 0


def test_arrays_that_cannot_be_written_are_read_without_a_warning(
    whole: Checkpoint, pixels: np.ndarray
) -> None:
    features = np.ones((2, 12), np.float32)
    expected = whole.embed_overhead(pixels), whole.dynamic_from_features(features)
    pixels.flags.writeable = features.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)  # of what other tests left open
        assert (whole.embed_overhead(pixels) == expected[0]).all()
        assert (whole.dynamic_from_features(features) == expected[1]).all()
