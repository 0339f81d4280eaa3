"""How near two atlases of the same cells are, such as one made on a GPU and one made on a processor.

    python benchmarks/nearness.py A.zarr B.zarr
    python benchmarks/nearness.py instructions [CELLS]

The first compares two atlases of one region: the share of stored int8 numbers that are equal, the largest
difference of two in steps of int8, and the least cosine between the two embeddings of a cell. The second
embeds a made-up region of so many cells with the miniature CLIP on this processor, with all of its
instructions and without some of them, and in each precision, and compares each with the first.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas, CellStatus, open_atlas

VARIANTS = {
    "float32, all instructions": ("float32", {}),
    "float32 again": ("float32", {}),
    "float32, AVX2 only": (
        "float32",
        {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    ),
    "bfloat16": ("bfloat16", {}),
    "int8": ("int8", {}),
}
"""Precision of each atlas, and the environment that it is made in; the first is what others are held to."""


def stored(atlas: Atlas) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.bool_]]:
    """Return the numbers of an atlas as they are stored, its embeddings, and which cells have one."""
    height, width = atlas.grid.shape
    whole = slice(0, height), slice(0, width)
    numbers, _ = atlas.read_raw(*whole)
    return np.moveaxis(numbers, 0, -1), atlas.read(*whole), atlas.status == CellStatus.OK


def compare(first: Path, second: Path) -> str:
    """Return in words how near two atlases are."""
    (a, u, ok_a), (b, v, ok_b) = (stored(open_atlas(path)) for path in (first, second))
    both = ok_a & ok_b
    steps = np.abs(a[both].astype(np.int16) - b[both])
    x, y = u[both].astype(np.float64), v[both].astype(np.float64)
    cosines = (x * y).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    return (
        f"{both.sum()} cells, {(steps == 0).mean():.4%} of int8 numbers equal, largest step {steps.max()}, "
        f"least cosine {cosines.min():.7f}"
    )


def embed(out: Path, cells: int, precision: str, environment: dict[str, str]) -> None:
    """Embed a square of the miniature world in a process of its own."""
    degrees = 0.0055 * cells**0.5
    region = f"-70,46,{-70 + degrees:.4f},{46 + 0.7 * degrees:.4f}"
    program = "import sys; from sat2cap.cli.app import main; main(sys.argv[1:])"
    words = ["embed", region, "--imagery", "miniworld:2", "--model", "miniclip", "--precision", precision]
    subprocess.run(
        [sys.executable, "-c", program, *words, "-o", str(out)],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )


def main() -> None:
    """Compare what the command line names."""
    if sys.argv[1] != "instructions":
        print(compare(Path(sys.argv[1]), Path(sys.argv[2])))
        return
    cells = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    with tempfile.TemporaryDirectory() as name:
        atlases = {variant: Path(name) / f"{number}.zarr" for number, variant in enumerate(VARIANTS)}
        for variant, (precision, environment) in VARIANTS.items():
            embed(atlases[variant], cells, precision, environment)
            print(f"{variant}: {compare(next(iter(atlases.values())), atlases[variant])}", flush=True)


if __name__ == "__main__":
    main()
