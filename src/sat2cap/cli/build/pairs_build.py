"""``sat2cap pairs build``, and the options it shares with the other commands of ``pairs``."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.options import (
    Address,
    Bands,
    Engine,
    EngineName,
    ImagerySource,
    Recipe,
    Stretch,
    TileCache,
)
from sat2cap.extras import require_extra

if TYPE_CHECKING:
    from sat2cap.pairs import PairSet

BlockKm = Annotated[
    float,
    typer.Option(
        "--block-km", metavar="KM", help="Side of the blocks of land that a split keeps whole.", min=0.001
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of the split.", min=0)]
PerShard = Annotated[int, typer.Option(metavar="N", help="Pairs in a shard.", min=1)]


class Split(StrEnum):
    """Method of dividing pairs into train, val and test."""

    spatial = "spatial"
    random = "random"
    user = "user"


SplitMethod = Annotated[
    Split,
    typer.Option(
        metavar="spatial|random|user",
        help="Divide by blocks of land, at random as in the paper, or by photographer.",
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
    out: Annotated[
        str,
        typer.Option(
            "-o",
            "--out",
            metavar="PAIRS",
            help="The pair set to write: a folder, or an address in a bucket: s3://, gs://, az://.",
        ),
    ],
    count: Annotated[
        int | None, typer.Option(metavar="N", help="Number of photos of the miniature world.", min=1)
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=COLUMN",
            help="The column of a table that holds a field, where it is not found by name; may be repeated.",
        ),
    ] = None,
    files: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The images of listed photos: a folder, a tar, or 'x/*.tar'."),
    ] = None,
    download: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Download the images of listed photos into this folder, and keep them."
        ),
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Download from this address instead; {path} and {key} stand for the photo's."
        ),
    ] = None,
    per_site: Annotated[
        int, typer.Option(metavar="N", help="Simultaneous downloads from one site.", min=1)
    ] = 4,
    per_second: Annotated[
        float, typer.Option(metavar="N", help="Downloads begun per second at one site.", min=0.01)
    ] = 8.0,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try again the downloads that failed before.")
    ] = False,
    licence_of: Annotated[
        str, typer.Option("--licence-of", metavar="NAME", help="The licence of a folder's photos.")
    ] = "unknown",
    licence: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Keep only photos of these licences, such as 'CC-BY-[0-9]*'; may be repeated.",
        ),
    ] = None,
    exclude: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Leave out photos inside the polygons of a file; FILE:COLUMN=VALUE for some of them.",
        ),
    ] = None,
    exclude_margin: Annotated[
        float,
        typer.Option(
            metavar="KM",
            help="Also leave out photos within this distance of the polygons, where borders are coarse.",
            min=0,
        ),
    ] = 0.0,
    accuracy: Annotated[
        int,
        typer.Option(
            metavar="LEVEL",
            help="Lowest accuracy of a photo's place, from 1 (world) to 16 (street), as Flickr has it.",
            min=1,
            max=16,
        ),
    ] = 16,
    error: Annotated[
        float, typer.Option(metavar="METRES", help="Largest error of a photo's place.", min=0)
    ] = 100.0,
    since: Annotated[
        datetime | None,
        typer.Option(
            metavar="DATE",
            formats=["%Y-%m-%d"],
            help="Leave out photos taken before this date; by default 2000-01-01.",
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            metavar="DATE",
            formats=["%Y-%m-%d"],
            help="Leave out photos taken after this date; by default today.",
        ),
    ] = None,
    per_user: Annotated[
        int | None, typer.Option(metavar="N", help="Keep at most N photos of one user.", min=1)
    ] = None,
    per_cell: Annotated[
        int | None, typer.Option(metavar="N", help="Keep at most N photos in a cell.", min=1)
    ] = None,
    cell_km: Annotated[
        float, typer.Option(metavar="KM", help="Side of the cells of --per-cell.", min=0.001)
    ] = 1.0,
    look_alike: Annotated[
        int | None,
        typer.Option(
            metavar="BITS",
            help="Leave out near copies: photos whose 64-bit perceptual hashes differ in at most this many.",
            min=0,
            max=8,
        ),
    ] = None,
    patch: Annotated[
        float, typer.Option(metavar="METRES", help="Side of an overhead patch on the ground.", min=1)
    ] = 480.0,
    pixels: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Side of a stored patch in pixels; CLIP reads 224; see: sat2cap pairs card.",
            min=1,
        ),
    ] = 800,
    split: SplitMethod = Split.spatial,
    block_km: BlockKm = 10.0,
    seed: Seed = 0,
    per_shard: PerShard = 1000,
    engine: Engine = EngineName.process,
    address: Address = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Number of processes, by default 1, or of the cluster's workers.", min=1
        ),
    ] = None,
    bands: Bands = None,
    stretch: Stretch = None,
    recipe: Recipe = None,
    cache: TileCache = None,
) -> None:
    """Build a pair set: pair each photo with the overhead patch around it.

    The same command continues a run that was stopped.
    """
    require_extra("pairs", "sat2cap pairs build")
    from sat2cap import api
    from sat2cap.catalogue import open_listed_images, open_photos
    from sat2cap.cli import console
    from sat2cap.pairs import PatchSpec, Rules, SplitPlan, read_area
    from sat2cap.photos import ListedPhotos

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
        columns=_parse_columns(column or []),
        files=open_listed_images(files, download, mirror or "", per_site, per_second),
        licence=licence_of,
    )
    if isinstance(source, ListedPhotos) and (lines := source.explain_columns()):
        console.print_facts(lines)
        print()
    with console.show_progress() as progress:
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
            engine=engine.value,
            address=address,
            retry=retry,
            progress=progress,
        )
    _print_pair_counts(built)


def _print_pair_counts(pair_set: "PairSet") -> None:
    """Print how many photos were left out and why, and how many pairs each split has."""
    from sat2cap.cli import console

    counts: dict[str, int] = pair_set.manifest["counts"]
    console.print_facts(describe_screening(pair_set.manifest["funnel"]))
    print()
    console.print_facts(counts.items())
    print(f"\n{pair_set.name}: {sum(counts.values())} pairs")


def _parse_columns(options: list[str]) -> dict[str, str]:
    """Return column by field from texts ``FIELD=COLUMN``. Raises `InputError`."""
    from sat2cap.errors import InputError

    for text in options:
        if "=" not in text:
            raise InputError(f"column {text!r} must be FIELD=COLUMN, such as lon=LONGITUDE")
    return {text.split("=", 1)[0]: text.split("=", 1)[1] for text in options}


def describe_screening(funnel: dict[str, object]) -> list[tuple[str, object]]:
    """Return names and values of a manifest's funnel: photos listed, and those left out by reason."""
    dropped = funnel["dropped"]
    assert isinstance(dropped, dict)
    return [
        ("photos listed", funnel["records"]),
        *((f"  left out: {reason}", count) for reason, count in dropped.items()),
    ]
