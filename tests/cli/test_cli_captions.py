"""Captions as a user types them, with a tiny random model and captioner."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))  # tiny_bert lives there

from command import Done, run
from PIL import Image
from tiny_bert import tiny_bert
from tiny_captioner import WORDS, published, tiny_captioner, words

import sat2cap
from sat2cap.catalogue import resolve_captioner
from sat2cap.evaluation.metric import metric_values
from sat2cap.evaluation.record import read_run
from sat2cap.geo.when import parse_when
from sat2cap.model.formats.captioner import load_captioner, save_captioner
from sat2cap.query.points import embeddings_at


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_captioner(tiny_captioner(dim=32), tmp_path_factory.mktemp("captioner") / "c")


def test_a_caption_for_each_place_and_date(atlas: Path, captioner: Path) -> None:
    words = ("caption", atlas, "--at", "-9.99,-45.0", "--at", "60,10", "--captioner", captioner, "--beams", 2)
    dates = ("--when", "2024-01-15", "--when", "2024-07-15T23:00")
    done = run(*words, *dates, "--json")
    assert done.status == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [(line["lon"], line["when"]) for line in lines] == [
        (-9.99, "2024-01-15T12:00"),
        (-9.99, "2024-07-15T23:00"),
        (60.0, "2024-01-15T12:00"),
        (60.0, "2024-07-15T23:00"),
    ]
    opened, place = sat2cap.open(atlas), [(-9.99, -45.0)]
    rows = [
        embeddings_at(opened.atlas, opened.checkpoint, place, parse_when(line["when"])) for line in lines[:2]
    ]
    assert np.abs(rows[0] - rows[1]).max() > 0.01, "another month, another embedding"
    said = load_captioner(captioner).captions(np.concatenate(rows), beams=2)
    assert [line["caption"] for line in lines[:2]] == said
    assert [line["caption"] for line in lines[2:]] == [None, None]
    assert done.err.count("has no embedding") == 1
    table = run(*words)
    assert (table.status, len(table.out.splitlines())) == (0, 3)


def test_a_model_of_the_miniature_world_needs_no_captioner_of_yours(tmp_path: Path) -> None:
    out = tmp_path / "m.zarr"
    done = run(
        "embed", "-10,-45.01,-9.98,-44.99", "--imagery", "miniworld:7", "--model", "miniclip", "-o", out
    )
    assert done.status == 0, done.err
    asked = ("caption", out, "--at=-9.99,-45.0", "--beams", 1, "--json")
    plain = run(*asked)
    assert plain.status == 0, plain.err
    opened = sat2cap.open(out)
    row = embeddings_at(opened.atlas, opened.checkpoint, [(-9.99, -45.0)])
    said = resolve_captioner(None, opened.checkpoint).captions(row)
    assert [json.loads(line)["caption"] for line in plain.out.splitlines()] == said
    assert run(*asked, "--captioner", "minicaptioner").out == plain.out
    dated = run(*asked, "--when", "2024-01")
    assert (dated.status, "the date is ignored" in dated.err) == (0, True)


def test_concepts_are_of_the_bank(atlas: Path, tmp_path: Path) -> None:
    (tmp_path / "bank.txt").write_text("a beach\nsnow\n\na town\n")
    done = run(
        "concepts", atlas, "--at=-9.99,-45.0", "--phrases", tmp_path / "bank.txt", "--top", 2, "--json"
    )
    assert done.status == 0, done.err
    (line,) = (json.loads(line) for line in done.out.splitlines())
    near = line["concepts"]
    assert len(near) == 2
    assert {one["phrase"] for one in near} <= {"a beach", "snow", "a town"}
    assert near[0]["cosine"] >= near[1]["cosine"]
    assert run("concepts", atlas, "--at=-9.99,-45.0").out.count(", ") == 4


@pytest.fixture(scope="module")
def run_folder(
    pairs: tuple[Path, Done], model: Path, captioner: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    options = ("--clip", model, "--split", "train", "--gallery", 40, "--draws", 20, "-o", out)
    done = run("evaluate", "captions", pairs[0], "--model", model, "--captioner", captioner, *options)
    assert done.status == 0, done.err
    return out


def test_captions_are_measured_and_reported(run_folder: Path, tmp_path: Path) -> None:
    (record,) = read_run(run_folder)
    known = {figure.name: figure.value for figure in record.metrics}
    assert [row["name"] for row in record.table_data["rows"]] == [
        "",
        "no_metadata",
        "clip",
        "ground",
        "chance",
        "written",
    ]
    assert record.pictures[0][0] == "captions.jpg"
    with Image.open(run_folder / record.folder.name / "captions.jpg") as figure:
        assert figure.width > 1000
    assert {"ground.bleu4", "written.cider", "clip.ground.rouge_l", "above_clip.truth.chance"} <= set(known)
    assert known["no_metadata.ground.rouge_l"] == known["clip.ground.rouge_l"], "the same embeddings"
    assert known["written.truth.possible"] > 0.9, "what people write is there"
    assert 0 <= known["months.changed"] <= 1
    assert run("report", run_folder, "-o", tmp_path / "page.html").status == 0
    page = (tmp_path / "page.html").read_text()
    for part in ("Captions", "0.3334", "MPNet-base-v2", "what people wrote", "chance that a photo shows it"):
        assert part in page


def test_encoders_and_bert_score_for_a_captioner_of_raw_embeddings(
    pairs: tuple[Path, Done], model: Path, tmp_path: Path
) -> None:
    """As CLIPCap's own weights take them."""
    raw = save_captioner(replace(tiny_captioner(dim=32), unit=False), tmp_path / "raw")
    (tmp_path / "bert").mkdir()
    bert = tiny_bert(tmp_path / "bert", WORDS)
    options = ("--encoder", bert, "--bert", bert, "--bert-layer", 2, "--split", "train", "--gallery", 12)
    asked = (pairs[0], "--model", model, "--captioner", raw, *options, "-o", tmp_path / "run")
    done = run("evaluate", "captions", *asked)
    assert done.status == 0, done.err
    (record,) = read_run(tmp_path / "run")
    metrics = metric_values(record.metrics)
    for name in ("ground.bert", "ground.bert_score", "no_metadata.written.bert", "ground.written.bert_score"):
        assert -1 <= metrics[name] <= 1.0001
    assert run("report", tmp_path / "run", "-o", tmp_path / "page.html").status == 0
    assert f"BERTScore, {bert}" in (tmp_path / "page.html").read_text()


