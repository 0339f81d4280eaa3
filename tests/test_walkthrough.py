"""The README's first real use, as a stranger does it: an image of one's own and a CLIP folder.

The first command is the installed one in a process of its own; the rest run here, since a process
takes seconds to import the networks. Bad input is the subject of `tests/cli/test_errors.py`.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rio_cogeo import cog_validate

for _folder in ("model", "cli"):  # where tiny_model and command live
    sys.path.append(str(Path(__file__).parent / _folder))

COMMAND = Path(sys.executable).parent / "sat2cap"
README = Path(__file__).parents[1] / "README.md"
WEST, NORTH, SIDE, PIXEL, CELL = 619_920, 5_810_040, 600, 2.0, 120
"""An image of 1200 m a side in EPSG:32631, ten by ten cells: half green, half grey, one corner unknown."""


def well(*words: object) -> str:
    """What a command prints, which must succeed."""
    from command import run

    done = run(*words)
    assert done.status == 0, done.err
    return done.out


def write_image(path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = np.empty((4, SIDE, SIDE), np.uint8)
    pixels[:3] = np.array([40, 120, 50], np.uint8)[:, None, None]
    pixels[:3, :, SIDE // 2 :] = 130
    pixels[:3] += random.integers(0, 40, (3, SIDE, SIDE), dtype=np.uint8)
    pixels[3] = 255
    pixels[3, :120, :120] = 0
    transform = Affine(PIXEL, 0, WEST, 0, -PIXEL, NORTH)
    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 4, "dtype": "uint8"}
    with rasterio.open(
        path, "w", crs="EPSG:32631", transform=transform, photometric="RGB", alpha="yes", **profile
    ) as file:
        file.write(pixels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``ortho.tif``, the model under the README's name, and ``town.zarr`` made of them."""
    from tiny_model import tiny_clip

    home = tmp_path_factory.mktemp("stranger")
    write_image(home / "ortho.tif")
    tiny_clip(home / "models" / "clip-vit-base-patch32", image=16, hidden=64, dim=32)
    (embed,) = re.findall(r"^sat2cap (embed .* -o town\.zarr)$", README.read_text(), re.MULTILINE)
    done = subprocess.run([COMMAND, *embed.split()], cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "town.zarr: 96 of 100 cells embedded"
    return home


@pytest.fixture(autouse=True)
def at_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are typed in the folder, as the README has them."""
    monkeypatch.chdir(folder)


def test_the_map_lies_where_the_image_lies(folder: Path) -> None:
    said = well("map", "town.zarr", "a busy street", "-o", "street.tif")
    assert said == "street.tif\n"
    assert cog_validate(folder / "street.tif", strict=True)[0]
    with rasterio.open(folder / "street.tif") as file:
        assert file.crs == "EPSG:32631"
        assert file.res == (120, 120)
        scores, box = file.read(1), file.bounds
        rows, cols = np.mgrid[: file.height, : file.width]
    x, y = box.left + (cols + 0.5) * CELL, box.top - (rows + 0.5) * CELL
    inside = (x > WEST) & (x < WEST + 1200) & (y < NORTH) & (y > NORTH - 1200)
    hole = (x < WEST + 2 * CELL) & (y > NORTH - 2 * CELL)
    assert inside.sum() == 100
    np.testing.assert_array_equal(np.isfinite(scores), inside & ~hole)
    assert ((scores >= -1) & (scores <= 1))[np.isfinite(scores)].all()
    green, grey = (scores[inside & ~hole & half] for half in (x < WEST + 600, x > WEST + 600))
    assert green.max() < grey.min() or grey.max() < green.min(), "the halves of the image are told apart"


def test_picture_areas_and_places(folder: Path) -> None:
    well("map", "town.zarr", "snow", "--underlay", "ortho.tif", "-o", "snow.png")
    picture = Image.open(folder / "snow.png")
    assert min(picture.size) > 300
    assert np.asarray(picture.convert("RGB")).reshape(-1, 3).std(0).min() > 5
    well("map", "town.zarr", "snow", "-o", "snow.geojson")
    areas = json.loads((folder / "snow.geojson").read_text())["features"]
    assert areas
    table = well("search", "town.zarr", "snow", "--top", 3, "-o", "places.geojson")
    assert len(table.splitlines()) == 4
    points = [
        f["geometry"]["coordinates"] for f in json.loads((folder / "places.geojson").read_text())["features"]
    ]
    west, south, east, north = rasterio.warp.transform_bounds(
        "EPSG:32631", "EPSG:4326", WEST, NORTH - 1200, WEST + 1200, NORTH
    )
    assert len(points) == 3
    assert all(west < lon < east and south < lat < north for lon, lat in points)


def test_the_readmes_python_runs_as_printed() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["shops"].dims == ("y", "x")  # type: ignore[attr-defined]
    import rioxarray  # noqa: F401  # as the README says: adds .rio

    assert names["shops"].rio.crs == "EPSG:32631"  # type: ignore[attr-defined]
    assert len(names["quiet"]) >= 3  # type: ignore[arg-type]


def test_atlas_info_and_verify(folder: Path) -> None:
    info = well("atlas", "info", "town.zarr")
    assert "ortho.tif" in info
    assert "the imagery has no pixels there" in info
    assert well("atlas", "verify", "town.zarr") == "town.zarr: sound\n"


def test_the_same_command_again_changes_nothing(folder: Path) -> None:
    def content() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in (folder / "town.zarr").rglob("*") if p.is_file()}

    before = content()
    model = "models/clip-vit-base-patch32"
    well("embed", "--imagery", "ortho.tif", "--model", model, "--patch", CELL, "-o", "town.zarr")
    assert content() == before
    assert len(before) > 5


def test_another_model_is_refused_in_one_line(folder: Path) -> None:
    """As a stranger meets it: a second model, but the first one's atlas."""
    from command import run
    from tiny_model import tiny_clip

    tiny_clip(folder / "models" / "other", seed=1, image=16, hidden=64, dim=32)
    for words in (
        ("embed", "--imagery", "ortho.tif", "--model", "models/other", "--patch", 120, "-o", "town.zarr"),
        ("map", "town.zarr", "snow", "--model", "models/other", "-o", "wrong.tif"),
    ):
        done = run(*words)
        assert done.status == 2
        assert done.out == ""
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1
        assert "model" in done.err
    assert not (folder / "wrong.tif").exists()
    assert well("atlas", "verify", "town.zarr") == "town.zarr: sound\n"
