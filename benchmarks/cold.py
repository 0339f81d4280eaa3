"""What the first command of a shell costs: CPU and wall seconds of cold commands, beside ``import numpy``.

    python benchmarks/cold.py FOLDER [OUT.json] [--cells 100000] [--times 5]

Makes an atlas of random numbers, 512 to a cell, with a text tower of ViT-B/32's size and random weights in
FOLDER, and an image to check. Each command runs in a process of its own, with files in the page cache and
hashes remembered, as after the first time; the least of several counts. On a busy machine compare CPU
seconds.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

SHELL = "import sys; from sat2cap.cli import main; main(sys.argv[1:])"
MAP_IN_PYTHON = "import sys, sat2cap; sat2cap.open(sys.argv[1]).map('a busy street')"
DATE = "2018-05-20T08:00"
Command = list[str]


def make_folder(folder: Path, cells: int) -> None:
    """Write model, atlas and image into `folder`, unless they are there."""
    from query import make_atlas, make_model

    from sat2cap.model import load_model

    if not (folder / "x.zarr").exists():
        source = make_model(folder)
        make_atlas(folder / "x.zarr", cells, load_model(source), source)
    if not (folder / "image.tif").exists():
        write_image(folder / "image.tif")


def write_image(path: Path) -> None:
    """Write 2,048 x 2,048 pixels of noise at 1 m, in UTM."""
    import rasterio
    from rasterio.transform import from_origin

    pixels = np.random.default_rng(0).integers(0, 256, (3, 2048, 2048), dtype=np.uint8)
    profile = {"driver": "GTiff", "width": 2048, "height": 2048, "count": 3, "dtype": "uint8", "tiled": True}
    place = {"crs": "EPSG:32631", "transform": from_origin(400_000, 5_800_000, 1, 1)}
    with rasterio.open(path, "w", photometric="RGB", **profile, **place) as file:
        file.write(pixels)


def commands_for(folder: Path) -> dict[str, Command]:
    """Return each command by its name in the results, as arguments of Python."""
    atlas, out = str(folder / "x.zarr"), str(folder / "out.tif")
    shell = {
        "map": ["map", atlas, "a busy street", "-o", out],
        "map with a date": ["map", atlas, "a busy street", "--when", DATE, "-o", out],
        "search": ["search", atlas, "a busy street"],
        "atlas info": ["atlas", "info", atlas],
        "imagery check": ["imagery", "check", str(folder / "image.tif")],
        "an option that is unknown": ["map", atlas, "a busy street", "--nonsense"],
        "an atlas that is missing": ["map", str(folder / "no.zarr"), "a busy street", "-o", out],
        "a model that is missing": ["map", atlas, "a busy street", "-o", out, "--model", "./nowhere"],
        "--help": ["--help"],
    }
    return {
        "import numpy": ["-c", "import numpy"],
        **{name: ["-c", SHELL, *words] for name, words in shell.items()},
        "map in Python": ["-c", MAP_IN_PYTHON, atlas],
    }


def measure(command: Command, times: int) -> tuple[float, float]:
    """Return CPU and wall seconds of a command, the least of several, after one to warm up."""
    figures = []
    for _ in range(times + 1):
        before, start_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, *command], capture_output=True, check=False)
        wall_s, after = time.perf_counter() - start_s, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        figures.append((cpu_s, wall_s))
    cpu_s, wall_s = np.array(figures[1:]).min(axis=0)
    return float(cpu_s), float(wall_s)


def processor_flags() -> list[str]:
    """Return the instruction sets that decide how quick networks are, as Linux names them."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return []
    return sorted(words & {"avx2", "avx512f", "avx512_bf16", "amx_tile"})


def main() -> None:
    """Measure all commands and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    make_folder(options.folder, options.cells)
    figures = {}
    for name, command in commands_for(options.folder).items():
        cpu_s, wall_s = measure(command, options.times)
        figures[name] = {"cpu_s": round(cpu_s, 3), "wall_s": round(wall_s, 3)}
        print(f"{name:<28}{cpu_s:6.2f} s of CPU{wall_s:8.2f} s", flush=True)
    print(f"{os.cpu_count()} cores, {' '.join(processor_flags()) or 'flags unknown'}")
    if options.out is not None:
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
