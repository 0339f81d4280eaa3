"""Precisions and devices: what is chosen, how close it stays, what is refused."""

import copy
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_model import tiny_clip
from torch import nn

from sat2cap.catalogue import MINICLIP, resolve_model
from sat2cap.errors import ModelError
from sat2cap.model import compute, conversion, image_embedder
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.compute import Compute, choose_compute
from sat2cap.model.conversion import MIN_MEDIAN_COSINE, Int8Linear
from sat2cap.model.load import load_model

needs_int8 = pytest.mark.skipif(not compute.has_int8(), reason="this processor has no VNNI instructions")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_model(tiny_clip(tmp_path_factory.mktemp("clip") / "c", image=16, hidden=64, dim=32))


def patches(count: int, size: int) -> np.ndarray:
    """Smooth and rough, bright and dark."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(size // 4, 1).repeat(size // 4, 2)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("int8", marks=needs_int8)])
def test_a_trained_clip_keeps_its_embeddings(precision: compute.Precision) -> None:
    model = resolve_model(MINICLIP)
    seen = patches(70, model.patch_pixels)
    exact, quick = model.embed_overhead(seen), model.embed_overhead(seen, precision=precision)
    assert (exact != quick).any()
    assert cosines(exact, quick).min() > MIN_MEDIAN_COSINE[precision]
    np.testing.assert_array_equal(model.embed_overhead(seen), exact), "the original is as it was"


@needs_int8
def test_int8_of_an_image_does_not_depend_on_its_neighbours(clip: Checkpoint) -> None:
    seen = patches(9, 16)
    alone = clip.embed_overhead(seen[:1], precision="int8")
    bright = np.concatenate([seen[:1], np.full((5, 16, 16, 3), 255, np.uint8)])
    np.testing.assert_allclose(clip.embed_overhead(bright, precision="int8")[:1], alone, rtol=2e-2, atol=2e-3)
    assert cosines(clip.embed_overhead(bright, precision="int8")[:1], alone)[0] > 0.9999


@needs_int8
@pytest.mark.parametrize("bias", [True, False])
def test_an_int8_layer_is_close_to_its_linear_layer(bias: bool) -> None:
    torch.manual_seed(0)
    exact = nn.Linear(64, 48, bias=bias)
    tokens = torch.randn(3, 5, 64) * torch.tensor([0.01, 1.0, 100.0]).view(3, 1, 1)
    tokens[0, 0] = 0
    with torch.inference_mode():
        expected = exact(tokens)
        found = Int8Linear(exact)(tokens.bfloat16()).float()
    assert found.shape == expected.shape
    for row in range(3):
        error = (found[row] - expected[row]).norm() / expected[row].norm()
        assert error < 0.02, "each token has a scale of its own"


@needs_int8
def test_an_int8_layer_uses_the_whole_range_and_never_more() -> None:
    one = nn.Linear(32, 1, bias=False)
    nn.init.constant_(one.weight, 1.0)
    for value in np.linspace(0.1, 3.0, 200):
        tokens = torch.tensor([[value] * 16 + [-value] * 16], dtype=torch.bfloat16)
        assert abs(float(Int8Linear(one)(tokens))) <= 0.02 * value, "the largest byte must not run over"


def test_weights_that_do_not_survive_are_refused(clip: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(tower: nn.Module, precision: str) -> nn.Module:
        made = original(tower, precision)
        with torch.no_grad():
            made.visual_projection.weight.neg_()
        return made

    original = conversion._copy_in_precision
    monkeypatch.setattr(conversion, "_copy_in_precision", spoiled)
    with pytest.raises(ModelError, match=r"bfloat16 keeps a cosine of -.* less than 0\.999: use float32"):
        replace(clip).embed_overhead(patches(3, 16), precision="bfloat16")


@pytest.fixture
def only_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a GPU, on which nothing may be timed."""
    for module in (torch.cuda, torch.xpu, torch.backends.mps):
        monkeypatch.setattr(module, "is_available", lambda: False)

    def refuse(device: str) -> float:
        raise AssertionError("timed, though instructions tell")

    monkeypatch.setattr(compute, "measure_bfloat16_speedup", refuse)


def set_processor(monkeypatch: pytest.MonkeyPatch, machine: str, avx512_bf16: bool, amx: bool) -> None:
    monkeypatch.setattr(compute.platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)


@pytest.mark.parametrize(
    ("machine", "avx512_bf16", "amx", "precision"),
    [
        ("x86_64", False, False, "float32"),
        ("AMD64", True, False, "bfloat16"),
        ("x86_64", True, True, "bfloat16"),
        ("x86_64", False, True, "bfloat16"),
    ],
)
@pytest.mark.usefixtures("only_a_processor")
def test_the_flags_of_the_processor_decide(
    monkeypatch: pytest.MonkeyPatch, machine: str, avx512_bf16: bool, amx: bool, precision: str
) -> None:
    set_processor(monkeypatch, machine, avx512_bf16, amx)
    for wanted in (None, "auto"):
        chosen = choose_compute(wanted)
        assert (chosen.device, chosen.precision) == ("cpu", precision)
        assert (
            chosen.reason
            == f"this processor has {'no ' if precision == 'float32' else ''}bfloat16 instructions"
        )
    assert choose_compute("float32") == Compute("cpu", "float32", "as requested")


