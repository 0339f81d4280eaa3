"""Scores of a wide atlas: those of each UTM zone, comparable as if they came from one scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import WideAtlas, WidePart
from sat2cap.errors import PromptError, RegionError
from sat2cap.geo import GridArray, UtmZone, region_in_zone
from sat2cap.model import Encoding, QueryModel
from sat2cap.query.engine.cosine import dynamic_offset_at
from sat2cap.query.engine.scan import Scan
from sat2cap.query.examples import PLACE, Examples
from sat2cap.query.prompt_text import split_prompt
from sat2cap.query.scales import percentile
from sat2cap.query.scoring import ScoreOptions, compute_scores
from sat2cap.query.spread import (
    SpreadOver,
    check_spread_over,
    score_with_spread,
    standard_deviation,
    varied_options,
    with_spread,
)

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class WideScan:
    """A wide atlas opened for scoring: a scan of each part. Threads may share it."""

    atlas: WideAtlas
    scans: Mapping[UtmZone, Scan]

    @classmethod
    def open(cls, atlas: WideAtlas, encoding: Encoding) -> "WideScan":
        """Open the scan of every UTM zone; nothing is read yet but the plans.

        `encoding` is the metadata encoding of the model that made the atlas.
        """
        return cls(atlas, {part.zone: Scan(part.atlas, encoding) for part in atlas.parts})

    def expect_many(self) -> None:
        """Use compiled loops from now on; see `Scan.expect_many`."""
        for scan in self.scans.values():
            scan.expect_many()


def score_by_zone(
    scan: WideScan,
    checkpoint: QueryModel,
    prompts: Sequence[str],
    over: SpreadOver | None = None,
    **options: Unpack[ScoreOptions],
) -> dict[UtmZone, GridArray]:
    """Return the scores of each UTM zone that the atlas, or its `region`, reaches into.

    They are those of `compute_scores`, or with `over` of `score_with_spread`, whose options and errors these
    are. An example such as ``place:LON,LAT`` may lie in any zone. A percentile is the rank among the cells of
    all zones.
    """
    is_ranked = options.get("scale") == "percentile"
    if is_ranked and over is not None and over != "photos":  # photos have chances alone, as is said below
        return _rank_with_spread(scan, checkpoint, prompts, over, options)
    options["vectors"] = {
        **_embed_places(scan.atlas, checkpoint, prompts, options),
        **options.get("vectors", {}),
    }
    if is_ranked and over is None:
        options["scale"] = "cosine"
    region, scores = options.get("region"), {}
    for zone, part_scan in scan.scans.items():
        options["region"] = None if region is None else region_in_zone(region, zone)
        if region is not None and options["region"] is None:
            continue
        try:
            if over is None:
                scores[zone] = compute_scores(part_scan, checkpoint, prompts, **options)
            else:
                scores[zone] = score_with_spread(part_scan, checkpoint, prompts, over, **options)
        except RegionError:  # the region has none of the atlas's cells in this zone
            continue
    if not scores:
        assert region is not None
        raise RegionError(f"region {region.label!r} covers no cell of atlas {scan.atlas.name!r}")
    attrs = {"identity": scan.atlas.identity} | ({"scale": "percentile"} if is_ranked else {})
    scores = {zone: score.assign_attrs(attrs) for zone, score in scores.items()}
    return _rank_together(scores) if is_ranked else scores


def _rank_with_spread(
    scan: WideScan, checkpoint: QueryModel, prompts: Sequence[str], over: SpreadOver, options: ScoreOptions
) -> dict[UtmZone, GridArray]:
    """Return percentiles among the cells of all zones, and after them their spreads over several queries."""
    check_spread_over(over)
    queries = varied_options(checkpoint, over, options)
    base = score_by_zone(scan, checkpoint, prompts, **options.copy())
    sizes = [score.values[0].size for score in base.values()]

    def rank(varied: ScoreOptions) -> Floats:
        ranks = score_by_zone(scan, checkpoint, prompts, **varied.copy())
        return np.concatenate([score.values.reshape(len(prompts), -1) for score in ranks.values()], axis=1)

    spreads = np.split(standard_deviation(map(rank, queries)), np.cumsum(sizes)[:-1], axis=1)
    return {
        zone: with_spread(score, spread.reshape(score.values.shape), prompts, over)
        for (zone, score), spread in zip(base.items(), spreads, strict=True)
    }


def _rank_together(scores: Mapping[UtmZone, GridArray]) -> dict[UtmZone, GridArray]:
    """Return cosines as percentiles among the cells of all zones, layer by layer."""
    count = next(iter(scores.values())).values.shape[0]
    flat = [
        np.concatenate([score.values[layer].ravel() for score in scores.values()]) for layer in range(count)
    ]
    ranks = np.stack([percentile(values) for values in flat])
    ends = np.cumsum([score.values[0].size for score in scores.values()])[:-1]
    by_zone = np.split(ranks, ends, axis=1)
    return {
        zone: replace(score, values=values.reshape(score.values.shape))
        for (zone, score), values in zip(scores.items(), by_zone, strict=True)
    }


def _embed_places(
    atlas: WideAtlas, checkpoint: QueryModel, prompts: Sequence[str], options: ScoreOptions
) -> dict[str, Floats]:
    """Return the unit vectors of the places among all parts of prompts and negatives, by their text."""
    when = options.get("when")
    offset = None if when is None else dynamic_offset_at(checkpoint, when)
    example_vectors = options.get("vectors", {})
    texts = [text for text in (*prompts, *options.get("negatives", ())) if text not in example_vectors]
    pieces = {piece for text in texts for piece in split_prompt(text) if piece.startswith(PLACE)}
    vectors = {}
    for piece in sorted(pieces):
        vector = Examples(_part_of(atlas, piece).atlas, checkpoint, offset)(piece)
        assert vector is not None
        vectors[piece] = vector
    return vectors


def _part_of(atlas: WideAtlas, piece: str) -> WidePart:
    """Return the part of a wide atlas that an example lies in. Raises `PromptError` if none."""
    from sat2cap.geo import parse_place

    try:
        part = atlas.part_at(*parse_place(piece.removeprefix(PLACE)))
    except RegionError:
        raise PromptError(f"example {piece!r} is no place; write place:LON,LAT in degrees") from None
    if part is None:
        raise PromptError(f"example {piece!r} lies outside the atlas; take a place of {atlas.name}")
    return part
