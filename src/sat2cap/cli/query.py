"""``sat2cap map`` and ``sat2cap search``."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.options import AtlasModel, AtlasPath, Text, When, Within

if TYPE_CHECKING:
    import xarray as xr

SUFFIXES = (".tif", ".tiff", ".png", ".geojson")
Prompts = Annotated[
    list[str],
    typer.Argument(
        metavar="PROMPT",
        help='What a photo there would show; "one thing + another" for both; place:LON,LAT or photo:FILE for '
        "what is like it.",
    ),
]


class Scale(StrEnum):
    """What the numbers of a map are."""

    cosine = "cosine"
    percentile = "percentile"
    contrast = "contrast"


class Over(StrEnum):
    """What a spread is over."""

    templates = "templates"
    hours = "hours"
    years = "years"


def map_prompts(
    atlas: AtlasPath,
    prompts: Prompts,
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="FILE", help=".tif (a band a prompt), .png, or .geojson (areas above)."
        ),
    ],
    when: When = None,
    negatives: Annotated[
        list[str] | None,
        typer.Option("--not", metavar="PROMPT", help="What it should not be; may be repeated."),
    ] = None,
    scale: Annotated[
        Scale,
        typer.Option(
            metavar="cosine|percentile|contrast",
            help="The cosine; percentile in the region, 0 to 100; contrast with generic prompts, 0 to 1.",
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
    above: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE", help="For .geojson: the least score of an area; the best 5 % if left out."
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="For .png: the heading, instead of the prompt.")
    ] = None,
    underlay: Annotated[
        str | None, typer.Option(metavar="SRC", help="For .png: imagery to draw the scores over.")
    ] = None,
    places: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For .png: points with a column name, to label.")
    ] = None,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Map one or more prompts.

    At a date and hour, if the model knows time.
    """
    from sat2cap import api
    from sat2cap.errors import InputError

    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"output {str(out)!r} is of no known kind; end it in one of {', '.join(SUFFIXES)}")
    if out.suffix.lower() == ".geojson" and len(prompts) > 1:
        raise InputError(f"{out}: areas are of one prompt, not {len(prompts)}; write one file for each")
    if spread and out.suffix.lower() not in SUFFIXES[:2]:
        raise InputError(f"{out}: a spread is a band of its own; write it to a .tif")
    opened = api.open(atlas, model, text)
    score = opened.map(
        prompts,
        when,
        negatives or (),
        scale.value,
        templates or ("{}",),
        within,
        spread.value if spread else None,
    )
    _warn_of_ignored_date(score)
    if out.suffix.lower() == ".png":
        _write_picture(score, out, title, underlay, places)
    elif out.suffix.lower() == ".geojson":
        _write_areas(score, out, above)
    else:
        from sat2cap.maps.cog import write_cog

        write_cog(score, out)
    print(out)


def search(
    atlas: AtlasPath,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What a photo there would show.")],
    top: Annotated[int, typer.Option(metavar="N", help="How many places.", min=1)] = 20,
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

    As a table, and as GeoJSON if asked.
    """
    from sat2cap import api
    from sat2cap.cli import show
    from sat2cap.maps.places import write_geojson

    opened = api.open(atlas, model, text)
    found = opened.search(prompt, top, when, apart, within)
    if found.attrs.get("dynamic", "").startswith(("ignored", "outside")):
        show.warn(f"the date is {found.attrs['dynamic']}")
    rows = [(f"{r.rank}", f"{r.score:.4f}", f"{r.lon:.5f}", f"{r.lat:.5f}") for r in found.itertuples()]
    show.table(("rank", "score", "lon", "lat"), rows)
    if out is not None:
        write_geojson(found, out)


def _warn_of_ignored_date(score: "xr.DataArray") -> None:
    from sat2cap.cli import show

    if str(score.attrs.get("dynamic", "")).startswith(("ignored", "outside")):
        show.warn(f"the date is {score.attrs['dynamic']}")


def _write_picture(
    score: "xr.DataArray", out: Path, title: str | None, underlay: str | None, places: Path | None
) -> None:
    from sat2cap.maps.picture import write_png
    from sat2cap.maps.places import read_places

    labels = [] if places is None else read_places(places)
    below = None if underlay is None else _imagery_under(score, underlay)
    write_png(score, out, title=title, underlay=below, places=labels)


def _imagery_under(score: "xr.DataArray", spec: str) -> "xr.DataArray":
    """Imagery on the grid of the score, as fine as a picture can show."""
    from sat2cap.catalogue import open_imagery
    from sat2cap.geo.frame import grid_of
    from sat2cap.geo.grid import patch_box

    grid = grid_of(score)
    pixels = max(1, 1600 // max(grid.shape))
    return open_imagery(spec).read(patch_box(grid, slice(None), slice(None), pixels))


def _write_areas(score: "xr.DataArray", out: Path, above: float | None) -> None:
    import numpy as np

    from sat2cap.maps.places import areas_above, write_geojson

    known = score.values[np.isfinite(score.values)]
    least = float(np.percentile(known, 95)) if above is None and known.size else above or 0.0
    write_geojson(areas_above(score, least), out)