@pytest.mark.parametrize(
    ("speedup", "precision"), [(0.0, "float32"), (0.3, "float32"), (1.05, "float32"), (1.8, "bfloat16")]
)
@pytest.mark.usefixtures("only_a_processor")
def test_where_flags_do_not_tell_a_timed_step_does(
    monkeypatch: pytest.MonkeyPatch, speedup: float, precision: str
) -> None:
    set_processor(monkeypatch, "arm64", avx512_bf16=False, amx=False)
    monkeypatch.setattr(compute, "measure_bfloat16_speedup", lambda device: speedup)
    chosen = choose_compute()
    assert (chosen.device, chosen.precision) == ("cpu", precision)
    assert f"measured at {speedup:.2g} x the speed of float32" in chosen.reason


@pytest.mark.usefixtures("only_a_processor")
def test_a_requested_bfloat16_that_is_emulated_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    set_processor(monkeypatch, "x86_64", avx512_bf16=False, amx=False)
    monkeypatch.setattr(compute, "measure_bfloat16_speedup", lambda device: 1 / 17)
    with pytest.warns(UserWarning, match="bfloat16 takes 17 times as long as float32 .*: use precision auto"):
        assert choose_compute("bfloat16").precision == "bfloat16"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)  # of what other tests left open
        choose_compute("float32")
        choose_compute("auto")
        monkeypatch.setattr(compute, "measure_bfloat16_speedup", lambda device: 1.4)
        choose_compute("bfloat16")
        set_processor(monkeypatch, "x86_64", avx512_bf16=True, amx=False)
        choose_compute("bfloat16")


@pytest.mark.parametrize(
    ("device", "module", "is_fast"),
    [("cuda", torch.cuda, True), ("cuda", torch.cuda, False), ("xpu", torch.xpu, True)],
)
@pytest.mark.usefixtures("only_a_processor")
def test_a_gpu_is_chosen_and_its_instructions_decide(
    monkeypatch: pytest.MonkeyPatch, device: str, module: Any, is_fast: bool
) -> None:
    monkeypatch.setattr(module, "is_available", lambda: True)
    monkeypatch.setattr(
        module, "is_bf16_supported", lambda including_emulation: is_fast or including_emulation
    )
    monkeypatch.setattr(compute, "find_device_error", lambda device: None)
    chosen = choose_compute()
    assert (chosen.device, chosen.precision) == (device, "bfloat16" if is_fast else "float32")
    assert "this GPU" in chosen.reason
    monkeypatch.setattr(compute, "has_int8", lambda: True)
    with pytest.raises(ModelError, match=f"this runs on {device}: use bfloat16"):
        choose_compute("int8")


@pytest.mark.usefixtures("only_a_processor")
def test_apples_gpu_is_timed_and_one_that_lacks_an_operator_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(compute, "measure_bfloat16_speedup", lambda device: {"mps": 1.5}[device])
    monkeypatch.setattr(compute, "find_device_error", lambda device: None)
    assert (choose_compute().device, choose_compute().precision) == ("mps", "bfloat16")

    set_processor(monkeypatch, "x86_64", avx512_bf16=False, amx=False)
    error = "The operator 'aten::x' is not implemented for mps"
    monkeypatch.setattr(compute, "find_device_error", lambda device: error)
    chosen = choose_compute()
    assert (chosen.device, chosen.precision) == ("cpu", "float32")
    assert chosen.reason.startswith(f"mps does not run it: {error}; this processor has no")
    assert "\n" not in str(chosen)


def test_a_device_that_is_not_there_is_an_error_of_one_line() -> None:
    assert compute.find_device_error("cpu") is None
    error = compute.find_device_error("mps")
    assert error is not None
    assert "\n" not in error


def test_timing_leaves_torchs_generator_alone_and_agrees_with_a_second_measurement() -> None:
    before = torch.random.get_rng_state()
    compute.measure_bfloat16_speedup.cache_clear()
    speedup = compute.measure_bfloat16_speedup("cpu")
    assert torch.equal(before, torch.random.get_rng_state())
    assert speedup > 0
    if compute.has_bfloat16() is False:
        assert speedup < 1, "emulation is slower"


def test_a_precision_that_does_not_exist_or_is_missing_here_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ModelError, match="'float16' is not known: give one of auto, float32, bfloat16, int8"):
        choose_compute("float16")
    monkeypatch.setattr(compute, "has_int8", lambda: False)
    with pytest.raises(ModelError, match="int8 needs a CPU with VNNI"):
        choose_compute("int8")


