"""``sat2cap zones``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli import console
from sat2cap.cli.ask import output
from sat2cap.cli.ask.map import Prompts, ScaleName
from sat2cap.cli.options import AtlasModel, AtlasPath, Text

if TYPE_CHECKING:
    import geopandas as gpd

_RANKED = 20
_NAME_COLUMNS = ("name", "naam", "nom", "nombre", "title", "label", "id", "code")
"""Columns to name zones by, the first that there is; compared in lower case."""


def zones(
    atlas: AtlasPath,
    prompts: Prompts,
    zone_file: Annotated[
        Path,
        typer.Option(
            "--zones", metavar="FILE", help="Polygons: GeoPackage, GeoJSON, GeoParquet or shapefile."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help=".gpkg, .geojson, .parquet, .csv, .png or .html."),
    ] = None,
    statistics: Annotated[
        list[str] | None,
        typer.Option(
            "--stat",
            metavar="STAT",
            help="mean (the default), min, max, median, p0 to p100, share-above=SCORE or area-above=SCORE in "
            "km²; may be repeated.",
        ),
    ] = None,
    when: output.Moments = None,
    months: output.Months = None,
    hours: output.Hours = None,
    negatives: output.Negatives = None,
    scale: Annotated[
        ScaleName,
        typer.Option(metavar="cosine|percentile|contrast", help="The scores to summarise, as in map."),
    ] = ScaleName.cosine,
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="The layer of the file of zones, if it has several.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column that names the zones in the ranking.")
    ] = None,
    title: output.Title = None,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Summarise the map of a prompt in zones, such as municipalities or parcels, and rank them.

    Each cell counts for the ground that a zone covers of it. Several prompts, dates and statistics become
    columns. A .png or .html draws each zone in the colour of its value.
    """
    from sat2cap import api
    from sat2cap.maps import PICTURE_SUFFIXES, MapOptions, check_output
    from sat2cap.zones import TABLE_SUFFIXES, parse_statistic, read_zones

    chosen_statistics = statistics or ["mean"]
    for statistic in chosen_statistics:
        parse_statistic(statistic)
    if out is not None:
        check_output(out, MapOptions(title), (*TABLE_SUFFIXES, *PICTURE_SUFFIXES))
    api.check_names(atlas, model, text)
    opened, zone_table = api.open(atlas, model, text), read_zones(zone_file, layer)
    name_column = _choose_name_column(zone_table, name)
    with console.show_progress(resumes=False) as progress:
        table = opened.zones(
            zone_table,
            prompts[0] if len(prompts) == 1 else prompts,
            chosen_statistics,
            output.parse_moments(when, months, hours),
            negatives or (),
            scale.value,
            progress=progress,
        )
    output.warn_about_score(table.attrs)
    _print_ranking(table, name_column)
    if out is not None:
        api.save(table, out, title=title)
        print(out)


def _print_ranking(table: "gpd.GeoDataFrame", name_column: str | None) -> None:
    """Print the zones with the greatest values of the first statistic, and how many have none."""
    from sat2cap.formatting import format_percent, format_value
    from sat2cap.zones import COVERED, count_missed, rank_zones

    columns = list(table.attrs["columns"])
    ranked = rank_zones(table, columns[0])
    labels = ranked.index if name_column is None else ranked[name_column]
    rows = [
        (f"{rank}", str(label), *(f"{row[column]:.4g}" for column in columns), format_percent(row[COVERED]))
        for rank, (label, (_, row)) in enumerate(
            zip(labels[:_RANKED], ranked[:_RANKED].iterrows(), strict=True), start=1
        )
    ]
    console.print_table(("rank", "zone", *columns, "covered"), rows)
    if len(ranked) > _RANKED:
        print(f"and {format_value(len(ranked) - _RANKED)} more zones")
    missed = count_missed(table)
    if missed:
        console.print_warning(
            f"{missed} of {len(table)} zones hold no cell with a score; their statistics are empty"
        )


def _choose_name_column(zones: "gpd.GeoDataFrame", name: str | None) -> str | None:
    """Return the column that names the zones; None for their row number. Raises `InputError`."""
    from sat2cap.errors import InputError

    columns = [str(column) for column in zones.columns.drop(zones.geometry.name)]
    if name is not None:
        if name not in columns:
            raise InputError(f"the zones have no column {name!r}; they have: {', '.join(columns) or 'none'}")
        return name
    by_lower_case = {column.lower(): column for column in reversed(columns)}
    return next((by_lower_case[usual] for usual in _NAME_COLUMNS if usual in by_lower_case), None)
