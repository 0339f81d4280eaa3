"""The same place at two times: which photos a place calls up at 08:00 and 23:00, in January and July.

The paper shows it in pictures; here it is also counted: how many of the photos called up were taken near the
hour, or in the season, that was asked for.
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
"""Photos of figure 3."""

_BLOCK = 500
_NEAR_HOURS, _NEAR_MONTHS = 3.0, 1.5
_MOST_QUERIES = 1000


@dataclass(frozen=True)
class Moment:
    """A time to ask for."""

    name: str
    """In figures: ``hour.08``."""
    label: str
    kind: str
    """``hour`` or ``month``: what is compared."""
    when: When


MOMENTS = (
    Moment("hour.08", "08:00", "hour", When(2021, 5, 15, 8.0)),
    Moment("hour.23", "23:00", "hour", When(2021, 5, 15, 23.0)),
    Moment("month.01", "January", "month", When(2021, 1, 15, 12.0)),
    Moment("month.07", "July", "month", When(2021, 7, 15, 12.0)),
)


def nearest_rows(query: Float32, gallery: Float32, top: int = NEAREST_COUNT) -> NDArray[np.int64]:
    """Rows of `gallery` [N, D] with the greatest inner products for each of [Q, D], best first: [Q, top]."""
    top = min(top, len(gallery))
    out = np.empty((len(query), top), np.int64)
    for start in range(0, len(query), _BLOCK):
        scores = query[start : start + _BLOCK] @ gallery.T
        some = np.argpartition(-scores, top - 1, axis=1)[:, :top]
        order = np.argsort(-np.take_along_axis(scores, some, 1), axis=1, kind="stable")
        out[start : start + _BLOCK] = np.take_along_axis(some, order, 1)
    return out


def conditioned_embeddings_at(
    gallery: Gallery, checkpoint: Checkpoint, rows: NDArray[np.int64], when: When
) -> Float32:
    """Return unit embeddings of the places of some rows, conditioned on the moment `when`: float32 [Q, D].

    It replaces the place's own time, that of its photo. Raises `ModelError` without a Dynamic Encoder.
    """
    offset = checkpoint.dynamic_offset(
        gallery.lat[rows], gallery.lon[rows], when.year, when.month, when.day, when.hour
    )
    return normalise_rows(gallery.overhead[rows] + offset)


def moment_metrics(gallery: Gallery, checkpoint: Checkpoint, bootstrap: Bootstrap) -> Iterator[Metric]:
    """For each of `MOMENTS`, the share of the photos called up that are from near it.

    ``times.hour.08.near`` is of the nine nearest photos of a place conditioned on the moment,
    ``….told_nothing`` of a place without its position and time, ``….gallery`` of all photos. Near is
    within three hours, or within a month and a half of the same season in either hemisphere. Over at most
    1,000 places, the first of the gallery in an order that a fixed seed decides. Raises `ModelError`.
    """
    rows = np.sort(np.random.default_rng(0).permutation(len(gallery.lon))[:_MOST_QUERIES])
    chosen = np.zeros(len(gallery.lon), bool)
    chosen[rows] = True
    some = bootstrap.restrict_to(chosen)
    unconditioned = nearest_rows(gallery.unit_overhead[rows], gallery.ground)
    for moment in MOMENTS:
        near = _near_moment(gallery, moment, rows)
        conditioned = nearest_rows(
            conditioned_embeddings_at(gallery, checkpoint, rows, moment.when), gallery.ground
        )
        each = {
            "near": _share_near(near, conditioned),
            "told_nothing": _share_near(near, unconditioned),
            "gallery": near.mean(1),
        }
        each["above_told_nothing"] = each["near"] - each["told_nothing"]
        intervals = some.intervals(partial(_weighted_means, each))
        for name, shares in each.items():
            yield Metric(f"times.{moment.name}.{name}", float(shares.mean()), intervals.get(name))


def _weighted_means(each: Mapping[str, Floats], weight: Floats) -> dict[str, float]:
    return {name: float(np.average(shares, weights=weight)) for name, shares in each.items()}


def _share_near(near: NDArray[np.bool_], nearest: NDArray[np.int64]) -> Floats:
    return np.asarray(np.take_along_axis(near, nearest, 1).mean(1))


def _near_moment(gallery: Gallery, moment: Moment, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each photo of the gallery is from near a moment, for the places of some rows: [Q, N]."""
    if moment.kind == "hour":
        hours = np.array([when.hour for when in gallery.taken])
        close = _circular_distance(hours, moment.when.hour, 24.0) <= _NEAR_HOURS
        return np.broadcast_to(close, (len(rows), len(close)))
    south = gallery.lat < 0
    months = np.array([when.month - 1 + (when.day - 1) / 31 for when in gallery.taken])
    season = months + 6 * south  # of the year in the north
    target = moment.when.month - 1 + (moment.when.day - 1) / 31
    seasons = np.stack(
        [_circular_distance(season, target + 6 * here, 12.0) <= _NEAR_MONTHS for here in (0, 1)]
    )
    return np.asarray(seasons[south[rows].astype(int)])


def _circular_distance(values: Floats, one: float, turn: float) -> Floats:
    """Distance on a circle."""
    return np.asarray(np.abs((values - one + turn / 2) % turn - turn / 2))
