"""Training a captioner: from made-up planets, from a file, and what is refused."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "model"))  # tiny_captioner lives there

from tiny_captioner import tiny_captioner

import sat2cap
from sat2cap.catalogue import MINICLIP, resolve_model
from sat2cap.demo.plan import DemoPlan
from sat2cap.errors import InputError, JobError, RunFileError
from sat2cap.locks import folder_lock
from sat2cap.model.formats.captioner import load_captioner, save_captioner
from sat2cap.progress import silent
from sat2cap.training.captioner import train_captioner
from sat2cap.training.captioner_run import load_caption_run
from sat2cap.training.data.captioned_photos import embed_captioned_photos

RUN = """
method = "captioner"
[data]
{data}
[model]
clip = "miniclip"
{model}
[optim]
batch = 16
steps = {steps}
lr = 5e-3
[output]
folder = "{out}"
"""
COLOURS = {"a photo of snow": "white", "a red roof": "red", "the blue sea": "blue"}
"""Pictures of one colour, so that a captioner can only know them by their embedding."""


def run_file(
    folder: Path, data: str, model: str = "layers = 1\nhidden = 32\nheads = 2", steps: int = 90
) -> Path:
    path = folder / "run.toml"
    path.write_text(RUN.format(data=data, model=model, steps=steps, out=folder / "captioner"))
    return path


def pictures(folder: Path) -> str:
    """A file of captions; the run file's line that names it."""
    lines = []
    for number, (text, colour) in enumerate(COLOURS.items()):
        Image.new("RGB", (60, 60), colour).save(folder / f"{number}.png")
        lines += [{"image": f"{number}.png", "caption": text}, {"image": f"{number}.png", "captions": [text]}]
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return f'captions = "{folder / "captions.jsonl"}"\nheld_out = 0.0'


def embedded(colour: str) -> np.ndarray:
    return resolve_model(MINICLIP).embed_ground([Image.new("RGB", (60, 60), colour)], unit=False)


def test_it_learns_to_say_what_it_is_shown(tmp_path: Path) -> None:
    seen = []
    run = load_caption_run(run_file(tmp_path, pictures(tmp_path)))
    figures = train_captioner(run, resolve_model, lambda *step: seen.append(step))
    captioner = load_captioner(tmp_path / "captioner")
    assert {captioner.captions(embedded(colour))[0]: colour for colour in COLOURS.values()} == COLOURS
    assert figures["loss.last100"] < 3
    assert captioner.card["training"]["optim"]["steps"] == 90
    assert captioner.space == resolve_model(MINICLIP).text_identity
    assert [done for text, done, _ in seen if text.startswith("training")] == list(range(1, 91))


def test_a_second_training_into_the_folder_is_refused_and_what_a_killed_one_left_is_removed(
    tmp_path: Path,
) -> None:
    run = load_caption_run(run_file(tmp_path, pictures(tmp_path), steps=2))
    with (
        folder_lock(tmp_path, "captioner 'captioner' in", ".lock-captioner"),
        pytest.raises(JobError, match=r"captioner 'captioner' in .* is being written by process \d+ on"),
    ):
        train_captioner(run, resolve_model)
    assert not (tmp_path / "captioner").exists()
    (tmp_path / ".captioner.killed").mkdir()
    train_captioner(run, resolve_model)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_made_up_planets_are_learnt_from(tmp_path: Path) -> None:
    data = "worlds = [3]\nphotos_per_world = 60\nheld_out = 0.2"
    figures = train_captioner(load_caption_run(run_file(tmp_path, data)), resolve_model)
    words = len(load_captioner(tmp_path / "captioner").tokenizer)
    assert figures["loss.held_out"] < math.log(words) - 1, "better than knowing no word from another"


def test_the_prefix_alone_leaves_the_language_as_it_was(tmp_path: Path) -> None:
    clip = resolve_model(MINICLIP)
    before = tiny_captioner(clip.dim, clip.text.tokenizer)
    save_captioner(before, tmp_path / "start")
    model = f'init = "{tmp_path / "start"}"\ntrain_gpt = false'
    train_captioner(load_caption_run(run_file(tmp_path, pictures(tmp_path), model, steps=3)), resolve_model)
    old, new = before.network.state_dict(), load_captioner(tmp_path / "captioner").network.state_dict()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed == {name for name in old if name.startswith("clip_project.")}


def test_weights_can_be_rounded_to_half_precision(tmp_path: Path) -> None:
    sizes = []
    for name, half in (("whole", "false"), ("half", "true")):
        (tmp_path / name).mkdir()
        path = run_file(tmp_path / name, pictures(tmp_path / name), steps=2)
        path.write_text(f"{path.read_text()}half = {half}\n")
        train_captioner(load_caption_run(path), resolve_model)
        sizes.append((tmp_path / name / "captioner" / "model.safetensors").stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]


def test_the_same_run_gives_the_same_captioner(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        train_captioner(
            load_caption_run(run_file(tmp_path / name, pictures(tmp_path / name), steps=4)), resolve_model
        )
        made.append(load_captioner(tmp_path / name / "captioner").identity)
    assert made[0] == made[1]


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    path = run_file(tmp_path, "worlds = [3]", model="prefix = 0\nspeed = 1")
    with pytest.raises(RunFileError) as caught:
        load_caption_run(path)
    for part in ("must have either captions", "model.prefix", "model.speed"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    run = load_caption_run(run_file(tmp_path, f'captions = "{tmp_path / "captions.jsonl"}"'))
    with pytest.raises(InputError, match=r"captions\.jsonl cannot be read: No such file"):
        train_captioner(run, resolve_model)
    for line, reason in (
        ("", "no line"),
        ('{"picture": "a.png", "caption": "b"}', "1 x it has no 'image'"),
        ('{"image": "a", "captions": "b"}', "no JSON object with captions as texts"),
    ):
        (tmp_path / "captions.jsonl").write_text(f"{line}\n")
        with pytest.raises(InputError, match=rf"holds no photo with a caption .*{reason}"):
            train_captioner(run, resolve_model)


def test_lines_that_cannot_be_used_are_left_out_and_counted(tmp_path: Path) -> None:
    data = pictures(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with (tmp_path / "captions.jsonl").open("ab") as file:
        file.write(b'{"image": "broken.png", "caption": "a"}\n{"image": "missing.png", "caption": "a"}\n')
        file.write(b'[1]\n{"image": "0.png", "caption": 5}\n{"image": "0.png", "caption": "\xff"}\n')
    run = load_caption_run(run_file(tmp_path, data, steps=2))
    with pytest.warns(UserWarning, match="5 lines are left out: 3 x it is no JSON") as warned:
        photos = embed_captioned_photos(run.data, resolve_model(MINICLIP), silent)
    assert photos.captions == [[text] for text in COLOURS for _ in range(2)]
    assert "1 x the photo cannot be decoded" in str(warned[0].message)
    assert "1 x the photo cannot be read: No such file" in str(warned[0].message)


def test_a_captioner_of_another_model_is_refused(tmp_path: Path) -> None:
    save_captioner(tiny_captioner(dim=32), tmp_path / "start")
    run = load_caption_run(run_file(tmp_path, pictures(tmp_path), f'init = "{tmp_path / "start"}"'))
    with pytest.raises(InputError, match="is for embeddings of 32, not 128 numbers"):
        train_captioner(run, resolve_model)


def test_the_shipped_run_file_is_right() -> None:
    run = load_caption_run(Path(sat2cap.__file__).parent / "runs" / "captioner.toml")
    assert not {DemoPlan().train_world, DemoPlan().test_world} & set(run.data.worlds)
    assert run.model.prefix == 10
