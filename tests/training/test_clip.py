"""Training the miniature CLIP: a few steps make a model, and a bad run file is told whole."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from transformers import CLIPModel, PreTrainedTokenizerFast

import sat2cap
import sat2cap.evaluation
from sat2cap.cli import main
from sat2cap.demo.plan import DemoPlan
from sat2cap.errors import JobError, RunFileError
from sat2cap.evaluation import evaluate_zero_shot
from sat2cap.miniworld.training.clip import ClipRun, _drop_words, _save_clip, load_clip_run, train_clip
from sat2cap.model.load import load_model

Trained = tuple[Path, dict[str, float], list[tuple[str, int, int]]]

RUN = """
method = "clip"
out = "{out}"

[data]
worlds = [1, 2]
photos_per_world = 100

[size]
image_size = 24
patch_size = 8
hidden = 32
heads = 2
image_layers = 1
text_layers = 1
context = 24
vocabulary = 400
dim = 16

[optim]
batch_size = 50
epochs = {epochs}
warmup_steps = 4
lr = 3e-3
"""


def run_file(folder: Path, epochs: int = 1) -> Path:
    path = folder / "run.toml"
    path.write_text(RUN.format(out=(folder / "clip").as_posix(), epochs=epochs))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    seen: list[tuple[str, int, int]] = []
    run = load_clip_run(run_file(tmp_path_factory.mktemp("clip"), epochs=40))
    figures = train_clip(run, lambda doing, done, total: seen.append((doing, done, total)))
    return run.out, figures, seen


def test_a_run_writes_a_model_that_loads(trained: Trained) -> None:
    model = load_model(trained[0])
    assert model.dim == 16
    texts = model.embed_text(["the sea", "a sea view with camels"])
    assert texts.shape == (2, 16)
    assert np.linalg.norm(texts, axis=1) == pytest.approx(1, abs=1e-3)
    pictures = model.embed_ground([np.full((96, 96, 3), level, np.uint8) for level in (30, 220)])
    assert np.abs(pictures[0] - pictures[1]).max() > 1e-3
    assert model.embed_overhead(np.zeros((3, 24, 24, 3), np.uint8)).shape == (3, 16)


def test_it_learns_and_tells_how_far_it_is(trained: Trained) -> None:
    _, figures, seen = trained
    steps = [(done, total) for doing, done, total in seen if doing.startswith("training CLIP")]
    assert steps == [(k + 1, 160) for k in range(160)]
    assert ("photographing made-up planets", 200, 200) in seen
    assert figures["seconds"] > 0
    assert 0 < figures["loss.last100"] < np.log(50) - 0.3  # a model that knows nothing: log(50)


def test_words_are_left_out_others_each_time_and_never_all() -> None:
    r, text = np.random.default_rng(0), "sunbathers on towels near a sandy beach"
    shorter = [_drop_words(text, 0.2, r) for _ in range(2000)]
    kept_words = np.array([[word in one.split() for word in text.split()] for one in shorter])
    np.testing.assert_allclose(kept_words.mean(0), 0.8, atol=0.03)
    assert all(in_order(one.split(), text.split()) for one in shorter)
    assert _drop_words(text, 0.0, r) == text
    assert {_drop_words("snow", 0.9, r) for _ in range(50)} == {"snow"}


def in_order(some: list[str], words: list[str]) -> bool:
    """Whether `some` stand among `words` in the same order."""
    rest = iter(words)
    return all(word in rest for word in some)


def test_the_shipped_run_file_is_right() -> None:
    run = load_clip_run(Path(sat2cap.__file__).parent / "runs" / "miniclip.toml")
    assert run.optim.precision == "auto"
    assert isinstance(run, ClipRun)
    assert not {DemoPlan().train_world, DemoPlan().test_world} & set(run.data.worlds)
    folder = Path(sat2cap.__file__).parent / "miniworld" / "clip"
    shipped = json.loads((folder / "config.json").read_text())
    assert shipped["projection_dim"] == run.size.dim
    assert shipped["vision_config"]["image_size"] == run.size.image_size


def test_a_bad_run_file_lists_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    wrong = '[data]\nworlds = "all"\n[size]\nhidden = "wide"\n[optim]\nspeed = 9\n'
    path.write_text('method = "clip"\n' + wrong)
    with pytest.raises(RunFileError) as caught:
        load_clip_run(path)
    message = str(caught.value)
    assert "\n" not in message
    for place in (
        "has 5 problems",
        "out is missing",
        "data.worlds = 'all' must be",
        "data.photos_per_world is missing",
        "size.hidden = 'wide' must be",
        "optim.speed is not known (known: batch_size",
    ):
        assert place in message


@pytest.mark.parametrize(("text", "rule"), [(None, "cannot be read"), ("method = ", "is not TOML")])
def test_a_run_file_that_cannot_be_read_is_one_line(tmp_path: Path, text: str | None, rule: str) -> None:
    path = tmp_path / "run.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RunFileError, match=rf"run\.toml' {rule}") as caught:
        load_clip_run(path)
    assert "\n" not in str(caught.value)


def test_a_loss_that_is_no_number_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sat2cap.miniworld.training.clip._backward_step", lambda *_: float("nan"))
    with pytest.raises(JobError, match="loss is nan at step 0; lower lr"):
        train_clip(load_clip_run(run_file(tmp_path)))
    assert not (tmp_path / "clip").exists()


def test_the_command_trains_and_prints_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sat2cap.evaluation, "evaluate_zero_shot", partial(evaluate_zero_shot, photos=300))
    with pytest.raises(SystemExit) as stop:
        main(["train", str(run_file(tmp_path))])
    assert not stop.value.code
    printed = capsys.readouterr()
    assert "loss.last100" in printed.out
    (mean,) = re.findall(r"^zero_shot\.auroc\.mean +([\d.]+)$", printed.out, re.MULTILINE)
    assert 0.3 < float(mean) < 0.9, "it has seen four batches"
    assert re.search(r"^zero_shot\.photos +300", printed.out, re.MULTILINE)
    assert printed.out.rstrip().endswith(str(tmp_path / "clip"))
    assert load_model(tmp_path / "clip").dim == 16


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunFileError, match="holds something other than a model"):
        train_clip(load_clip_run(run_file(tmp_path)))
    assert (tmp_path / "clip" / "thesis.txt").exists()


def test_a_model_is_replaced_whole_or_not_at_all(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    out = trained[0]
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    model = CLIPModel.from_pretrained(out)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(out)

    class Broken:
        def save_pretrained(self, folder: Path) -> None:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        _save_clip(model, tokenizer, Broken(), out)  # type: ignore[arg-type]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []
