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
Dates = Annotated[
    list[str] | None,
    typer.Option(
        "--when", metavar="DATE", help="Local date and hour, such as 2024-05-20T08:00; may be repeated."
    ),
]
CaptionerName = Annotated[
    str | None,
    typer.Option(
        "--captioner",
        metavar="CAPTIONER",
        help="A captioner's folder (made by sat2cap train) or CLIPCap's conceptual_weights.pt; by default "
        "minicaptioner, which ships, where the model shares the space of the miniature CLIP.",
    ),
]
Tokenizer = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="GPT-2's tokenizer, which weights of CLIPCap need: a folder or a Hugging Face name.",
    ),
]
Beams = Annotated[
    int,
    typer.Option(metavar="N", help="Number of beams in the search for words; 1 is a greedy search.", min=1),
]
JsonLines = Annotated[bool, typer.Option("--json", help="Print JSON lines instead of a table.")]


def caption(
    atlas: AtlasPath,
    at: At,
    when: Dates = None,
    captioner: CaptionerName = None,
    beams: Beams = 5,
    tokenizer: Tokenizer = "gpt2",
    json: JsonLines = False,
    model: AtlasModel = None,
) -> None:
    """Describe in a sentence what a photo at a place would show.

    With dates, one sentence for each, if the model knows time. A language model writes the words, so it may
    state what is not there; sat2cap concepts chooses from a list instead.
    """
    from sat2cap import api
    from sat2cap.geo import parse_place

    places = [parse_place(text) for text in at]
    api.check_names(atlas, model)
    opened = api.open(atlas, model)
    table = opened.caption(places, when or None, captioner=captioner, beams=beams, tokenizer=tokenizer)
    _print_rows(table, [{"caption": text} for text in table.caption], json)


def concepts(
    atlas: AtlasPath,
    at: At,
    when: Dates = None,
    phrases: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.txt", help="A file of phrases, one on each line; by default 71 that ship."
        ),
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", help="Number of phrases.", min=1)] = 5,
    json: JsonLines = False,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Find the phrases that fit a place best.

    They are chosen from a list, so none is invented. With dates, once for each, if the model knows time.
    """
    from sat2cap import api
    from sat2cap.geo import parse_place

    places = [parse_place(place_text) for place_text in at]
    api.check_names(atlas, model, text)
    from sat2cap.query import read_phrases

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
    console.print_table(("lon", "lat", "when", *answers[0]), rows, left=True)
