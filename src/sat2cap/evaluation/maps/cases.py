"""Agreement of maps with the truth of every cell, for prompts from a file; see docs/evaluate.md."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pydantic import Field
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from sat2cap.atlas import Atlas
from sat2cap.catalogue import find_world
from sat2cap.config import Section, load
from sat2cap.errors import ImageryError, InputError
from sat2cap.evaluation.bootstrap import Bootstrap, number_blocks
from sat2cap.evaluation.maps.agreement import Agreement
from sat2cap.evaluation.maps.classes import resolve_reference
from sat2cap.evaluation.maps.region_cells import RegionCells
from sat2cap.evaluation.metric import Metric
from sat2cap.evaluation.miniworld.maps import MAP_MEASURES, Country, map_agreement, pick_measure, summary
from sat2cap.files import digest_file
from sat2cap.geo import When, parse_when
from sat2cap.imagery import open_dataset
from sat2cap.miniworld import PROMPTS, GroundTruth, World, ground_truth_at, prepare_ground_truth
from sat2cap.model import Checkpoint

MEASURES = ("auroc", "average_precision", "f1", "spearman")
"""Names of the metrics of each case, in this order."""


@dataclass(frozen=True)
class Case:
    """One prompt and its truth."""

    prompt: str
    truth: str
    """A raster file, or ``miniworld:SEED/CONCEPT``."""
    when: When | None
    threshold: float
    """A cell is positive when its truth is at least this."""


class _CaseEntry(Section):
    prompt: str = Field(min_length=1)
    truth: str = Field(min_length=1)
    when: str | None = None
    threshold: float = 0.5


class _CaseFile(Section):
    case: list[_CaseEntry] = Field(min_length=1)


def load_cases(path: Path | str) -> list[Case]:
    """Read a TOML file of ``[[case]]`` tables, as docs/evaluate.md describes them.

    Paths of rasters are relative to the file. Raises `InputError` with every problem of the file, and
    `WhenError` for a date that is none.
    """
    form = "write [[case]] tables with prompt and truth, see docs/evaluate.md"
    entries = load(path, _CaseFile, InputError, kind="cases", hint=form).case
    folder = Path(path).parent
    return [
        Case(
            entry.prompt,
            resolve_reference(folder, entry.truth),
            None if entry.when is None else parse_when(entry.when),
            entry.threshold,
        )
        for entry in entries
    ]


def evaluate_maps(
    atlas: Atlas, checkpoint: Checkpoint, cases: Sequence[Case], *, block_km: float = 5.0, draws: int = 0
) -> Iterator[Metric]:
    """Yield AUROC, average precision, best F1 and rank correlation of each case, then their means.

    Names are ``auroc.1`` and so on, by the order of the cases, then ``auroc.mean``, …, and ``prompts``: how
    many cases the means are over. A case whose region is all positive or all negative has no AUROC: it is
    NaN, and in no mean. With `draws`, intervals from that many resamples of blocks of land. Raises
    `InputError` for a case that shares no cell with the atlas.
    """
    cells = RegionCells(atlas)
    bootstrap = Bootstrap(number_blocks(*cells.lonlat, block_km), draws)
    values_by_measure: dict[str, list[float]] = {name: [] for name in MEASURES}
    for number, case in enumerate(cases, 1):
        values = cells.scores(checkpoint, [case.prompt], when=case.when)[0]
        truth = cells.gather(lambda member, case=case: read_truth(case, member.grid))  # type: ignore[misc]
        has_both = np.isfinite(values) & np.isfinite(truth)
        if not has_both.any():
            raise InputError(f"none of {atlas.name}'s cells has both a score and a truth in {case.truth!r}")
        agreement = Agreement.from_cells(values[has_both], truth[has_both], truth[has_both] >= case.threshold)
        metrics = {
            metric.name: metric
            for metric in bootstrap.restrict_to(has_both).metrics(agreement.weighted_metrics)
        }
        for name in MEASURES:
            _, value, interval = metrics[name]
            yield Metric(f"{name}.{number}", value, interval)
            if not np.isnan(metrics["auroc"].value) and not np.isnan(value):
                values_by_measure[name].append(value)
    for name, judged in values_by_measure.items():
        yield Metric(f"{name}.mean", mean(judged) if judged else float("nan"))
    yield Metric("prompts", float(len(values_by_measure["auroc"])))


def evaluate_miniworld(atlas: Atlas, checkpoint: Checkpoint) -> Iterator[Metric]:
    """Yield the `MAP_MEASURES` of the shipped prompts on a region of the miniature world, with summaries.

    They are ``auroc.PROMPT`` and ``average_precision.PROMPT``, then the mean, the median and the count.

    Raises `InputError` for an atlas of anything else, or of a region too plain to judge any prompt.
    """
    uri = str(atlas.imagery.get("uri", ""))
    world = find_world(uri)
    if world is None:
        raise InputError(
            f"imagery {uri!r} has no truth of its own; give a file of cases, see docs/evaluate.md"
        )
    cells = RegionCells(atlas)
    country = Country(uri, atlas, ground_truth_at(world, *cells.lonlat), cells.is_southern)
    agreement = list(map_agreement([country], checkpoint, PROMPTS))
    if not agreement:
        raise InputError(
            f"no shipped prompt can be judged on {atlas.name}: too little varies; embed a larger one"
        )
    for measure in MAP_MEASURES:
        values = pick_measure(agreement, measure)
        yield from (Metric(f"{measure}.{prompt.text}", value) for prompt, value in values)
        yield from (Metric(name, value) for name, value in summary(measure, values).items())


def cases_identity(cases: Sequence[Case]) -> list[list[str]]:
    """Return what the metrics depend on beside the maps: each case, and the hash of its truth's file.

    A truth that is not a file, such as ``miniworld:7/skiers``, stands for itself.
    """
    return [
        [repr(case), digest_file(case.truth) if Path(case.truth).is_file() else case.truth] for case in cases
    ]


def read_truth(case: Case, grid: GeoBox) -> NDArray[np.float64]:
    """Return the truth of every cell, float64 [y, x], NaN where it is not known. Raises `InputError`."""
    planet, _, concept = case.truth.partition("/")
    world = find_world(planet)
    if world is None:
        return _read_raster_on(case.truth, grid)
    if not concept:
        raise InputError(f"truth {case.truth!r} names no concept; write {planet}/CONCEPT")
    truth: xr.DataArray = _ground_truth_on(world, grid).truth_map(concept, case.when)
    return np.asarray(truth.values, dtype=np.float64)


@lru_cache(maxsize=8)
def _ground_truth_on(world: World, grid: GeoBox) -> GroundTruth:
    """Return a planet's places on one grid, which are the same for every case."""
    return prepare_ground_truth(world, grid)


def _read_raster_on(path: str, grid: GeoBox) -> NDArray[np.float64]:
    """Read the first band of a raster, averaged over each cell: float64 [y, x], NaN where it has no data."""
    options: dict[str, Any] = {
        "crs": str(grid.crs),
        "transform": grid.affine,
        "height": grid.shape[0],
        "width": grid.shape[1],
        "resampling": Resampling.average,
    }
    try:
        with open_dataset(path) as source:
            if source.crs is None:
                raise InputError(f"truth {path!r} has no CRS; assign one with gdal_translate -a_srs")
            with WarpedVRT(source, **options) as warped:
                band = warped.read(1, masked=True)
    except ImageryError as error:
        raise InputError(f"truth {path!r}: {error}") from None
    return np.asarray(band.astype(np.float64).filled(np.nan), dtype=np.float64)
