"""``sat2cap models``: list, describe, download, convert and calibrate models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sat2cap.model import ModelRecord

app = typer.Typer(help="Describe, download and convert models.", no_args_is_help=True)

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
        "--as", metavar="NAME", help="The published model that MODEL is a copy of, such as MVRL/Sat2Cap."
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
        (
            model.name,
            str(model.dim),
            str(model.pixels),
            model.licence,
            "yes" if find_in_hub_cache(model.name) else "no",
            model.about,
        )
        for model in PUBLISHED_MODELS
    ]
    console.print_table(heads, rows, left=True)


@app.command()
def info(
    model: ModelName,
    text: Texts = None,
    like: Like = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the record as JSON.")
    ] = None,
) -> None:
    """Describe a model.

    Prints what it consists of, which input it expects, and where it comes from.
    """
    from sat2cap import api
    from sat2cap.cli import console
    from sat2cap.files import write_json
    from sat2cap.model import describe_model

    checkpoint = api.load_model(model, text, like)
    record = describe_model(checkpoint)
    console.print_facts(_record_facts(record))
    metrics = checkpoint.card.get("metrics")
    if isinstance(metrics, dict):
        console.print_facts((f"metrics.{name}", value) for name, value in metrics.items())
    if json_file is not None:
        write_json(json_file, record.as_dict())


@app.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A checkpoint folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="The folder to write.")],
) -> None:
    """Write a trained model in Hugging Face's layout.

    Overhead tower, processor and a card with the run's metrics; every command reads the result as a model.
    """

    from sat2cap import api

    print(api.export_model(model, out))


@app.command()
def fetch(model: ModelName) -> None:
    """Download a model of the Hugging Face hub, and the text tower that belongs to it.

    It is kept in the cache of Hugging Face (HF_HOME), where every command finds it without a network. The
    same command continues a stopped download, and renews a model of which the hub has a newer version.
    """
    from sat2cap.errors import InputError
    from sat2cap.model import fetch_from_hub, find_published_model, is_hub_name, split_hub_name

    if not is_hub_name(model):
        raise InputError(f"{model!r} is not a name on the hub; give owner/name or owner/name@revision")
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

    The folder holds all that is needed, with preprocessing and text tower, so that it can be copied to a
    machine without a network; docs/checkpoint.md describes the format.
    """

    from sat2cap import api

    print(api.convert_model(model, out, text, like))


@app.command()
def calibrate(
    model: ModelName,
    pairs: Annotated[
        str,
        typer.Argument(metavar="PAIRS", help="Pairs that MODEL was not trained on: a folder, or an address."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="The folder to write.")],
    split: Annotated[str, typer.Option(metavar="SPLIT", help="The split of the pairs to use.")] = "val",
    text: Texts = None,
    like: Like = None,
) -> None:
    """Calibrate a model, so that its contrast is a chance.

    Photos of places that it was not trained on tell what its scores are worth; up to 2,000 are kept in the
    folder. Models trained here with validation pairs are calibrated already. The new model also reads atlases
    of MODEL.
    """
    from sat2cap import api
    from sat2cap.cli import console

    with console.show_progress(resumes=False) as progress:
        print(api.calibrate_model(api.load_model(model, text, like), pairs, out, split, progress=progress))


@app.command()
def verify(model: ModelName) -> None:
    """Compare all files of a model with their hashes.

    Checkpoints and captioners name them in their manifest; models of the hub are compared where they lie in
    the cache. The exit status is 1 if a file is damaged.
    """
    from sat2cap.model import verify_model

    result = verify_model(model)
    for problem in result.problems:
        print(problem)
    if result.problems:
        raise typer.Exit(1)
    print(f"{model}: sound, {result.files} files match their hashes")


def _record_facts(record: "ModelRecord") -> list[tuple[str, object]]:
    """Return names and values of a record; for an absent part, what its absence means."""
    absence_meanings = {
        "ground": "none: photos cannot be embedded",
        "text": "none: give a CLIP model with --text to map prompts",
        "dynamic": "none: dates make no difference",
        "calibration": "none: contrast is a share, not a probability",
        "revision": "none: not from the hub",
    }
    values = {**record.as_dict(), "logit_scale": f"{record.logit_scale:.4g}"}
    values |= {
        name: _format_preprocess(values[name]) for name in ("overhead_preprocess", "ground_preprocess")
    }
    return [
        (name.replace("_", " "), absence_meanings.get(name, "none") if value is None else value)
        for name, value in values.items()
    ]


def _format_preprocess(preprocess: dict[str, object]) -> str:
    """Format preprocessing on one line, without settings that are off."""
    return ", ".join(f"{name} {value}" for name, value in preprocess.items() if value is not None)
