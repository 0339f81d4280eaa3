"""Prompts over many moments: what a map does through the year and the day."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas.store import Atlas
from sat2cap.errors import PromptError, WhenError
from sat2cap.geo.when import When
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.query.cells import Cells
from sat2cap.query.cosine import Cosines, offset_at
from sat2cap.query.prompts import embed_prompts
from sat2cap.query.scan import Scan
from sat2cap.query.score import check_model


def mean_scores(
    atlas: Atlas, checkpoint: Checkpoint, prompts: Sequence[str], times: Sequence[When]
) -> NDArray[np.float64]:
    """The mean cosine over the atlas's embedded cells, float64 ``[prompts, times]``.

    The same as the means of what `score` gives for each time, but prompts are embedded and the atlas is read
    only once. Without a Dynamic Encoder all times are alike. NaN if no cell is embedded. Raises
    `PromptError`, `WhenError`, `ModelError`, `AtlasError`.
    """
    if not prompts:
        raise PromptError("no prompt is given; write what a photo there would show")
    if not times:
        raise WhenError("no moment is given; write one, such as 2024-05-20T08:00")
    check_model(atlas, checkpoint)
    texts = embed_prompts(checkpoint, prompts)
    at = [Cosines(texts, offset_at(checkpoint, when)) for when in times]

    def work(cells: Cells) -> tuple[NDArray[np.float64], int]:
        sums = np.stack([np.nansum(cosines(cells), axis=(1, 2), dtype=np.float64) for cosines in at], axis=1)
        return sums, int(np.isfinite(cells.inverse).sum())

    sums, count = np.zeros((len(prompts), len(times))), 0
    for more, embedded in Scan(atlas, checkpoint.encoding).each(work):
        sums, count = sums + more, count + embedded
    return sums / count if count else np.full_like(sums, np.nan)
