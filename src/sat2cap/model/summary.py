"""Describing a model in one record: towers, sizes, preprocessing, encoding, licence, source and hashes."""

from dataclasses import asdict, dataclass
from typing import Any

from sat2cap.files import digest
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.networks import towers
from sat2cap.model.networks.dynamic_encoder import DynamicEncoder
from sat2cap.model.networks.metadata import Encoding
from sat2cap.model.preprocess import Preprocess


@dataclass(frozen=True)
class ModelRecord:
    """A description of a model for people, as `sat2cap models info` prints it."""

    name: str
    """Name from the model's card."""
    kind: str
    """Format that it was read from: a class of transformers, open_clip, Lightning, or sat2cap."""
    source: str
    """Name on the hub, or path."""
    revision: str | None
    """Commit on the hub; None for a model from elsewhere."""
    licence: str
    """Licence as the publisher states it, or ``unknown``."""
    overhead: str
    """Architecture of the overhead tower."""
    ground: str | None
    """Architecture of the ground tower; None without one."""
    text: str | None
    """Architecture of the text tower, and its source if it was added; None without one."""
    dynamic: str | None
    """Layer widths of the Dynamic Encoder; None without one."""
    calibration: str | None
    """Photos that calibrate `contrast`; None without a calibration."""
    dim: int
    """Length of an embedding."""
    overhead_preprocess: Preprocess
    ground_preprocess: Preprocess
    encoding: Encoding
    """Encoding of place and time for the Dynamic Encoder."""
    logit_scale: float
    """Factor by which the loss multiplies cosines."""
    weights: str
    """SHA-256 of every network's weights."""
    identity: str
    """SHA-256 of all that decides embeddings and scores: `Checkpoint.identity`."""

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON values: what ``sat2cap models info --json`` writes."""
        preprocesses = {
            name: getattr(self, name).as_dict() for name in ("overhead_preprocess", "ground_preprocess")
        }
        return {**asdict(self), **preprocesses}


def describe_model(model: Checkpoint) -> ModelRecord:
    """Return the record of a loaded model: what it consists of, what it expects, and where it comes from.

    Its identity is a hash of the weights, which takes about a second per gigabyte.
    """
    card = model.card
    shared = model.ground is model.overhead
    return ModelRecord(
        name=str(card.get("name", "unnamed")),
        kind=str(card.get("kind", "sat2cap")),
        source=str(card.get("source", "unknown")),
        revision=card.get("revision"),
        licence=str(card.get("licence", "unknown")),
        overhead=_describe_image_tower(model.overhead),
        ground=None
        if model.ground is None
        else "the overhead tower"
        if shared
        else _describe_image_tower(model.ground),
        text=None if model.text is None else _describe_text_tower(model.text.model, card.get("text")),
        dynamic=None if model.dynamic is None else _format_layers(model.dynamic),
        calibration=None
        if model.calibration is None
        else f"{len(model.calibration.ground):,} photos held out",
        dim=model.dim,
        overhead_preprocess=model.overhead_preprocess,
        ground_preprocess=model.ground_preprocess,
        encoding=model.encoding,
        logit_scale=model.logit_scale,
        weights=_digest_networks(model),
        identity=model.identity,
    )


def _describe_image_tower(tower: Any) -> str:
    """Return an image tower's layers and input size in words."""
    config = tower.config
    layers = f"{config.num_hidden_layers} layers of {config.hidden_size}"
    return f"{layers}, {config.image_size} px in patches of {config.patch_size}"


def _describe_text_tower(tower: Any, source: str | None) -> str:
    """Return a text tower's layers, length and source in words."""
    config = tower.config
    layers = f"{config.num_hidden_layers} layers of {config.hidden_size}"
    return f"{layers}, {config.max_position_embeddings} tokens" + (f", of {source}" if source else "")


def _format_layers(dynamic: DynamicEncoder) -> str:
    """Return the widths of the Dynamic Encoder's layers, e.g. "12, 64, 512"."""
    return f"{dynamic.fc1.in_features}, {dynamic.fc1.out_features}, {dynamic.fc2.out_features}"


def _digest_networks(model: Checkpoint) -> str:
    """Return the hash of all networks, each counted once, in order; an absent one counts as empty."""
    text = None if model.text is None else model.text.model
    ground = None if model.ground is model.overhead else model.ground
    networks = (model.overhead, ground, text, model.dynamic)
    return digest(*("" if n is None else towers.digest_weights(n.state_dict()) for n in networks))
