"""Maps of every land-cover class, by the model in question and by the baselines beside it."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas
from sat2cap.evaluation.maps.classes import Classes, LandClass
from sat2cap.evaluation.maps.location_baseline import location_cosines
from sat2cap.evaluation.maps.region_cells import RegionCells
from sat2cap.evaluation.rows import AERIAL_TEMPLATE, CLIP, CLIP_AERIAL, LOCATION, LOOKUP, OURS
from sat2cap.geo import When
from sat2cap.model import Checkpoint
from sat2cap.query import PART_SEPARATOR, embed_prompts

Float32 = NDArray[np.float32]
EmbeddedAtlas = tuple[Atlas, Checkpoint]
"""An atlas and the model that embedded it."""


def score_layers(
    cells: RegionCells,
    checkpoint: Checkpoint,
    land_classes: Classes,
    truth: Float32,
    baselines: Mapping[str, EmbeddedAtlas],
) -> Iterator[tuple[str, Float32]]:
    """Yield every kind of map by its row's name, float32 `[classes, N]` of the N cells.

    Ours comes first, then each of the `baselines`, by its name; CLIP is also asked for aerial views. Then
    place and time without imagery, for a model that knows them, and the look-up in the reference, whose
    shares of the classes are `truth`. Raises `InputError` for a baseline on another grid.
    """
    yield OURS, _map_classes(cells, checkpoint, land_classes)
    for name, (other_atlas, model) in baselines.items():
        other = cells.in_atlas(other_atlas)
        yield name, _map_classes(other, model, land_classes)
        if name == CLIP:
            yield CLIP_AERIAL, _map_classes(other, model, land_classes, AERIAL_TEMPLATE)
    if checkpoint.dynamic is not None:

        def score_locations(texts: Sequence[str], when: When | None) -> Float32:
            return location_cosines(*cells.lonlat, checkpoint, texts, when)

        yield LOCATION, _by_moment(land_classes, score_locations)
    covering = [i for i, kind in enumerate(land_classes.classes) if kind.values]
    if covering:
        class_embeddings = embed_prompts(checkpoint, [_joined_prompt(kind) for kind in land_classes.classes])
        name_embeddings = embed_prompts(checkpoint, [land_classes.classes[i].name for i in covering])
        similarity = class_embeddings @ name_embeddings.T
        yield LOOKUP, np.einsum("ck,kn->cn", similarity, truth[covering]).astype(np.float32)


def _map_classes(
    cells: RegionCells, model: Checkpoint, land_classes: Classes, template: str = "{}"
) -> Float32:
    """Return the map of each class's prompts, at its date if the model knows dates: `[classes, N]`."""

    def score_texts(texts: Sequence[str], when: When | None) -> Float32:
        moment = None if model.dynamic is None else when
        return cells.scores(model, texts, when=moment, templates=(template,))

    return _by_moment(land_classes, score_texts)


def _joined_prompt(kind: LandClass) -> str:
    """Return all prompts of a class as one prompt of several parts."""
    return PART_SEPARATOR.join(kind.prompts)


def _by_moment(
    land_classes: Classes, score_texts: Callable[[Sequence[str], When | None], Float32]
) -> Float32:
    """Return one layer for each class, scoring the prompts of one moment together."""
    layer_of: dict[int, Float32] = {}
    for when in dict.fromkeys(kind.when for kind in land_classes.classes):
        members = [i for i, kind in enumerate(land_classes.classes) if kind.when == when]
        layer_of |= zip(
            members,
            score_texts([_joined_prompt(land_classes.classes[i]) for i in members], when),
            strict=True,
        )
    return np.stack([layer_of[i] for i in range(len(land_classes.classes))])
