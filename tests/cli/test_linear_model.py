"""A linear model by the command line: trained, described, exported, embedded and asked at two dates."""

from pathlib import Path

import numpy as np
import rasterio
from command import Done, run

from sat2cap.model.load import load_model

RUN = """method = "linear"
[data]
pairs = "{pairs}"
validation_pairs = 5
[model]
init = "{clip}"
hidden = 16
[optim]
device = "cpu"
[output]
folder = "{out}"
name = "ridge"
"""
REGION, PLANET = "-10.02,-45.03,-9.99,-45.0", "miniworld:7"
PROMPT = "a busy street"


def test_a_linear_model_is_one_like_any_other(pairs: tuple[Path, Done], model: Path, tmp_path: Path) -> None:
    file, folder = tmp_path / "run.toml", tmp_path / "out" / "checkpoint"
    file.write_text(RUN.format(pairs=pairs[0], clip=model, out=tmp_path / "out"))
    assert (done := run("train", file)).status == 0, done.err
    assert done.out.strip() == str(folder)
    info = run("models", "info", folder)
    assert info.status == 0, info.err
    assert "12, 16, 32" in info.out
    assert "5 photos held out" in info.out
    exported = run("models", "export", folder, "-o", tmp_path / "hf")
    assert exported.status == 0, exported.err
    assert load_model(tmp_path / "hf").place_identity == load_model(folder).place_identity
    assert "ridge regression from tiny" in (tmp_path / "hf" / "README.md").read_text()

    atlas = tmp_path / "x.zarr"
    made = run("embed", REGION, "--imagery", PLANET, "--model", folder, "-o", atlas)
    assert made.status == 0, made.err
    maps = []
    for name, options in {"none": (), "winter": ("--when", "2021-07-15T08:00")}.items():
        out = tmp_path / f"{name}.tif"
        done = run("map", atlas, PROMPT, "--scale", "cosine", *options, "-o", out)
        assert done.status == 0, done.err
        with rasterio.open(out) as opened:
            maps.append(opened.read(1))
    assert np.isfinite(maps[0]).any()
    assert np.nanmax(np.abs(maps[0] - maps[1])) > 1e-3, "the date must reach the map"
