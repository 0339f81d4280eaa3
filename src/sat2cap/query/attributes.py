"""Where scores come from, as the attributes that every file made of them carries."""

from collections.abc import Sequence
from typing import Any

from sat2cap.atlas import Atlas
from sat2cap.geo import When
from sat2cap.maps import CONDITIONING_KEY, TRAINING_YEARS_KEY, Conditioning
from sat2cap.model import QueryModel

CALIBRATED = "{:,} photos held out of training"
"""Text of the attribute `calibration`, which scores of the scale `contrast` have if they are chances."""


def score_attributes(
    atlas: Atlas,
    checkpoint: QueryModel,
    prompts: Sequence[str],
    negatives: Sequence[str],
    scale: str,
    when: When | None,
) -> dict[str, Any]:
    """Return the provenance of scores as attributes, which every file that is made of them carries.

    Prompts, negatives, scale, date and conditioning; model, atlas, imagery and licence. The values are text,
    numbers and lists of these, so that any file format can hold them.
    """
    conditioning, imagery = _conditioning(checkpoint, when), atlas.imagery
    is_ignored = conditioning is Conditioning.NO_DYNAMIC_ENCODER
    attrs: dict[str, Any] = {
        "prompt": prompts[0] if len(prompts) == 1 else list(prompts),
        "scale": scale,
        "when": when.isoformat() if when and not is_ignored else "",
        CONDITIONING_KEY: conditioning.value,
        "model": str(atlas.model.get("card", {}).get("name", "unknown")),
        "identity": atlas.identity,
        "imagery": str(imagery.get("uri", "")),
        "attribution": str(imagery.get("attribution", "")),
        "licence": str(imagery.get("licence", "unknown")),
    }
    if conditioning is Conditioning.YEAR_OUT_OF_RANGE:
        attrs[TRAINING_YEARS_KEY] = list(training_years(checkpoint) or ())
    if negatives:
        attrs["negatives"] = list(negatives)
    if scale == "contrast" and checkpoint.calibration is not None:
        attrs["calibration"] = CALIBRATED.format(len(checkpoint.calibration.ground))
    return attrs


def training_years(checkpoint: QueryModel) -> tuple[int, int] | None:
    """Return the first and last year of a model's training photos; None if its card does not say.

    A date outside of them is answered, but the score says that the model has not seen such a year.
    """
    years = checkpoint.card.get("training", {}).get("years")
    return None if years is None else (int(years[0]), int(years[1]))


def _conditioning(checkpoint: QueryModel, when: When | None) -> Conditioning:
    """Return how a date enters the scores of a model."""
    if when is None:
        return Conditioning.STATIC
    if checkpoint.dynamic_weights is None:
        return Conditioning.NO_DYNAMIC_ENCODER
    years = training_years(checkpoint)
    if years is not None and not years[0] <= when.year <= years[1]:
        return Conditioning.YEAR_OUT_OF_RANGE
    return Conditioning.CONDITIONED
