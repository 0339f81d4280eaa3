"""``sat2cap pairs``: photos and imagery to a pair set, and what is in one."""

from pathlib import Path
from typing import Annotated

import typer

from sat2cap.cli.build.pairs_build import Blocks, PerShard, Seed, Split, SplitMethod, build, funnel_rows
from sat2cap.cli.options import ACCEPT_OLD_STRETCH

app = typer.Typer(help="Pairs of ground photos and overhead patches.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="PAIRS", help="A folder made by: sat2cap pairs build.")]
Borders = Annotated[
    Path | None,
    typer.Option("--borders", metavar="FILE", help="Outlines to draw, such as coasts."),
]

app.command("build", context_settings=ACCEPT_OLD_STRETCH)(build)


@app.command()
def inspect(
    folder: Folder,
    check: Annotated[
        bool, typer.Option("--check", help="Also read every shard and compare its hash.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Also draw some pairs, with map and time.")
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", help="Pairs on the sheet.", min=1, max=60)] = 12,
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only pairs of train, val or test.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the choice of pairs.")] = 0,
    borders: Borders = None,
) -> None:
    """Say what a pair set holds.

    Where it comes from, and what was left out and why.
    """
    from sat2cap.cli import console
    from sat2cap.pairs import open_pairs

    found = open_pairs(folder)
    index = found.index
    console.facts(
        [
            *((f"{name} pairs", count) for name, count in found.manifest["counts"].items()),
            ("shards", len(found.manifest["shards"])),
            ("taken", f"{index.taken.min():%Y-%m-%d} to {index.taken.max():%Y-%m-%d}"),
            ("photographers", index.user.nunique()),
            ("licences", ", ".join(sorted(index.licence.unique()))),
            ("imagery", ", ".join(sorted(index.imagery.unique()))),
            ("extent", ",".join(f"{edge:.4f}" for edge in index.total_bounds)),
            ("fingerprint", found.fingerprint),
            *funnel_rows(found.manifest["funnel"]),
        ]
    )
    problems = found.problems() if check else []
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)
    if sheet is not None:
        from sat2cap.pairs import contact_sheet, read_borders

        chosen = found.some(count, split, seed)
        splits = index.set_index("key").split
        contact_sheet(chosen, [splits[pair.key] for pair in chosen], sheet, read_borders(borders))
        print(f"\n{sheet}: {len(chosen)} pairs")


@app.command("split")
def split_pairs(
    folder: Folder,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="NEW", help="The folder to write; only check the split if left out."
        ),
    ] = None,
    split: SplitMethod = Split.spatial,
    block_km: Blocks = 10.0,
    seed: Seed = 0,
    per_shard: PerShard = 1000,
) -> None:
    """Split a pair set anew, and check what splits share.

    The pairs are copied byte for byte. Exit status 1 if splits share what their kind must not.
    """
    from sat2cap.cli import console
    from sat2cap.pairs import SplitPlan, find_leakage_violations, measure_leakage, open_pairs, resplit

    found = open_pairs(folder)
    if out is not None:
        plan = SplitPlan(split.value, block_km=block_km)
        with console.progress() as progress:
            found = resplit(found, out, plan, seed=seed, per_shard=per_shard, progress=progress)
    provenance = found.manifest["provenance"]
    shared = measure_leakage(found.index, provenance["patch"]["size_m"])
    console.facts([("split", provenance["split"]["method"]), *found.manifest["counts"].items()])
    if shared:
        heads = ("shared by", *next(iter(shared.values())))
        print()
        console.table(heads, [(name, *map(str, values.values())) for name, values in shared.items()])
    broken = find_leakage_violations(provenance["split"]["method"], shared)
    for line in broken:
        console.warn(line)
    if broken:
        raise typer.Exit(1)


@app.command()
def card(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FOLDER", help="Where to; PAIRS/card if left out.")
    ] = None,
    borders: Borders = None,
    imagery: Annotated[
        str | None,
        typer.Option(metavar="SRC", help="The imagery, to also measure what storing fewer pixels lost."),
    ] = None,
) -> None:
    """Write the data card of a pair set.

    Counts, licences, whom to credit, a map, months and hours, and what was left out.
    """
    from sat2cap.catalogue import open_imagery
    from sat2cap.pairs import measure_storage_psnr, open_pairs, read_borders, write_card

    found = open_pairs(folder)
    loss = None if imagery is None else measure_storage_psnr(found, open_imagery(imagery))
    print(write_card(found, out or folder / "card", read_borders(borders), loss))
