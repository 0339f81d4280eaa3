"""What an atlas of a country, a continent or all land costs: a table from measured figures.

    python benchmarks/scale_costs.py [--network CELLS_PER_S] [--machines N] [--imagery-bytes BYTES_PER_PIXEL]

Counted here from the plan of a sample region: pixels to read, patches to compute and bytes on disk a cell.
Measured elsewhere, and named with its command in `MEASURED`: how fast a network embeds, how fast imagery is
read, how long a prompt takes, and how many bytes a pixel of imagery has. Pass what you measured on your own
machines instead: ``sat2cap embed … --dry-run`` says both rates. Everything else is multiplication.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from sat2cap.atlas import AtlasSpec, iter_chunks
from sat2cap.embedding import count_remaining_work
from sat2cap.formatting import format_bytes, format_duration

CELL_M = 480
AREAS_KM2 = {"the Netherlands": 41_500, "Europe": 10_200_000, "land without Antarctica": 135_000_000}
"""Rounded areas, inland water included."""


@dataclass(frozen=True)
class Measured:
    """A figure that something else measured."""

    value: float
    command: str


MEASURED = {
    "network": Measured(
        37.8, "benchmarks/embed.py b32 256 bfloat16 …: ViT-B/32, two cores with AVX-512 bfloat16"
    ),
    "imagery": Measured(869.0, "the same: cells a second read from a local COG, JPEG decoded, on one core"),
    "prompt": Measured(
        21.4e-3 / 1_015_808, "benchmarks/query.py: one prompt, seconds a cell, prepared, in memory"
    ),
    "date": Measured(52.8e-3 / 1_015_808, "the same: a date not asked before"),
    "imagery-bytes": Measured(
        0.284, "size / pixels of an aerial photo of 0.6 m, a COG with JPEG and overviews"
    ),
}


@dataclass(frozen=True)
class PerCell:
    """What one cell takes, counted on a sample."""

    pixels: float
    patches: float
    disk_bytes: float


def count_per_cell(side: int = 256) -> PerCell:
    """Return counts for a cell within a large region: patches of 224 px for 480 m, 512 numbers as int8."""
    grid = GeoBox((side, side), Affine(CELL_M, 0, 480_000, 0, -CELL_M, 5_760_000), "EPSG:32631")
    model = {"identity": "any", "source": "", "card": {}, "numbers": 2}
    imagery = {"identity": "any", "uri": ""}
    spec = AtlasSpec(grid, np.ones(grid.shape, bool), 512, "int8", model, imagery, CELL_M, 224)
    work = count_remaining_work(spec, list(iter_chunks(spec.wanted, spec.chunk)))
    return PerCell(work.pixels / work.cells, work.patches / work.cells, work.disk_bytes / work.cells)


def main() -> None:
    """Print the inputs, and a table of costs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", type=float, default=MEASURED["network"].value)
    parser.add_argument("--imagery-bytes", type=float, default=MEASURED["imagery-bytes"].value)
    parser.add_argument("--machines", type=int, default=16)
    given = parser.parse_args()
    cell = count_per_cell()
    print(
        f"a cell: {cell.pixels:,.0f} pixels, {cell.patches:.3f} patches, {cell.disk_bytes:.0f} bytes on disk"
    )
    for name, figure in MEASURED.items():
        print(f"{name}: {figure.value:.4g} by {figure.command}")
    print(f"taken: network {given.network:g} cells/s a machine, {given.imagery_bytes:g} bytes a pixel\n")
    head = ["", "cells", "imagery read", "embedding, one machine", f"{given.machines} machines", "atlas"]
    print(row([*head, "a prompt, one machine", "a new date", f"a prompt, {given.machines} machines"]))
    print(row(["---"] * (len(head) + 3)))
    for name, area in AREAS_KM2.items():
        cells = area * 1e6 / CELL_M**2
        embedding = max(cells * cell.patches / given.network, cells / MEASURED["imagery"].value)
        prompt, date = cells * MEASURED["prompt"].value, cells * MEASURED["date"].value
        print(
            row(
                [
                    name,
                    f"{cells:,.0f}",
                    format_bytes(int(cells * cell.pixels * given.imagery_bytes)),
                    format_duration(embedding),
                    format_duration(embedding / given.machines),
                    format_bytes(int(cells * cell.disk_bytes)),
                    f"{prompt:.2g} s",
                    f"{date:.2g} s",
                    f"{prompt / given.machines:.2g} s",
                ]
            )
        )


def row(values: list[str]) -> str:
    """Return a row of a table in Markdown."""
    return f"| {' | '.join(values)} |"


if __name__ == "__main__":
    main()
