"""Options and steps shared by the commands that write a map to a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat2cap.cli import console
from sat2cap.cli.ask.prompts import refuse_paths

if TYPE_CHECKING:
    import xarray as xr

    from sat2cap.api import OpenAtlas
    from sat2cap.geo import GridArray, When
    from sat2cap.maps import MapOptions

Out = Annotated[
    Path,
    typer.Option(
        "-o", "--out", metavar="FILE", help=".tif, .png, .geojson, .parquet, .pmtiles, .html, .gif or .mp4."
    ),
]
Still = Annotated[
    Path,
    typer.Option("-o", "--out", metavar="FILE", help=".tif, .png, .geojson, .parquet, .pmtiles or .html."),
]
Moments = Annotated[
    list[str] | None,
    typer.Option(
        "--when",
        metavar="DATE",
        help="Local date and hour: 2024-05-20T08:00, 2024-05-20 or 2024-05; may be repeated.",
    ),
]
Months = Annotated[
    int | None,
    typer.Option(metavar="YEAR", help="Map noon in the middle of each month of a year.", min=1, max=9999),
]
Hours = Annotated[
    str | None, typer.Option(metavar="DATE", help="Map every full hour of a day, such as 2024-05-20.")
]
Crs = Annotated[
    str | None,
    typer.Option(
        metavar="CODE",
        help="CRS of the map, such as EPSG:3857; by default that of the atlas. One of several UTM zones is "
        "mapped in EPSG:6933, for pictures and pages in EPSG:3857.",
    ),
]
Negatives = Annotated[
    list[str] | None,
    typer.Option(
        "--not", metavar="PROMPT", callback=refuse_paths, help="A prompt to subtract; may be repeated."
    ),
]
Above = Annotated[
    float | None,
    typer.Option(
        metavar="SCORE",
        help="For areas: the lowest score of a cell; by default that of the best 5 % of cells.",
    ),
]
Best = Annotated[
    int | None, typer.Option(metavar="N", help="For areas: the best N cells, merged where they touch.", min=1)
]
Title = Annotated[str | None, typer.Option(metavar="TEXT", help="For pictures: the heading.")]
Underlay = Annotated[
    str | None, typer.Option(metavar="SRC", help="For pictures: imagery to draw the map over.")
]
UnderlayBands = Annotated[
    str | None,
    typer.Option("--bands", metavar="R,G,B", help="For --underlay: numbers of its bands, such as 4,3,2."),
]
UnderlayStretch = Annotated[
    str | None,
    typer.Option(
        "--stretch",
        metavar="LOW,HIGH",
        help="For --underlay: its values that are shown as black and as white, such as 0,3000.",
    ),
]
UnderlayRecipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME",
        help="For --underlay: bands and stretch by name: sentinel2, landsat, rgbn or bgrn.",
    ),
]
Outlines = Annotated[
    Path | None, typer.Option(metavar="FILE", help="For pictures: lines or polygons to draw on the map.")
]
Places = Annotated[
    Path | None, typer.Option(metavar="FILE", help="For pictures: points with a column name, to label.")
]

_LOOKED_AT = {".png", ".gif", ".mp4", ".html", ".pmtiles"}
"""Suffixes of files that people look at, where equal ground need not have equal area."""


def parse_moments(
    when: Sequence[str] | None, months: int | None, hours: str | None
) -> "When | list[When] | None":
    """Return the dates of --when, --months or --hours as `OpenAtlas.map` takes them; None if none is given.

    Raises `InputError` if more than one of the three is given.
    """
    from sat2cap.errors import InputError
    from sat2cap.geo import hours_of, months_of, parse_when

    if sum(option is not None for option in (when or None, months, hours)) > 1:
        raise InputError("--when, --months and --hours each choose the dates; give only one of them")
    if months is not None:
        return months_of(months)
    if hours is not None:
        return hours_of(parse_when(hours))
    moments = [parse_when(text) for text in when or ()]
    return moments[0] if len(moments) == 1 else moments or None


def choose_crs(opened: "OpenAtlas", out: Path, crs: str | None) -> str | None:
    """Return the CRS to map in: that of --crs, else what suits the file; None for the atlas's own."""
    if crs is None and out.suffix.lower() in _LOOKED_AT:
        return opened.picture_crs
    return crs


def warn_about_score(attrs: "Mapping[Any, Any]") -> None:
    """Warn if the date is ignored, or lies outside the years that the model was trained on.

    Also if few held-out photos speak for a chance. Each warning is one line.
    """
    from sat2cap.maps import date_warning, few_photos_warning

    warning = date_warning(attrs)
    if warning:
        console.print_warning(f"the date is {warning}")
    few_photos = few_photos_warning(attrs)
    if few_photos:
        console.print_warning(few_photos)


def save_map(score: "xr.DataArray | xr.Dataset | GridArray", out: Path, options: "MapOptions") -> None:
    """Write the map to `out` and print its path."""
    from sat2cap import api

    with console.show_progress(resumes=False) as progress:
        api.save(
            score,
            out,
            title=options.title,
            underlay=options.underlay,
            outlines=options.outlines,
            places=options.places,
            above=options.above,
            best=options.best,
            bands=options.bands,
            stretch=options.stretch,
            recipe=options.recipe,
            progress=progress,
        )
    print(out)
