"""Pipes and devices in place of files that people name: one line, at once, and nothing is waited for."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sat2cap.errors import InputError, RunFileError
from sat2cap.evaluation.captions.evaluation import read_captions
from sat2cap.evaluation.maps.cases import load_cases
from sat2cap.geo import VectorFile, parse_region
from sat2cap.imagery.named import read_sources
from sat2cap.imagery.raster import open_raster
from sat2cap.imagery.tiles.pmtiles import open_archive
from sat2cap.maps.places import read_outlines
from sat2cap.photos.table import TableRecords
from sat2cap.photos.yfcc import YfccRecords
from sat2cap.query import read_phrases
from sat2cap.training.run import load_run
from sat2cap.zones.files import read_zones

READERS: dict[str, Callable[[Path], object]] = {
    "run.toml": load_run,
    "cases.toml": load_cases,
    "source.toml": read_sources,
    "captions.jsonl": read_captions,
    "phrases.txt": read_phrases,
    "region.geojson": lambda path: parse_region(str(path)),
    "zones.gpkg": read_zones,
    "zones.parquet": read_zones,
    "zones.zip": lambda path: VectorFile(str(path)).read(),
    "outlines.geojson": read_outlines,
    "ortho.tif": lambda path: open_raster(str(path)),
    "tiles.pmtiles": lambda path: open_archive(str(path)),
    "photos.csv": lambda path: list(TableRecords(path).records()),
    "photos.parquet": lambda path: list(TableRecords(path).records()),
    "photos.tsv": lambda path: list(YfccRecords(path).records()),
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_one_line(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError) as error:
        READERS[name](tmp_path / name)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


def test_a_device_without_end_is_not_read() -> None:
    with pytest.raises(RunFileError, match="not a regular file"):
        load_run("/dev/zero")
