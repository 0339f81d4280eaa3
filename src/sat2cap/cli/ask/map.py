"""``sat2cap map`` and ``sat2cap search``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sat2cap.cli.ask import output
from sat2cap.cli.ask.output import Above, Best, Outlines, Places, Title, Underlay
from sat2cap.cli.ask.prompts import refuse_paths
from sat2cap.cli.options import AtlasModel, AtlasPath, Text, When, Within

Prompts = Annotated[
    list[str],
    typer.Argument(
        metavar="PROMPT",
        callback=refuse_paths,
        help='What a photo there would show; "one thing + another" for both; place:LON,LAT or photo:FILE for '
        "places like that one.",
    ),
]


class ScaleName(StrEnum):
    """Name of the scale of a map; `sat2cap.query.ScoreScale` defines each."""

    cosine = "cosine"
    percentile = "percentile"
    contrast = "contrast"


class SpreadOver(StrEnum):
    """Variations over which the spread of a score is measured."""

    templates = "templates"
    hours = "hours"
    years = "years"
    photos = "photos"


def map_prompts(
    atlas: AtlasPath,
    prompts: Prompts,
    out: output.Out,
    when: output.Moments = None,
    months: output.Months = None,
    hours: output.Hours = None,
    negatives: output.Negatives = None,
    scale: Annotated[
        ScaleName,
        typer.Option(
            metavar="cosine|percentile|contrast",
            help="cosine: the similarity itself; percentile: its rank in the region, 0 to 100; contrast: the "
            "share of photos taken there that CLIP would say fit the prompt, 0 to 1 (calibrated models).",
        ),
    ] = ScaleName.cosine,
    templates: Annotated[
        list[str] | None,
        typer.Option(
            "--template",
            metavar="TEXT",
            help="A wording such as 'a photo of {}'; may be repeated, and the embeddings are averaged.",
        ),
    ] = None,
    within: Within = None,
    crs: output.Crs = None,
    spread: Annotated[
        SpreadOver | None,
        typer.Option(
            metavar="templates|hours|years|photos",
            help="For .tif: also bands that say how much the score varies over wordings, hours or years, or "
            "the standard error of a chance (--scale contrast), as its photos are a sample.",
        ),
    ] = None,
    above: Above = None,
    best: Best = None,
    title: Title = None,
    underlay: Underlay = None,
    bands: output.UnderlayBands = None,
    stretch: output.UnderlayStretch = None,
    recipe: output.UnderlayRecipe = None,
    outlines: Outlines = None,
    places: Places = None,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Map one or more prompts.

    With dates, the map is that of a date and hour, or of several, if the model knows time. The file's suffix
    decides what is written: .tif (a band for each prompt and date), .png, .gif or .mp4 (a film through the
    dates), .geojson or .parquet (areas), .pmtiles (web tiles) or .html (a page that zooms).
    """
    from sat2cap import api
    from sat2cap.errors import InputError
    from sat2cap.geo import parse_region
    from sat2cap.maps import MapOptions, check_output

    options = MapOptions(
        title, underlay, outlines, places or (), above, best, bands=bands, stretch=stretch, recipe=recipe
    )
    check_output(out, options)
    if spread and out.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{out}: a spread is a band of its own; write it to a .tif")
    moments = output.parse_moments(when, months, hours)
    api.check_names(atlas, model, text)
    region = None if within is None else parse_region(within)
    opened = api.open(atlas, model, text)
    score = opened.compute_map(
        prompts[0] if len(prompts) == 1 else prompts,
        moments,
        negatives or (),
        scale.value,
        templates or ("{}",),
        region,
        spread.value if spread else None,
        output.choose_crs(opened, out, crs),
    )
    output.warn_about_score(score.attrs)
    output.save_map(score, out, options)


def search(
    atlas: AtlasPath,
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", callback=refuse_paths, help="What a photo there would show.")
    ],
    top: Annotated[int, typer.Option(metavar="N", help="Number of places.", min=1)] = 20,
    when: When = None,
    within: Within = None,
    apart: Annotated[
        float | None,
        typer.Option(
            metavar="METRES", help="Smallest distance between places; by default three cells.", min=0
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE.geojson",
            help="Also write the places as GeoJSON, or as GeoParquet for .parquet.",
        ),
    ] = None,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Find the places that fit a prompt best.

    The places are printed as a table, best first.
    """
    from sat2cap import api
    from sat2cap.cli import console
    from sat2cap.geo import parse_region, parse_when
    from sat2cap.maps import check_output

    if out is not None:
        check_output(out, suffixes=(".geojson", ".parquet"))
    moment = None if when is None else parse_when(when)
    api.check_names(atlas, model, text)
    region = None if within is None else parse_region(within)
    best = api.open(atlas, model, text).find_best(prompt, top, moment, apart, region)
    output.warn_about_score(best.attrs)
    rows = [
        (f"{rank}", f"{score:.4f}", f"{lon:.5f}", f"{lat:.5f}")
        for rank, score, lon, lat in zip(best.rank, best.score, best.lon, best.lat, strict=True)
    ]
    console.print_table(("rank", "score", "lon", "lat"), rows)
    if out is not None:
        from sat2cap.maps import places_table, write_places

        write_places(places_table(best), out)
