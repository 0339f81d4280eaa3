"""``sat2cap imagery``: list the sources known by name, and check one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.options import ACCEPT_OLD_STRETCH, Bands, Recipe, Stretch, TileCache

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from sat2cap.imagery import Imagery, RasterImagery

app = typer.Typer(help="List and check imagery.", no_args_is_help=True)

_PATCH_M, _PATCH_PIXELS = 480.0, 224


@app.command("list")
def list_sources() -> None:
    """List the imagery that is known by name.

    Each has its licence, and whether a program may read it in bulk.
    """
    from sat2cap.cli import console
    from sat2cap.imagery import MACHINE_USE, named_sources

    for name, source in named_sources().items():
        print(name)
        gsd = "" if source.gsd_m is None else f", {source.gsd_m:g} m a pixel"
        rows = [
            ("  what", f"{source.title}{gsd}"),
            ("  licence", source.licence),
            ("  attribution", source.attribution),
            ("  machines", MACHINE_USE[source.machine_use]),
            ("  terms", source.terms),
        ]
        console.print_facts((key, value) for key, value in rows if value)


@app.command(context_settings=ACCEPT_OLD_STRETCH)
def check(
    imagery: Annotated[
        str, typer.Argument(metavar="SRC", help="Imagery, named as for --imagery of sat2cap embed.")
    ],
    at: Annotated[
        str | None,
        typer.Option(
            metavar="LON,LAT", help="The place to read a patch of; by default the middle of the imagery."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE.png", help="Also write the patch, to look at.")
    ] = None,
    bands: Bands = None,
    stretch: Stretch = None,
    recipe: Recipe = None,
    cache: TileCache = None,
) -> None:
    """Open imagery and read one patch of 480 m.

    Prints what the imagery is, what its licence allows, and what the patch holds.
    """
    from sat2cap import api
    from sat2cap.cli import console
    from sat2cap.geo import parse_place, parse_region
    from sat2cap.imagery import check_file_exists

    place = None if at is None else parse_place(at)
    check_file_exists(imagery)
    from sat2cap.geo import patch_around

    region = None if place is None else parse_region(f"{place[0]},{place[1]},{_PATCH_M}")
    source = api.open_imagery(
        imagery, bands=bands, stretch=stretch, recipe=recipe, cache=cache, region=region
    )
    console.print_facts(_describe_imagery(source))
    lon, lat = place or _middle_lonlat(source)
    _read_test_patch(source, patch_around(lon, lat, _PATCH_M, _PATCH_PIXELS), f"{lon:.5f},{lat:.5f}", out)


def _describe_imagery(source: "Imagery") -> list[tuple[str, object]]:
    """Return names and values: resolution, licence, extent, and what its kind of imagery adds."""
    from sat2cap.errors import quote
    from sat2cap.geo import lonlat_bounds, outline
    from sat2cap.imagery import RasterImagery

    info = source.info
    rows: list[tuple[str, object]] = [
        ("imagery", info.uri),
        ("resolution", f"{info.gsd_m:g} m a pixel on the ground, at the finest"),
        ("licence", info.licence),
        ("attribution", info.attribution or "none given"),
    ]
    if source.footprint is not None:
        extent = outline(source.grid) if isinstance(source, RasterImagery) else source.footprint
        rows.append(("extent", ",".join(f"{edge:.5f}" for edge in lonlat_bounds(extent))))
    if isinstance(source, RasterImagery):
        rows += [("size", f"{source.grid.shape[1]} x {source.grid.shape[0]} px, {_format_crs(source)}")]
        rows += [("bands", ",".join(map(str, source.bands)))]
        overviews = ", ".join(f"1:{factor}" for factor in source.overviews)
        rows += [("overviews", overviews or "none: coarse reads are slow; gdaladdo FILE, or make a COG")]
        return rows
    from sat2cap.imagery import MosaicImagery, TileImagery

    if isinstance(source, MosaicImagery):
        rows += [("files", len(source.files)), *(("left out", text) for text in source.skipped)]
    if isinstance(source, TileImagery):
        rows += [("zooms", f"{source.zooms[0]} to {source.zooms[1]}, {source.tile_pixels} px a tile")]
    if info.items:
        rows += [("items", len(info.items))]
        rows += [
            (f"  {quote(item['id'])}", f"{quote(item['datetime'])}, clouds {quote(item['cloud_cover'])} %")
            for item in info.items
        ]
    return rows


def _format_crs(source: "RasterImagery") -> str:
    """Return a CRS as ``EPSG:32631 (WGS 84 / UTM zone 31N)``, or its name alone if it has no code."""
    crs = source.grid.crs
    return crs.proj.name if crs.epsg is None else f"EPSG:{crs.epsg} ({crs.proj.name})"


def _middle_lonlat(source: "Imagery") -> tuple[float, float]:
    """Return a place near the middle of the imagery, in degrees. Raises `RegionError` without an extent."""
    from sat2cap.errors import RegionError
    from sat2cap.geo import LONLAT, transformer

    if source.footprint is None:
        raise RegionError(f"imagery {source.info.uri} has no extent of its own; say where with --at LON,LAT")
    inside = source.footprint.geom.representative_point()  # in its own CRS, where a pole is a point as any
    lon, lat = transformer(source.footprint.crs, LONLAT).transform(inside.x, inside.y)
    return float(lon), float(lat)


def _format_zoom(source: "Imagery", box: "GeoBox") -> str:
    """Return the zoom that tiles are read at for a patch; nothing for other imagery."""
    from sat2cap.imagery import RasterImagery

    if isinstance(source, RasterImagery):
        return ""
    from sat2cap.imagery import TileImagery

    return f", zoom {source.zoom_for(box)}" if isinstance(source, TileImagery) else ""


def _read_test_patch(source: "Imagery", box: "GeoBox", place: str, out: Path | None) -> None:
    """Read the patch `box` at `place`, and print how long it took and what it holds.

    Writes it to `out` if that is given; exits with status 1 if there is no imagery.
    """
    import time

    import numpy as np

    from sat2cap.cli import console
    from sat2cap.imagery import RasterImagery, fill_missing, missing_share

    start_s = time.monotonic()
    if isinstance(source, RasterImagery):  # in plain numbers, as xarray and numba take longer to be imported
        rgba = np.moveaxis(source.read_planes(box, compiled=False), 0, -1)
    else:
        rgba = source.read(box).values
    elapsed_s = time.monotonic() - start_s
    missing = float(missing_share(rgba))
    rgb = fill_missing(rgba[None])[0]
    zoom = _format_zoom(source, box)
    console.print_facts(
        [
            ("patch", f"{_PATCH_M:g} m at {place}, {_PATCH_M / _PATCH_PIXELS:.3g} m a pixel{zoom}"),
            ("read in", f"{elapsed_s:.2f} s"),
            ("missing", f"{missing:.0%}"),
            ("mean colour", "none" if missing == 1 else ", ".join(f"{v:.0f}" for v in rgb.mean((0, 1)))),
        ]
    )
    if out is not None:
        from PIL import Image

        from sat2cap.files import publish

        with publish(out) as temporary:
            Image.fromarray(rgb).save(temporary, "PNG")
    if missing == 1:
        print("no imagery there: try another place with --at, or check the address")
        raise typer.Exit(1)
