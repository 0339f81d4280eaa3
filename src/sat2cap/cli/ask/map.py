"""``sat2cap map`` and ``sat2cap search``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sat2cap.cli.ask import output
from sat2cap.cli.ask.output import Above, Best, Outlines, Places, Title, Underlay
from sat2cap.cli.options import AtlasModel, AtlasPath, Text, When, Within

Prompts = Annotated[
    list[str],
    typer.Argument(
        metavar="PROMPT",
        help='What a photo there would show; "one thing + another" for both; place:LON,LAT or photo:FILE for '
        "what is like it.",
    ),
]


class Scale(StrEnum):
    """Units of the values of a map."""

    cosine = "cosine"
    percentile = "percentile"
    contrast = "contrast"


class Over(StrEnum):
    """Variations that a spread is measured over."""

    templates = "templates"
    hours = "hours"
    years = "years"


def map_prompts(
    atlas: AtlasPath,
    prompts: Prompts,
    out: output.Out,
    when: output.Moments = None,
    months: output.Months = None,
    hours: output.Hours = None,
    negatives: Annotated[
        list[str] | None,
        typer.Option("--not", metavar="PROMPT", help="A prompt to subtract; may be repeated."),
    ] = None,
    scale: Annotated[
        Scale,
        typer.Option(
            metavar="cosine|percentile|contrast",
            help="The cosine; percentile in the region, 0 to 100; contrast: the chance, 0 to 1, that a photo "
            "taken there fits the prompt.",
        ),
    ] = Scale.cosine,
    templates: Annotated[
        list[str] | None,
        typer.Option("--template", metavar="TEXT", help="Such as 'a photo of {}'; several are averaged."),
    ] = None,
    within: Within = None,
    spread: Annotated[
        Over | None,
        typer.Option(
            metavar="templates|hours|years",
            help="For .tif: more bands, of how the score differs over other wordings, hours or years.",
        ),
    ] = None,
    above: Above = None,
    best: Best = None,
    title: Title = None,
    underlay: Underlay = None,
    outlines: Outlines = None,
    places: Places = None,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Map one or more prompts.

    At a date and hour, or at several, if the model knows time. The file's suffix says what is made: .tif (a
    band for each prompt and date), .png, .gif or .mp4 (through several dates), .geojson or .parquet (areas),
    .pmtiles (web tiles) or .html (a page to zoom in).
    """
    from sat2cap import api
    from sat2cap.errors import InputError
    from sat2cap.maps import MapOptions, check_output

    options = MapOptions(title, underlay, outlines, places or (), above, best)
    check_output(out, options)
    if spread and out.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{out}: a spread is a band of its own; write it to a .tif")
    score = api.open(atlas, model, text).map(
        prompts[0] if len(prompts) == 1 else prompts,
        output.parse_moments(when, months, hours),
        negatives or (),
        scale.value,
        templates or ("{}",),
        within,
        spread.value if spread else None,
    )
    output.warn_about_date(score.attrs)
    output.save_map(score, out, options)


def search(
    atlas: AtlasPath,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What a photo there would show.")],
    top: Annotated[int, typer.Option(metavar="N", help="Number of places.", min=1)] = 20,
    when: When = None,
    within: Within = None,
    apart: Annotated[
        float | None,
        typer.Option(metavar="METRES", help="Least distance between places; three cells if left out."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE.geojson", help="Also write them as GeoJSON.")
    ] = None,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Find the places that fit a prompt best.

    Prints them as a table; with --out, also writes them to a file.
    """
    from sat2cap import api
    from sat2cap.cli import console
    from sat2cap.maps import check_output, write_places

    if out is not None:
        check_output(out, suffixes=(".geojson", ".parquet"))
    opened = api.open(atlas, model, text)
    best_places = opened.search(prompt, top, when, apart, within)
    output.warn_about_date(best_places.attrs)
    rows = [(f"{r.rank}", f"{r.score:.4f}", f"{r.lon:.5f}", f"{r.lat:.5f}") for r in best_places.itertuples()]
    console.table(("rank", "score", "lon", "lat"), rows)
    if out is not None:
        write_places(best_places, out)
