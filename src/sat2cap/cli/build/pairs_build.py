"""``sat2cap pairs build``, and the options it shares with the other commands of ``pairs``."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sat2cap.cli.options import Bands, ImagerySource, Recipe, Stretch, TileCache

Blocks = Annotated[float, typer.Option("--block-km", metavar="KM", help="Side of a block of the split.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Of the split.")]
PerShard = Annotated[int, typer.Option(metavar="N", help="Pairs in a shard.", min=1)]


class Split(StrEnum):
    """How pairs are divided into train, val and test."""

    spatial = "spatial"
    random = "random"
    user = "user"


SplitMethod = Annotated[
    Split,
    typer.Option(
        metavar="spatial|random|user",
        help="By blocks of land, by chance as in the paper, or by photographer.",
    ),
]


def build(
    photos: Annotated[
        str,
        typer.Option(
            "--photos",
            metavar="SRC",
            help="A folder of photos with EXIF, yfcc:FILE, table:FILE (CSV, Parquet, GeoParquet), "
            "shards:FOLDER in the paper's layout, or miniworld:SEED.",
        ),
    ],
    imagery: ImagerySource,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="PAIRS", help="The folder to write.")],
    count: Annotated[
        int | None, typer.Option(metavar="N", help="How many photos of miniworld to take.", min=1)
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=COLUMN", help="Of a table, where the name is not guessed; repeat."),
    ] = None,
    files: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Images of listed photos: a folder, a tar, or 'x/*.tar'."),
    ] = None,
    download: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Or download them into this folder, to be kept.")
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Download from here instead; {path} and {key} are the photo's."),
    ] = None,
    per_site: Annotated[int, typer.Option(metavar="N", help="Downloads at once from one site.", min=1)] = 4,
    per_second: Annotated[
        float, typer.Option(metavar="N", help="Downloads begun in a second at one site.", min=0.01)
    ] = 8.0,
    retry: Annotated[
        bool, typer.Option("--retry", help="Also try again what could not be downloaded before.")
    ] = False,
    licence_of: Annotated[
        str, typer.Option("--licence-of", metavar="NAME", help="The licence of a folder's photos.")
    ] = "unknown",
    licence: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Keep only these, such as 'CC-BY-[0-9]*'; repeat."),
    ] = None,
    exclude: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Leave out photos inside its polygons; FILE:COLUMN=VALUE for some."
        ),
    ] = None,
    exclude_margin: Annotated[
        float,
        typer.Option(metavar="KM", help="Also what is so near to them, where borders are coarse.", min=0),
    ] = 0.0,
    accuracy: Annotated[
        int, typer.Option(metavar="LEVEL", help="Least accuracy on Flickr's scale.", min=1, max=16)
    ] = 16,
    error: Annotated[float, typer.Option(metavar="METRES", help="Largest error of the place.")] = 100.0,
    since: Annotated[
        datetime | None,
        typer.Option(metavar="DATE", formats=["%Y-%m-%d"], help="Leave out photos before; 2000 if left out."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(metavar="DATE", formats=["%Y-%m-%d"], help="Leave out photos after; now if left out."),
    ] = None,
    per_user: Annotated[int | None, typer.Option(metavar="N", help="At most so many of one user.")] = None,
    per_cell: Annotated[int | None, typer.Option(metavar="N", help="At most so many in a cell.")] = None,
    cell_km: Annotated[float, typer.Option(metavar="KM", help="Side of that cell.")] = 1.0,
    look_alike: Annotated[
        int | None,
        typer.Option(metavar="BITS", help="Leave out near copies: looks of 64 bits that differ in so few."),
    ] = None,
    patch: Annotated[
        float, typer.Option(metavar="METRES", help="Side of an overhead patch on the ground.")
    ] = 480.0,
    pixels: Annotated[
        int, typer.Option(metavar="N", help="Pixels a side of it; 224 is what CLIP reads, see pairs card.")
    ] = 800,
    split: SplitMethod = Split.spatial,
    block_km: Blocks = 10.0,
    seed: Seed = 0,
    per_shard: PerShard = 1000,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes.", min=1)] = 1,
    bands: Bands = None,
    stretch: Stretch = None,
    recipe: Recipe = None,
    cache: TileCache = None,
) -> None:
    """Build pairs into a folder.

    The same command goes on where a stopped run was.
    """
    from sat2cap import api
    from sat2cap.catalogue import open_photos, photo_files
    from sat2cap.cli import console
    from sat2cap.pairs import PatchSpec, Rules, SplitPlan, read_area

    rules = Rules(
        earliest=since or Rules.earliest,
        latest=until,
        least_level=accuracy,
        most_error_m=error,
        excluded=None if exclude is None else read_area(exclude, exclude_margin),
        licences=tuple(licence or ()),
        per_user=per_user,
        per_cell=per_cell,
        cell_km=cell_km,
        look_alike_bits=look_alike,
    )
    source = open_photos(
        photos,
        count,
        columns=_columns(column or []),
        files=photo_files(files, download, mirror or "", per_site, per_second),
        licence=licence_of,
    )
    with console.progress() as progress:
        built = api.build_pairs(
            source,
            api.open_imagery(imagery, bands=bands, stretch=stretch, recipe=recipe, cache=cache),
            out,
            patch=PatchSpec(size_m=patch, pixels=pixels),
            rules=rules,
            split=SplitPlan(split.value, block_km=block_km),
            seed=seed,
            per_shard=per_shard,
            workers=workers,
            retry=retry,
            progress=progress,
        )
    console.facts(funnel_rows(built.manifest["funnel"]))
    print()
    console.facts([(name, count) for name, count in built.manifest["counts"].items()])
    print(f"\n{out}: {sum(built.manifest['counts'].values())} pairs")


def _columns(given: list[str]) -> dict[str, str]:
    from sat2cap.errors import InputError

    for text in given:
        if "=" not in text:
            raise InputError(f"column {text!r} must be FIELD=COLUMN, such as lon=LONGITUDE")
    return {text.split("=", 1)[0]: text.split("=", 1)[1] for text in given}


def funnel_rows(funnel: dict[str, object]) -> list[tuple[str, object]]:
    """What a manifest's funnel says, as names and values to print."""
    dropped = funnel["dropped"]
    assert isinstance(dropped, dict)
    return [
        ("photos listed", funnel["records"]),
        *((f"  left out: {reason}", count) for reason, count in dropped.items()),
    ]