def test_peoples_captions_from_a_file_replace_the_planets(
    pairs: tuple[Path, Done], model: Path, captioner: Path, tmp_path: Path
) -> None:
    from sat2cap.pairs import open_pairs

    keys = open_pairs(pairs[0]).index["key"]
    (tmp_path / "w.jsonl").write_text("".join(json.dumps({"key": k, "caption": "snow"}) + "\n" for k in keys))
    asked = (pairs[0], "--model", model, "--captioner", captioner, "--split", "train", "--gallery", 20)
    done = run(
        "evaluate", "captions", *asked, "--captions", tmp_path / "w.jsonl", "--json", tmp_path / "f.json"
    )
    assert done.status == 0, done.err
    assert json.loads((tmp_path / "f.json").read_text())["written.truth.stated"] == 1


@pytest.mark.parametrize(
    ("words_", "message"),
    [
        (["caption", "{atlas}", "--at", "1;2", "--captioner", "{captioner}"], "'1;2' is not LON,LAT"),
        (["caption", "{atlas}", "--at", "1,2", "--captioner", "{captioner}"], "none of the places"),
        (
            ["caption", "{atlas}", "--at", "1,2", "--captioner", "{tmp}"],
            "neither a folder with captioner.json",
        ),
        (["caption", "{atlas}", "--at=-9.99,-45", "--captioner", "{clipcap}", "--tokenizer", "{gpt2}"], "32"),
        (["caption", "{atlas}", "--at=-9.99,-45"], "is not in the space of this release's miniclip"),
        (
            ["caption", "{atlas}", "--at=-9.99,-45", "--captioner", "minicaptioner"],
            "numbers, and those of tiny",
        ),
        (["concepts", "{atlas}", "--at=-9.99,-45", "--phrases", "{tmp}/no.txt"], "no.txt"),
        (
            [
                "evaluate",
                "captions",
                "{pairs}",
                "--model",
                "{model}",
                "--captioner",
                "{captioner}",
                "--clip",
                "miniclip",
                "--split",
                "train",
            ],
            "for embeddings of 32 numbers, and those of clip have 128",
        ),
    ],
)
def test_what_is_wrong_is_one_line(
    words_: list[str],
    message: str,
    atlas: Path,
    captioner: Path,
    pairs: tuple[Path, Done],
    model: Path,
    tmp_path: Path,
) -> None:
    words().save_pretrained(tmp_path / "gpt2")
    clipcap = published(tmp_path / "w.pt", layers=1)
    places = {"atlas": atlas, "captioner": captioner, "tmp": tmp_path, "clipcap": clipcap, "model": model}
    places["pairs"] = pairs[0]
    done = run(*(word.format(**places, gpt2=tmp_path / "gpt2") for word in words_))
    assert done.status == 2
    assert done.err.splitlines()[-1].startswith("error: ")
    assert message in done.err
