"""What a command imports: lists of the libraries that it may, as each costs every command its import."""

import subprocess
import sys

import pytest

START = {"sat2cap", "lazy_loader", "typer", "click", "annotated_doc", "shellingham", "typing_extensions"}
"""What the command line itself is made of."""
INTERPRETER = {"_distutils_hack", "sitecustomize", "usercustomize", "coverage", "org", "imported package"}
"""What Python, or this run of the tests, imports before any command; ``org`` is Jython's, tried by `copy`."""
ATLAS = {"numpy", "affine", "attr", "attrs", "xxhash"}
PLACES = {"pyproj", "certifi"}
TEXT = {"tokenizers"}
RASTER = {"rasterio", "certifi"}
SHAPES = {"shapely", "odc", "cachetools"}
DASK = {
    "dask",
    "yaml",
    "packaging",
    "tlz",
    "toolz",
    "cytoolz",
    "cloudpickle",
    "jinja2",
    "markupsafe",
    "psutil",
}
DASK |= {"importlib_metadata", "lazy_importer", "zipp", "tblib", "xxhash", "mmh3", "cityhash", "fsspec"}
"""What odc-geo imports where dask is installed."""


def imported_by(*words):
    """Return the libraries that a command imported and its status, as ``python -X importtime`` lists them."""
    shell = "import sys; from sat2cap.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-X", "importtime", "-c", shell, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    modules = {line.rpartition("|")[2].strip() for line in lines}
    assert "sat2cap.cli.app" in modules
    return {module.partition(".")[0] for module in modules} - sys.stdlib_module_names, done.returncode


ERRORS = [
    ["nonsense"],
    ["map"],
    ["map", "x.zarr", "a street", "--nonsense"],
    ["map", "x.zarr", "a street", "-o", "x.jpeg"],
    ["map", "x.zarr", "a street", "-o", "x.tif", "--title", "for pictures"],
    ["map", "x.zarr", "a street", "-o", "x.tif", "--when", "2020-01", "--months", "2020"],
    ["map", "x.zarr", "a street", "-o", "x.tif", "--when", "yesterday"],
    ["map", "x.zarr", "the", "-o", "x.tif"],
    ["map", "x.zarr", "snow +", "-o", "x.tif"],
    ["map", "no.zarr", "a street", "-o", "x.tif"],
    ["map", ".", "a street", "-o", "x.tif"],
    ["search", "no.zarr", "a street"],
    ["search", "x.zarr", "a street", "--when", "2020-13"],
    ["difference", "no.zarr", "a street", "a wood", "-o", "x.tif"],
    ["classify", "no.zarr", "a street", "a wood", "-o", "x.tif"],
    ["concepts", "no.zarr", "--at", "4.9,52.37"],
    ["caption", "no.zarr", "--at", "4.9,52.37"],
    ["atlas", "info", "no.zarr"],
    ["imagery", "check", "nowhere.tif"],
    ["imagery", "check", "folder/nowhere.jp2"],
]


@pytest.mark.parametrize("words", ERRORS, ids=" ".join)
def test_an_error_in_arguments_or_paths_imports_the_command_line_alone(words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    modules, status = imported_by(*words)
    assert status == 2
    assert modules <= START | INTERPRETER


@pytest.mark.parametrize("option", ["--model", "--text"])
def test_so_does_a_model_that_is_missing(option, atlas):
    modules, status = imported_by("map", atlas, "a street", "-o", "x.tif", option, "./nowhere")
    assert status == 2
    assert modules <= START | INTERPRETER


def test_a_region_that_cannot_be_read_imports_the_command_line_alone(atlas):
    modules, status = imported_by("map", atlas, "a street", "-o", "x.tif", "--within", "1,2,3,x")
    assert status == 2
    assert modules <= START | INTERPRETER


@pytest.mark.parametrize("words", [["--help"], ["map", "--help"], ["atlas", "--help"], ["serve", "--help"]])
def test_help_imports_the_command_line_alone(words):
    modules, status = imported_by(*words)
    assert status == 0
    assert modules <= START | INTERPRETER


@pytest.mark.parametrize(
    ("words", "libraries"),
    [
        (["map", "ATLAS", "a street", "-o", "x.tif"], ATLAS | TEXT | RASTER),
        (["map", "ATLAS", "a street", "-o", "x.tif", "--scale", "percentile"], ATLAS | TEXT | RASTER),
        (["map", "ATLAS", "a street", "-o", "x.tif", "--when", "2020-05"], ATLAS | TEXT | RASTER | PLACES),
        (["search", "ATLAS", "a street"], ATLAS | TEXT | PLACES),
        (["search", "ATLAS", "a street", "--when", "2020-05"], ATLAS | TEXT | PLACES),
        (["atlas", "info", "ATLAS"], ATLAS | PLACES),
    ],
)
def test_a_command_imports_what_is_listed(words, libraries, atlas, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    modules, status = imported_by(*[atlas if word == "ATLAS" else word for word in words])
    assert status == 0
    assert modules <= libraries | START | INTERPRETER
    seldom = {"certifi", "attr", "attrs", "pyproj"}  # a prepared atlas has its places computed
    assert modules >= libraries - seldom, "a list names what is not needed"


def test_checking_a_file_imports_neither_xarray_nor_numba(tmp_path):
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    path = tmp_path / "image.tif"
    place = {"crs": "EPSG:32631", "transform": from_origin(400_000, 5_800_000, 2, 2)}
    with rasterio.open(
        path, "w", driver="GTiff", width=512, height=512, count=3, dtype="uint8", photometric="RGB", **place
    ) as file:
        file.write(np.random.default_rng(0).integers(0, 256, (3, 512, 512), dtype=np.uint8))
    modules, status = imported_by("imagery", "check", path)
    assert status == 0
    assert modules <= ATLAS | PLACES | RASTER | SHAPES | DASK | START | INTERPRETER
