"""``sat2cap caption`` and ``sat2cap concepts``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat2cap.cli.options import AtlasModel, AtlasPath, Text

if TYPE_CHECKING:
    import geopandas as gpd

At = Annotated[
    list[str], typer.Option("--at", metavar="LON,LAT", help="A place in degrees; may be repeated.")
]
Whens = Annotated[
    list[str] | None,
    typer.Option(
        "--when", metavar="DATE", help="Local date and hour, such as 2024-05-20T08:00; may be repeated."
    ),
]
CaptionerName = Annotated[
    str | None,
    typer.Option(
        "--captioner",
        metavar="C",
        help="A captioner's folder (sat2cap train), or CLIPCap's conceptual_weights.pt; minicaptioner, which "
        "ships, where the model is in the miniature CLIP's space.",
    ),
]
Tokenizer = Annotated[
    str,
    typer.Option(
        metavar="GPT2", help="For weights of CLIPCap: GPT-2's tokenizer, a folder or Hugging Face name."
    ),
]
Beams = Annotated[int, typer.Option(metavar="N", help="Beams of the search for words; 1 is greedy.", min=1)]
JsonLines = Annotated[bool, typer.Option("--json", help="Print JSON lines instead of a table.")]


def caption(
    atlas: AtlasPath,
    at: At,
    when: Whens = None,
    captioner: CaptionerName = None,
    beams: Beams = 5,
    tokenizer: Tokenizer = "gpt2",
    json: JsonLines = False,
    model: AtlasModel = None,
) -> None:
    """Say in a sentence what a photo at a place would show.

    At each date, if the model knows time. A language model finds the words, so it may say what is not there;
    sat2cap concepts does not.
    """
    from sat2cap import api
    from sat2cap.geo import parse_place

    places = [parse_place(text) for text in at]
    opened = api.open(atlas, model)
    table = opened.caption(places, when or None, captioner=captioner, beams=beams, tokenizer=tokenizer)
    _print_rows(table, [{"caption": text} for text in table.caption], json)


def concepts(
    atlas: AtlasPath,
    at: At,
    when: Whens = None,
    phrases: Annotated[
        Path | None, typer.Option(metavar="FILE.txt", help="Phrases, one a line; 71 that ship if left out.")
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", help="Number of phrases.", min=1)] = 5,
    json: JsonLines = False,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Find the phrases that fit a place best.

    From a list, so nothing is made up; at each date, if the model knows time.
    """
    from sat2cap import api
    from sat2cap.evaluation import read_phrases
    from sat2cap.geo import parse_place

    places = [parse_place(line) for line in at]
    bank = None if phrases is None else read_phrases(phrases)
    table = api.open(atlas, model, text).phrases(places, when or None, bank=bank, top=top)
    answers: list[dict[str, Any]] = [
        {"concepts": [match._asdict() for match in matches]}
        if json
        else {"concepts": ", ".join(f"{match.phrase} {match.cosine:.3f}" for match in matches)}
        for matches in table.phrases
    ]
    _print_rows(table, answers, json)


def _print_rows(table: "gpd.GeoDataFrame", answers: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Print a row for each place and date with its answer, as a table or as JSON lines."""
    import json

    from sat2cap.cli import console

    keys = list(zip(table.lon, table.lat, table.when, strict=True))
    if as_json:
        for (lon, lat, when), words in zip(keys, answers, strict=True):
            print(json.dumps({"lon": lon, "lat": lat, "when": when or None, **words}))
        return
    rows = [
        (f"{lon:.5f}", f"{lat:.5f}", when or "any", *(str(word or "") for word in words.values()))
        for (lon, lat, when), words in zip(keys, answers, strict=True)
    ]
    console.table(("lon", "lat", "when", *answers[0]), rows, left=True)
