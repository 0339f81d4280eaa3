"""``sat2cap pairs``: build, describe and split pair sets."""

from pathlib import Path
from typing import Annotated

import typer

from sat2cap.cli.build.pairs_build import (
    BlockKm,
    PerShard,
    Seed,
    Split,
    SplitMethod,
    build,
    describe_screening,
)
from sat2cap.cli.options import ACCEPT_OLD_STRETCH, PairsPath

app = typer.Typer(help="Pairs of ground photos and overhead patches.", no_args_is_help=True)

Borders = Annotated[
    Path | None,
    typer.Option("--borders", metavar="FILE", help="A file of outlines to draw, such as coasts."),
]

app.command("build", context_settings=ACCEPT_OLD_STRETCH)(build)


@app.command()
def inspect(
    folder: PairsPath,
    check: Annotated[
        bool, typer.Option("--check", help="Also read every shard and compare its hash.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Also draw some pairs, with their place and time.")
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", help="Pairs on the sheet.", min=1, max=60)] = 12,
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only pairs of train, val or test.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the choice of pairs.", min=0)] = 0,
    borders: Borders = None,
) -> None:
    """Describe a pair set.

    Prints what it holds, where it comes from, and which photos were left out and why.
    """
    from sat2cap.cli import console
    from sat2cap.pairs import open_pairs

    pair_set = open_pairs(folder)
    index = pair_set.index
    console.print_facts(
        [
            *((f"{name} pairs", count) for name, count in pair_set.manifest["counts"].items()),
            ("shards", len(pair_set.manifest["shards"])),
            ("taken", f"{index.taken.min():%Y-%m-%d} to {index.taken.max():%Y-%m-%d}"),
            ("photographers", index.user.nunique()),
            ("licences", ", ".join(sorted(index.licence.unique()))),
            ("imagery", ", ".join(sorted(index.imagery.unique()))),
            ("extent", ",".join(f"{edge:.4f}" for edge in index.total_bounds)),
            ("fingerprint", pair_set.fingerprint),
            *describe_screening(pair_set.manifest["funnel"]),
        ]
    )
    problems = pair_set.find_problems() if check else []
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)
    if sheet is not None:
        from sat2cap.pairs import contact_sheet, read_borders

        sheet_pairs = pair_set.sample_pairs(count, split, seed)
        splits = index.set_index("key").split
        contact_sheet(sheet_pairs, [splits[pair.key] for pair in sheet_pairs], sheet, read_borders(borders))
        print(f"\n{sheet}: {len(sheet_pairs)} pairs")


@app.command("split")
def split_pairs(
    folder: PairsPath,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="NEW",
            help="The folder to write, or an address in a bucket: s3://, gs://, az://; only check the split "
            "if left out.",
        ),
    ] = None,
    split: SplitMethod = Split.spatial,
    block_km: BlockKm = 10.0,
    seed: Seed = 0,
    per_shard: PerShard = 1000,
) -> None:
    """Divide a pair set into new splits, and check what the splits share.

    The pairs are copied byte for byte. The exit status is 1 if splits share what their kind must not.
    """
    from sat2cap.cli import console
    from sat2cap.pairs import SplitPlan, find_leakage_violations, measure_leakage, open_pairs, resplit_pairs

    pair_set = open_pairs(folder)
    if out is not None:
        plan = SplitPlan(split.value, block_km=block_km)
        with console.show_progress() as progress:
            pair_set = resplit_pairs(pair_set, out, plan, seed=seed, per_shard=per_shard, progress=progress)
    provenance = pair_set.manifest["provenance"]
    leakage = measure_leakage(pair_set.index, provenance["patch"]["size_m"])
    console.print_facts([("split", provenance["split"]["method"]), *pair_set.manifest["counts"].items()])
    if leakage:
        heads = ("shared by", *next(iter(leakage.values())))
        print()
        console.print_table(heads, [(name, *map(str, values.values())) for name, values in leakage.items()])
    violations = find_leakage_violations(provenance["split"]["method"], leakage)
    for violation in violations:
        console.print_warning(violation)
    if violations:
        raise typer.Exit(1)


@app.command()
def card(
    folder: PairsPath,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FOLDER",
            help="The folder to write, or an address in a bucket; by default PAIRS/card.",
        ),
    ] = None,
    borders: Borders = None,
    imagery: Annotated[
        str | None,
        typer.Option(
            metavar="SRC", help="The imagery of the pairs, to also measure what storing fewer pixels lost."
        ),
    ] = None,
) -> None:
    """Write the data card of a pair set.

    It has counts, licences, whom to credit, a map, months and hours, and which photos were left out.
    """
    from sat2cap.catalogue import open_imagery
    from sat2cap.errors import InputError
    from sat2cap.pairs import measure_storage_psnr, open_pairs, read_borders, write_card

    pair_set = open_pairs(folder)
    if out is None and not pair_set.store.can_write:
        raise InputError(f"the card of {pair_set.name} must be written somewhere: give a folder with --out")
    storage_psnr = None if imagery is None else measure_storage_psnr(pair_set, open_imagery(imagery))
    print(write_card(pair_set, out or pair_set.store.child("card"), read_borders(borders), storage_psnr))


@app.command()
def unlock(folder: PairsPath) -> None:
    """Release the lock that a killed build left on a pair set in a bucket.

    Make sure first that the process is gone: it is named, with its machine, where a build is refused. The
    lock of a folder ends with its process.
    """
    from sat2cap.cli.console import print_released_lock
    from sat2cap.pairs import break_lock

    print_released_lock(folder, break_lock(folder))
