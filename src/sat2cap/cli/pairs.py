"""``sat2cap pairs``: photos and imagery to a pair set."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sat2cap.cli.imagery import opened
from sat2cap.cli.options import Bands, ImagerySource, Recipe, Stretch, TileCache

app = typer.Typer(help="Pairs of ground photos and overhead patches.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="PAIRS", help="A folder made by: sat2cap pairs build.")]


class Split(StrEnum):
    """How pairs are divided into train, val and test."""

    spatial = "spatial"
    random = "random"


@app.command()
def build(
    photos: Annotated[
        str, typer.Option("--photos", metavar="SRC", help="Where photos come from: miniworld:SEED.")
    ],
    imagery: ImagerySource,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="PAIRS", help="The folder to write.")],
    count: Annotated[
        int | None, typer.Option(metavar="N", help="How many photos to take, if not all.", min=1)
    ] = None,
    patch: Annotated[
        float, typer.Option(metavar="METRES", help="Side of an overhead patch on the ground.")
    ] = 480.0,
    pixels: Annotated[int, typer.Option(metavar="N", help="Pixels a side of an overhead patch.")] = 800,
    split: Annotated[
        Split, typer.Option(metavar="spatial|random", help="By blocks of land, or by chance as in the paper.")
    ] = Split.spatial,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the split.")] = 0,
    per_shard: Annotated[int, typer.Option(metavar="N", help="Pairs in a shard.", min=1)] = 1000,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes.", min=1)] = 1,
    bands: Bands = None,
    scale: Stretch = None,
    recipe: Recipe = None,
    cache: TileCache = None,
) -> None:
    """Build pairs into a folder.

    The same command goes on where a stopped run was.
    """
    from sat2cap.catalogue import open_photos
    from sat2cap.cli import show
    from sat2cap.pairs import PatchSpec, build_pairs

    source = open_photos(photos) if count is None else open_photos(photos, count)
    with show.progress() as progress:
        built = build_pairs(
            source,
            opened(imagery, bands, scale, recipe, cache),
            out,
            patch=PatchSpec(size_m=patch, pixels=pixels),
            split=split.value,
            seed=seed,
            per_shard=per_shard,
            workers=workers,
            progress=progress,
        )
    show.facts([(name, count) for name, count in built.manifest["counts"].items()])
    print(f"\n{out}: {sum(built.manifest['counts'].values())} pairs")


@app.command()
def inspect(
    folder: Folder,
    check: Annotated[
        bool, typer.Option("--check", help="Also read every shard and compare its hash.")
    ] = False,
) -> None:
    """Say what a pair set holds.

    Where it comes from, and what was left out and why.
    """
    from sat2cap.cli import show
    from sat2cap.pairs import open_pairs

    found = open_pairs(folder)
    index = found.index
    show.facts(
        [
            *((f"{name} pairs", count) for name, count in found.manifest["counts"].items()),
            ("shards", len(found.manifest["shards"])),
            ("taken", f"{index.taken.min():%Y-%m-%d} to {index.taken.max():%Y-%m-%d}"),
            ("photographers", index.user.nunique()),
            ("licences", ", ".join(sorted(index.licence.unique()))),
            ("imagery", ", ".join(sorted(index.imagery.unique()))),
            ("extent", ",".join(f"{edge:.4f}" for edge in index.total_bounds)),
            ("fingerprint", found.fingerprint),
            ("photos listed", found.manifest["funnel"]["records"]),
            *((f"  left out: {reason}", n) for reason, n in found.manifest["funnel"]["dropped"].items()),
        ]
    )
    problems = found.problems() if check else []
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)
