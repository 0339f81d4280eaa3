"""What a fresh interpreter imports with a layer: libraries that it does not need stay away.

Beside `test_architecture.py`, which reads sources only and so is quick enough for `make check`.
"""

import json
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "sat2cap"


def modules_of(*rooms: str) -> list[str]:
    """Dotted names of all modules of these packages of `sat2cap`."""
    files = sorted(path for room in rooms for path in (PACKAGE / room).rglob("*.py"))
    dotted = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in files]
    return [name.removesuffix(".__init__") for name in dotted]


def modules_loaded_by(statement: str) -> set[str]:
    """Names in sys.modules of a fresh interpreter after `statement`."""
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_command_line_starts_without_heavy_libraries() -> None:
    loaded = modules_loaded_by("import sat2cap, sat2cap.cli")
    assert "typer" in loaded
    heavy = {"torch", "transformers", "matplotlib", "rasterio", "numpy", "pandas", "xarray", "rich"}
    assert loaded & heavy == set()


def test_layers_below_the_model_run_without_torch() -> None:
    """What they import imports counts too."""
    names = modules_of("geo", "imagery", "photos", "pairs", "atlas", "maps", "zones", "publishing")
    assert len(names) >= 100
    loaded = modules_loaded_by(f"import {', '.join(names)}")
    assert {"numpy", "sat2cap.geo.grid"} <= loaded
    assert loaded & {"torch", "transformers"} == set()


def test_the_model_runs_without_raster_libraries() -> None:
    names = modules_of("model")
    loaded = modules_loaded_by(f"import {', '.join(names)}")
    assert "torch" in loaded
    assert loaded & {"rasterio", "odc", "odc.geo", "geopandas", "zarr"} == set()
