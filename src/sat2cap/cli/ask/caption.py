"""``sat2cap caption`` and ``sat2cap concepts``."""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat2cap.cli.options import AtlasModel, AtlasPath, Text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sat2cap.api import OpenAtlas
    from sat2cap.geo import When

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
    from sat2cap.catalogue import resolve_captioner

    opened = api.open(atlas, model)
    loaded = resolve_captioner(captioner, opened.checkpoint, tokenizer)
    place_rows = list(_place_rows(opened, at, when or []))
    written = iter(loaded.captions(_stack_embeddings(place_rows), beams))
    answers = [next(written) if has_embedding else None for *_, has_embedding, _ in place_rows]
    _print_rows(place_rows, [{"caption": text} for text in answers], json)


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
    from sat2cap.evaluation import DEFAULT_PHRASES, read_phrases
    from sat2cap.query import nearest_phrases

    opened = api.open(atlas, model, text)
    place_rows = list(_place_rows(opened, at, when or []))
    bank = DEFAULT_PHRASES if phrases is None else read_phrases(phrases)
    phrase_lists = iter(nearest_phrases(opened.checkpoint, _stack_embeddings(place_rows), bank, top))
    phrase_matches = [next(phrase_lists) if has_embedding else [] for *_, has_embedding, _ in place_rows]
    if json:
        _print_rows(
            place_rows,
            [{"concepts": [match._asdict() for match in matches]} for matches in phrase_matches],
            json,
        )
    else:
        _print_rows(
            place_rows,
            [{"concepts": ", ".join(f"{p} {c:.3f}" for p, c in matches)} for matches in phrase_matches],
            json,
        )


PlaceRow = tuple[float, float, str, bool, "NDArray[np.float32]"]


def _place_rows(opened: "OpenAtlas", at: Sequence[str], when: Sequence[str]) -> Iterator[PlaceRow]:
    """Yield each place at each date: degrees, date, whether it has an embedding, and the embedding."""
    import numpy as np

    from sat2cap.cli import console
    from sat2cap.geo import parse_place, parse_when
    from sat2cap.maps import CONDITIONING_KEY, Conditioning, date_warning
    from sat2cap.query import embeddings_at

    places = [parse_place(text) for text in at]
    moments: list[When | None] = [*map(parse_when, when)] or [None]
    if when and opened.checkpoint.dynamic is None:
        console.warn(f"the date is {date_warning({CONDITIONING_KEY: Conditioning.NO_DYNAMIC_ENCODER})}")
    rows = {moment: embeddings_at(opened.atlas, opened.checkpoint, places, moment) for moment in moments}
    for (number, (lon, lat)), moment in product(enumerate(places), moments):
        row = rows[moment][number]
        has_embedding = bool(np.isfinite(row).all())
        if not has_embedding and moment == moments[0]:
            console.warn(f"{lon:g},{lat:g} has no embedding: outside the atlas, or without imagery there")
        yield lon, lat, "" if moment is None else moment.isoformat(), has_embedding, row


def _stack_embeddings(place_rows: Sequence[PlaceRow]) -> "NDArray[np.float32]":
    """Return the embeddings, shape (N, D), of the places that have one. Raises `InputError` if none has."""
    import numpy as np

    from sat2cap.errors import InputError

    rows = [row for *_, has_embedding, row in place_rows if has_embedding]
    if not rows:
        raise InputError("none of the places has an embedding; sat2cap atlas info says where the atlas lies")
    return np.stack(rows)


def _print_rows(place_rows: Sequence[PlaceRow], answers: Sequence[dict[str, Any]], as_json: bool) -> None:
    import json

    from sat2cap.cli import console

    if as_json:
        for (lon, lat, when, _, _), words in zip(place_rows, answers, strict=True):
            print(json.dumps({"lon": lon, "lat": lat, "when": when or None, **words}))
        return
    rows = [
        (f"{lon:.5f}", f"{lat:.5f}", when or "any", *(str(word or "") for word in words.values()))
        for (lon, lat, when, _, _), words in zip(place_rows, answers, strict=True)
    ]
    console.table(("lon", "lat", "when", *answers[0]), rows, left=True)
