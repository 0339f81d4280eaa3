"""Repairing an atlas: damaged chunks computed again, and cells whose imagery failed tried once more."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sat2cap.api.engines import EngineName, check_engine, make_engine
from sat2cap.api.imagery import reopen_imagery
from sat2cap.api.open import open as open_for_prompts
from sat2cap.api.reporting import ProgressLike, listening
from sat2cap.arguments import NumbersLike, check_path
from sat2cap.atlas import Atlas, CellStatus, open_atlas, repair_atlas, writer_lock
from sat2cap.geo import Region, outline
from sat2cap.imagery import FailureRecordingImagery, Imagery

if TYPE_CHECKING:
    from sat2cap.engines import Engine


@dataclass(frozen=True)
class RepairResult:
    """What `repair` did."""

    damaged_chunks: int
    """Chunks that were not what the journal says, computed again."""
    filled_cells: int
    """Cells whose imagery had failed and could be read now."""
    failed_cells: int
    """Cells whose imagery failed again."""
    failure: str | None
    """Why the first of them failed."""
    stale_prepared: str | None
    """Name of the prepared folder that was removed as it did not match the chunks; None if it was sound."""

    @classmethod
    def total(cls, results: Sequence[RepairResult]) -> RepairResult:
        """Return what was done in several parts together.

        Numbers are added up; the failure and the stale prepared folder are the first that any part reports.
        """
        return cls(
            sum(result.damaged_chunks for result in results),
            sum(result.filled_cells for result in results),
            sum(result.failed_cells for result in results),
            next((result.failure for result in results if result.failure), None),
            next((result.stale_prepared for result in results if result.stale_prepared), None),
        )


def repair(
    atlas: str | Path,
    *,
    imagery: str | None = None,
    model: str | Path | None = None,
    bands: NumbersLike | None = None,
    stretch: NumbersLike | None = None,
    recipe: str | None = None,
    cache: str | Path | None = None,
    engine: EngineName = "process",
    address: str | None = None,
    workers: int | None = None,
    progress: ProgressLike = None,
) -> RepairResult:
    """Compute damaged chunks again, try the cells whose imagery failed once more, and keep all other bytes.

    Imagery and model must be those the atlas was made from; they are known by what `embed` was given.
    `engine`, `address` and `workers` are those of `embed`. Raises `AtlasError`, `ImageryError`, `ModelError`,
    `JobError`, `StoreError`.
    """
    check_path(atlas, "atlas", "the folder or address of an atlas")
    check_engine(engine, address, workers)
    opened = open_atlas(atlas)
    results = []
    for member in opened.members:
        member.require_original()
        open_source = partial(
            reopen_imagery,
            member.imagery,
            Region(outline(member.grid), str(atlas)),
            imagery=imagery,
            bands=bands,
            stretch=stretch,
            recipe=recipe,
            cache=cache,
        )
        chosen_engine = make_engine(engine, address, workers)
        results.append(_repair_one(member, open_source, chosen_engine, atlas, model, progress))
    return RepairResult.total(results)


def _repair_one(
    member: Atlas,
    open_source: Callable[[], Imagery],
    engine: Engine,
    whole: str | Path,
    model: str | Path | None,
    progress: ProgressLike,
) -> RepairResult:
    """Repair one atlas, or one part of the `whole`; its imagery and its model are opened only if needed."""
    with writer_lock(member.store) as store:
        damaged = repair_atlas(open_atlas(store))
    opened = open_atlas(store)
    failed = count_failed_cells(opened)
    if opened.complete and not failed:
        return RepairResult(len(damaged), 0, 0, None, _remove_stale_prepared(opened))
    from sat2cap.embedding import fill_atlas
    from sat2cap.model import choose_compute

    source = FailureRecordingImagery(open_source(), reopen=open_source)
    compute = choose_compute(opened.model["precision"])
    checkpoint = open_for_prompts(whole, model).checkpoint.to(compute.device)
    with listening(progress) as report:
        opened = fill_atlas(opened, source, checkpoint, engine=engine, progress=report)
    left = count_failed_cells(opened)
    return RepairResult(len(damaged), failed - left, left, source.failure, _remove_stale_prepared(opened))


def count_failed_cells(atlas: Atlas) -> int:
    """Return how many cells have no embedding because reading their imagery failed.

    These are the cells that `repair` tries again; those without imagery at all are not counted.
    """
    return int((atlas.status == CellStatus.IMAGERY_FAILED).sum())


def _remove_stale_prepared(atlas: Atlas) -> str | None:
    """Remove a prepared folder that does not match the chunks, and return its name; None if there is none."""
    from sat2cap.query import PREPARED_FOLDER, find_prepared_problem

    if not find_prepared_problem(atlas):
        return None
    with writer_lock(atlas.path):
        shutil.rmtree(atlas.path / PREPARED_FOLDER)
    return PREPARED_FOLDER
