"""Retrieval for one place at two times: 08:00 and 23:00, January and July.

The paper shows it in pictures. Here it is also counted: the share of the retrieved photos that were taken
near the hour, or in the season, that the place's embedding was conditioned on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sat2cap.evaluation.bootstrap import Bootstrap
from sat2cap.evaluation.metric import Metric
from sat2cap.evaluation.retrieval.gallery import Gallery, normalise_rows
from sat2cap.geo import When
from sat2cap.model import Checkpoint

Float32 = NDArray[np.float32]
Floats = NDArray[np.float64]

NEAREST_COUNT = 9
"""Number of photos that figure 3 shows for a patch."""

_QUERIES_AT_A_TIME = 500
_NEAR_HOURS, _NEAR_MONTHS = 3.0, 1.5
_MAX_QUERIES = 1000


@dataclass(frozen=True)
class Moment:
    """A date and hour to condition embeddings on, and what retrieved photos are compared by."""

    name: str
    """Part of the metrics' names, such as ``hour.08``."""
    label: str
    """For readers, such as ``08:00``."""
    kind: str
    """``hour`` or ``month``: what of a photo's time must be near this moment."""
    when: When


MOMENTS = (
    Moment("hour.08", "08:00", "hour", When(2021, 5, 15, 8.0)),
    Moment("hour.23", "23:00", "hour", When(2021, 5, 15, 23.0)),
    Moment("month.01", "January", "month", When(2021, 1, 15, 12.0)),
    Moment("month.07", "July", "month", When(2021, 7, 15, 12.0)),
)


def nearest_rows(query: Float32, gallery: Float32, top: int = NEAREST_COUNT) -> NDArray[np.int64]:
    """Return the rows of `gallery` `[N, D]` with the greatest inner products with each query, best first.

    `query` is `[Q, D]`; the result is int64 `[Q, top]`, or `[Q, N]` if the gallery has fewer rows.
    """
    top = min(top, len(gallery))
    nearest = np.empty((len(query), top), np.int64)
    for start in range(0, len(query), _QUERIES_AT_A_TIME):
        scores = query[start : start + _QUERIES_AT_A_TIME] @ gallery.T
        unsorted = np.argpartition(-scores, top - 1, axis=1)[:, :top]
        order = np.argsort(-np.take_along_axis(scores, unsorted, 1), axis=1, kind="stable")
        nearest[start : start + _QUERIES_AT_A_TIME] = np.take_along_axis(unsorted, order, 1)
    return nearest


def conditioned_embeddings_at(
    gallery: Gallery, checkpoint: Checkpoint, rows: NDArray[np.int64], when: When
) -> Float32:
    """Return overhead embeddings of some rows, conditioned on `when`: float32 `[Q, D]`, unit length.

    `when` stands in place of the time of each row's photo. Raises `ModelError` without a Dynamic Encoder.
    """
    offset = checkpoint.dynamic_offset(
        gallery.lat[rows], gallery.lon[rows], when.year, when.month, when.day, when.hour
    )
    return normalise_rows(gallery.overhead[rows] + offset)


def moment_metrics(gallery: Gallery, checkpoint: Checkpoint, bootstrap: Bootstrap) -> Iterator[Metric]:
    """Yield, for each of `MOMENTS`, the share of retrieved photos that were taken near it.

    ``times.hour.08.near`` counts among the nine photos nearest to a place's embedding conditioned on the
    moment, ``….told_nothing`` among those nearest to its embedding without place and time, ``….gallery``
    among all photos; ``….above_told_nothing`` is the first less the second. Near is within three hours,
    or within a month and a half of the same season in either hemisphere. Over at most 1,000 places, the
    first of the gallery in an order that a fixed seed decides. Raises `ModelError`.
    """
    rows = np.sort(np.random.default_rng(0).permutation(len(gallery.lon))[:_MAX_QUERIES])
    chosen = np.zeros(len(gallery.lon), bool)
    chosen[rows] = True
    bootstrap_of_chosen = bootstrap.restrict_to(chosen)
    unconditioned = nearest_rows(gallery.unit_overhead[rows], gallery.ground)
    for moment in MOMENTS:
        near = _near_moment(gallery, moment, rows)
        conditioned = nearest_rows(
            conditioned_embeddings_at(gallery, checkpoint, rows, moment.when), gallery.ground
        )
        shares_by_name = {
            "near": _share_near(near, conditioned),
            "told_nothing": _share_near(near, unconditioned),
            "gallery": near.mean(1),
        }
        shares_by_name["above_told_nothing"] = shares_by_name["near"] - shares_by_name["told_nothing"]
        intervals = bootstrap_of_chosen.intervals(partial(_weighted_means, shares_by_name))
        for name, shares in shares_by_name.items():
            yield Metric(f"times.{moment.name}.{name}", float(shares.mean()), intervals.get(name))


def _weighted_means(shares_by_name: Mapping[str, Floats], weight: Floats) -> dict[str, float]:
    return {name: float(np.average(shares, weights=weight)) for name, shares in shares_by_name.items()}


def _share_near(near: NDArray[np.bool_], nearest: NDArray[np.int64]) -> Floats:
    """Return the share of each query's nearest photos `[Q, top]` for which `near` `[Q, N]` is true: `[Q]`."""
    return np.asarray(np.take_along_axis(near, nearest, 1).mean(1))


def _near_moment(gallery: Gallery, moment: Moment, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each photo of the gallery was taken near a moment, seen from some rows: bool `[Q, N]`.

    For hours the rows do not matter. A month is a season there: July in the north is near January in the
    south, so months are turned by six for southern photos and southern rows.
    """
    if moment.kind == "hour":
        hours = np.array([when.hour for when in gallery.taken])
        close = _circular_distance(hours, moment.when.hour, 24.0) <= _NEAR_HOURS
        return np.broadcast_to(close, (len(rows), len(close)))
    south = gallery.lat < 0
    months = np.array([when.month - 1 + (when.day - 1) / 31 for when in gallery.taken])
    season = months + 6 * south  # of the year in the north
    target = moment.when.month - 1 + (moment.when.day - 1) / 31
    seasons = np.stack(
        [_circular_distance(season, target + 6 * hemisphere, 12.0) <= _NEAR_MONTHS for hemisphere in (0, 1)]
    )
    return np.asarray(seasons[south[rows].astype(int)])


def _circular_distance(values: Floats, target: float, period: float) -> Floats:
    """Return the distance of each value to `target` on a circle, 0 to half of `period`."""
    return np.asarray(np.abs((values - target + period / 2) % period - period / 2))