def test_compiling_gives_the_same_or_leaves_it(clip: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = clip.overhead_preprocess.images(patches(3, 16))
    whole = torch.compile
    monkeypatch.setattr(torch, "compile", lambda tower: whole(tower, backend="eager"))
    made = conversion._compile_tower(clip.overhead, pixels)
    assert made is not clip.overhead
    with torch.inference_mode():
        torch.testing.assert_close(
            conversion.embed_pixels(made, pixels), conversion.embed_pixels(clip.overhead, pixels)
        )

    def broken(tower: nn.Module) -> nn.Module:
        raise RuntimeError("no Triton here")

    monkeypatch.setattr(torch, "compile", broken)
    assert conversion._compile_tower(clip.overhead, pixels) is clip.overhead


def test_moving_a_model_forgets_its_copies_and_staying_keeps_them(clip: Checkpoint) -> None:
    seen = patches(3, 16)
    model = copy.deepcopy(clip)
    first = model.embed_overhead(seen, precision="bfloat16")
    (made,) = model._image_embedder._copies.values()
    assert list(model.to("cpu")._image_embedder._copies.values()) == [made]
    np.testing.assert_array_equal(model.embed_overhead(seen, precision="bfloat16"), first)
    assert not model.to("meta")._image_embedder._copies


def test_a_model_that_has_embedded_can_be_copied(clip: Checkpoint) -> None:
    """Weights that are packed for bfloat16 instructions cannot be, where a processor has those."""
    seen = patches(3, 16)
    first = clip.embed_overhead(seen, precision="bfloat16")
    copied = copy.deepcopy(clip)
    assert not copied._image_embedder._copies
    np.testing.assert_array_equal(copied.embed_overhead(seen, precision="bfloat16"), first)


def test_images_prepared_before_are_embedded_as_they_are(clip: Checkpoint) -> None:
    """A model that resizes to more than it cuts out would otherwise cut out of what was cut out."""
    zoomed = replace(clip.overhead_preprocess, shortest_edge=clip.overhead_preprocess.size + 8)
    model = replace(clip, overhead_preprocess=zoomed, ground_preprocess=zoomed)
    seen = patches(5, 40)
    prepared = zoomed.pixels(seen)
    whole = model.embed_overhead(seen)
    np.testing.assert_array_equal(model.embed_overhead(prepared, prepared=True), whole)
    np.testing.assert_array_equal(model.embed_ground(prepared, prepared=True), model.embed_ground(list(seen)))
    assert np.abs(model.embed_overhead(prepared) - whole).max() > 1e-4


@pytest.mark.parametrize("compiled", [True, False])
def test_a_tower_is_compiled_on_a_gpu_only_where_it_pays(
    clip: Checkpoint, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    wanted: list[bool] = []

    def convert(tower: nn.Module, precision: str, pixels: object, *, compiled: bool) -> nn.Module:
        wanted.append(compiled)
        return copy.deepcopy(tower).to(torch.bfloat16)

    monkeypatch.setattr(image_embedder, "convert_tower", convert)
    model = copy.deepcopy(clip)
    for _ in range(2):
        model.embed_overhead(patches(3, 16), precision="bfloat16", compiled=compiled)
    assert wanted == [compiled], "once for each model"


def test_small_folder(clip: Checkpoint, tmp_path: Path) -> None:
    """A copy in another precision is never what is saved."""
    from sat2cap.model.formats.folder import save_checkpoint

    clip.embed_overhead(patches(3, 16), precision="bfloat16")
    assert load_model(save_checkpoint(clip, tmp_path / "m")).identity == clip.identity


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_a_copy_with_the_quick_gelu_folded_is_as_near_to_float32(
    clip: Checkpoint, monkeypatch: pytest.MonkeyPatch, precision: compute.Precision
) -> None:
    if precision == "int8" and not compute.has_int8():
        pytest.skip("this processor has no VNNI")
    pixels = clip.overhead_preprocess.images(patches(16, 16))
    exact = conversion.embed_pixels(clip.overhead, pixels)
    folded = conversion._copy_in_precision(clip.overhead, precision)
    monkeypatch.setattr(conversion, "fold_quick_gelu", lambda network: None)
    plain = conversion._copy_in_precision(clip.overhead, precision)

    def activations(network: nn.Module) -> set[str]:
        return {
            type(module.activation_fn).__name__
            for module in network.modules()
            if hasattr(module, "activation_fn")
        }

    assert activations(clip.overhead) == activations(plain) == {"QuickGELUActivation"}
    assert activations(folded) == {"SiLU"}
    with torch.inference_mode():
        error, plain_error = (
            float((conversion.embed_pixels(network, pixels) - exact).norm()) for network in (folded, plain)
        )
    assert 0 < error < 1.3 * plain_error
