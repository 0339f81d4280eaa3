"""What a city costs: a real outline, a full-size network, imagery that is made up.

    python benchmarks/embed_city.py REGION.geojson [CELL_M [PRECISION]]

Makes a 1 m COG under the region, and types ``sat2cap embed`` as a person would, with a ViT-B/32 of random
weights: time and disk are those of the published weights.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from embed import write_cog_over, write_random_b32

from sat2cap.geo import cell_grid, parse_region

SCRIPT = "import sys; from sat2cap.cli import main; main(sys.argv[1:])"


def run_sat2cap(*words: object) -> None:
    """Run a command of sat2cap, and print how long it took."""
    print("$ sat2cap", *words, flush=True)
    began = time.monotonic()
    subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT, *map(str, words)], check=True)
    print(f"[{time.monotonic() - began:.1f} s]\n", flush=True)


def main(region: str, cell_m: float, precision: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image, model, out = folder / "ortho.tif", write_random_b32(folder / "b32"), folder / "city.zarr"
        write_cog_over(image, cell_grid(parse_region(region)).pad(1), 1.0)
        print(f"imagery on disk: {image.stat().st_size / 1e6:.0f} MB")
        options = ("--imagery", image, "--model", model, "--cell", cell_m, "--precision", precision)
        run_sat2cap("embed", region, *options, "-o", out)
        run_sat2cap("atlas", "info", out)


if __name__ == "__main__":
    arguments = [*sys.argv[1:], *["480", "float32"][len(sys.argv) - 2 :]]
    main(arguments[0], float(arguments[1]), arguments[2])
