"""Options and steps that commands share whose result is a map in a file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat2cap.cli import console

if TYPE_CHECKING:
    import xarray as xr

    from sat2cap.geo import When

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
Months = Annotated[int | None, typer.Option(metavar="YEAR", help="At noon in the middle of each month.")]
Hours = Annotated[str | None, typer.Option(metavar="DATE", help="At every full hour of a day: 2024-05-20.")]
Above = Annotated[
    float | None,
    typer.Option(metavar="SCORE", help="For areas: their least score; the best 5 % of cells if left out."),
]
Best = Annotated[
    int | None, typer.Option(metavar="N", help="For areas: the best N cells, merged where they touch.", min=1)
]
Title = Annotated[str | None, typer.Option(metavar="TEXT", help="For pictures: the heading.")]
Underlay = Annotated[
    str | None, typer.Option(metavar="SRC", help="For pictures: imagery to draw the map over.")
]
Outlines = Annotated[
    Path | None, typer.Option(metavar="FILE", help="For pictures: lines or polygons to draw on the map.")
]
Places = Annotated[
    Path | None, typer.Option(metavar="FILE", help="For pictures: points with a column name, to label.")
]


@dataclass(frozen=True)
class Look:
    """What was asked of a picture."""

    title: str | None = None
    underlay: str | None = None
    outlines: Path | None = None
    places: Path | None = None


def check(
    out: Path,
    kinds: Sequence[str] = (),
    look: Look = Look(),
    above: float | None = None,
    best: int | None = None,
) -> None:
    """Raise `InputError` unless `out` ends in one of `kinds`, by default in any that a map can be.

    And for an option that means nothing to such a file.
    """
    from sat2cap.maps import KINDS, check_kind, check_options

    check_kind(out, kinds or KINDS)
    check_options(out, {**asdict(look), "above": above, "best": best})


def moments(
    when: Sequence[str] | None, months: int | None, hours: str | None
) -> "str | list[str] | list[When] | None":
    """What `OpenAtlas.map` takes. Raises `InputError` for more than one of the three."""
    from sat2cap.errors import InputError
    from sat2cap.geo import hours_of, months_of, parse_when

    if sum(option is not None for option in (when or None, months, hours)) > 1:
        raise InputError("--when, --months and --hours each say when; give one of them")
    if months is not None:
        return months_of(months)
    if hours is not None:
        return hours_of(parse_when(hours))
    return None if not when else when[0] if len(when) == 1 else list(when)


def warn_of_date(attrs: "Mapping[Any, Any]") -> None:
    """One line where a date was asked for in vain, or of years that the model never saw."""
    if str(attrs.get("dynamic", "")).startswith(("ignored", "outside")):
        console.warn(f"the date is {attrs['dynamic']}")


def write(
    score: "xr.DataArray | xr.Dataset",
    out: Path,
    look: Look,
    *,
    above: float | None = None,
    best: int | None = None,
) -> None:
    """Write the map and print where it is."""
    from sat2cap import api

    with console.progress(resumes=False) as progress:
        api.save(
            score,
            out,
            title=look.title,
            underlay=look.underlay,
            outlines=look.outlines,
            places=look.places or (),
            above=above,
            best=best,
            progress=progress,
        )
    print(out)
