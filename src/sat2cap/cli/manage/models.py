"""``sat2cap models``: list, describe, download, convert and calibrate models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sat2cap.model import ModelRecord

app = typer.Typer(help="Look at models, fetch and convert them.", no_args_is_help=True)

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A checkpoint folder, a .ckpt of the authors' training, a name on the Hugging Face hub "
        "(owner/name or owner/name@revision), or miniclip.",
    ),
]
Like = Annotated[
    str | None,
    typer.Option(
        "--as", metavar="NAME", help="The known model that MODEL is a copy of, such as MVRL/Sat2Cap."
    ),
]
Texts = Annotated[
    str | None,
    typer.Option("--text", metavar="MODEL", help="The CLIP model whose text tower to add."),
]


@app.command("list")
def list_models() -> None:
    """List the models known by name.

    Any other CLIP or SigLIP of the Hugging Face hub can be named too.
    """
    from sat2cap.cli import console
    from sat2cap.model import PUBLISHED_MODELS, find_in_hub_cache

    heads = ("name", "numbers", "px", "licence", "here", "what it is")
    rows = [
        (m.name, str(m.dim), str(m.pixels), m.licence, "yes" if find_in_hub_cache(m.name) else "no", m.about)
        for m in PUBLISHED_MODELS
    ]
    console.table(heads, rows, left=True)


@app.command()
def info(
    model: ModelName,
    text: Texts = None,
    like: Like = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the record as JSON.")
    ] = None,
) -> None:
    """Say what a model is.

    What it consists of, what it expects, and where it comes from.
    """
    from sat2cap import api
    from sat2cap.cli import console
    from sat2cap.files import write_json
    from sat2cap.model import describe_model

    checkpoint = api.load_model(model, text, like)
    record = describe_model(checkpoint)
    console.facts(_record_facts(record))
    metrics = checkpoint.card.get("metrics")
    if isinstance(metrics, dict):
        console.facts((f"metrics.{name}", value) for name, value in metrics.items())
    if json_file is not None:
        write_json(json_file, record.as_dict())


@app.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A checkpoint folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="The folder to write.")],
) -> None:
    """Write a trained model in Hugging Face's layout.

    Overhead tower, processor and a card with the run's figures; it stays a model that every command reads.
    """

    from sat2cap import api

    print(api.export_model(model, out))


@app.command()
def fetch(model: ModelName) -> None:
    """Download a model of the Hugging Face hub, and the text tower that belongs to it.

    It is kept in the cache of Hugging Face (HF_HOME), where every command finds it without a network. A
    stopped download goes on with the same command; a model that is there is renewed if the hub has a newer.
    """
    from sat2cap.errors import InputError
    from sat2cap.model import fetch_from_hub, find_published_model, is_hub_name, split_hub_name

    if not is_hub_name(model):
        raise InputError(f"{model!r} is no name on the hub; give owner/name or owner/name@revision")
    published = find_published_model(split_hub_name(model)[0])
    for name in (model, *([published.text] if published and published.text else [])):
        folder = fetch_from_hub(name, refresh=True)
        print(f"{name}: {folder}")


@app.command()
def convert(
    model: ModelName,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="The folder to write.")],
    text: Texts = None,
    like: Like = None,
) -> None:
    """Write any model as one folder.

    It holds all that is needed, preprocessing and text tower included, and can be carried to a machine
    without a network; docs/checkpoint.md is its format.
    """

    from sat2cap import api

    print(api.convert_model(model, out, text, like))


@app.command()
def calibrate(
    model: ModelName,
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS", help="Pairs that MODEL was not trained on.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="The folder to write.")],
    split: Annotated[str, typer.Option(metavar="SPLIT", help="Of the pairs.")] = "val",
    text: Texts = None,
    like: Like = None,
) -> None:
    """Make a model's contrast a chance.

    Photos of places that it was not trained on tell what its scores are worth; up to 2,000 are kept in the
    folder. Models trained here with validation pairs have theirs. An atlas of MODEL serves the new one too.
    """
    from sat2cap import api
    from sat2cap.cli import console

    with console.progress(resumes=False) as progress:
        print(api.calibrate_model(api.load_model(model, text, like), pairs, out, split, progress=progress))


def _record_facts(record: "ModelRecord") -> list[tuple[str, object]]:
    """Return names and values of a record; for an absent part, what its absence means."""
    missing = {
        "ground": "none: photos cannot be embedded",
        "text": "none: give a CLIP model with --text to map prompts",
        "dynamic": "none: dates make no difference",
        "calibration": "none: shares of contrast are no probabilities",
        "revision": "none: not from the hub",
    }
    values = {**record.as_dict(), "logit_scale": f"{record.logit_scale:.4g}"}
    values |= {
        name: _format_preprocess(values[name]) for name in ("overhead_preprocess", "ground_preprocess")
    }
    return [
        (name.replace("_", " "), missing.get(name, "none") if value is None else value)
        for name, value in values.items()
    ]


def _format_preprocess(preprocess: dict[str, object]) -> str:
    """Format preprocessing on one line, without settings that are off."""
    return ", ".join(f"{name} {value}" for name, value in preprocess.items() if value is not None)
