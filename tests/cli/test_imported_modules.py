"""What a command imports: the libraries that take long are imported by those that need them alone."""

import subprocess
import sys

import pytest

SLOW = {"torch", "transformers", "xarray", "pandas", "geopandas", "matplotlib", "pyarrow", "duckdb", "zarr"}
"""Libraries whose import takes longer than an error should, or than a map of a city."""


def imported_by(*words):
    """Return the slow libraries that a command imported, as ``python -X importtime`` lists them."""
    shell = "import sys; from sat2cap.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-X", "importtime", "-c", shell, *map(str, words)]
    lines = subprocess.run(command, capture_output=True, text=True).stderr.splitlines()
    modules = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert "sat2cap.cli.app" in modules
    return {module.partition(".")[0] for module in modules} & {*SLOW, "numba", "rasterio", "odc", "shapely"}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["map", "--help"],
        ["map", "x.zarr", "a street", "--nonsense"],
        ["map", "no.zarr", "a street", "-o", "x.tif"],
        ["map", "no.zarr", "a street", "-o", "x.jpeg"],
        ["map", "no.zarr", "a street", "-o", "x.tif", "--when", "yesterday", "--months", "2020"],
        ["search", "no.zarr", "a street"],
        ["atlas", "info", "no.zarr"],
    ],
)
def test_errors_and_help_import_no_slow_library(words):
    assert imported_by(*words) & SLOW == set()
