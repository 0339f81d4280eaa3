"""What a model is, in one record: towers, sizes, preprocessing, encoding, licence, source, revision, hash."""

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
    """All that can be said of a model without running it."""

    name: str
    kind: str
    """The form it was read from: a class of transformers, open_clip, Lightning, or sat2cap."""
    source: str
    """A name on the hub, or a path."""
    revision: str | None
    """The hub's commit; None for what is not from there."""
    licence: str
    overhead: str
    """The overhead tower's architecture."""
    ground: str | None
    """The ground tower's, if there is one."""
    text: str | None
    """The text tower's, and where it came from if that is elsewhere."""
    dynamic: str | None
    """Layers of the Dynamic Encoder."""
    calibration: str | None
    """What its `contrast` is calibrated with."""
    dim: int
    """Numbers in an embedding."""
    overhead_preprocess: Preprocess
    ground_preprocess: Preprocess
    encoding: Encoding
    """Of place and time, for the Dynamic Encoder."""
    logit_scale: float
    weights: str
    """SHA-256 of every network's weights."""
    identity: str
    """SHA-256 of all that decides its embeddings."""

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        seen = {name: getattr(self, name).as_dict() for name in ("overhead_preprocess", "ground_preprocess")}
        return {**asdict(self), **seen}


def describe_model(model: Checkpoint) -> ModelRecord:
    """The record of a loaded model; hashing takes about a second for each gigabyte of weights."""
    card = model.card
    same = model.ground is model.overhead
    return ModelRecord(
        name=str(card.get("name", "unnamed")),
        kind=str(card.get("kind", "sat2cap")),
        source=str(card.get("source", "unknown")),
        revision=card.get("revision"),
        licence=str(card.get("licence", "unknown")),
        overhead=_image_tower(model.overhead),
        ground=None if model.ground is None else "the overhead tower" if same else _image_tower(model.ground),
        text=None if model.text is None else _text_tower(model.text.model, card.get("text")),
        dynamic=None if model.dynamic is None else _layers(model.dynamic),
        calibration=None
        if model.calibration is None
        else f"{len(model.calibration.ground):,} photos held out",
        dim=model.dim,
        overhead_preprocess=model.overhead_preprocess,
        ground_preprocess=model.ground_preprocess,
        encoding=model.encoding,
        logit_scale=model.logit_scale,
        weights=_digest(model),
        identity=model.identity,
    )


def _image_tower(tower: Any) -> str:
    config = tower.config
    layers = f"{config.num_hidden_layers} layers of {config.hidden_size}"
    return f"{layers}, {config.image_size} px in patches of {config.patch_size}"


def _text_tower(tower: Any, source: str | None) -> str:
    config = tower.config
    layers = f"{config.num_hidden_layers} layers of {config.hidden_size}"
    return f"{layers}, {config.max_position_embeddings} tokens" + (f", of {source}" if source else "")


def _layers(dynamic: DynamicEncoder) -> str:
    return f"{dynamic.fc1.in_features}, {dynamic.fc1.out_features}, {dynamic.fc2.out_features}"


def _digest(model: Checkpoint) -> str:
    """Each network once, in order; what is absent counts too."""
    text = None if model.text is None else model.text.model
    ground = None if model.ground is model.overhead else model.ground
    networks = (model.overhead, ground, text, model.dynamic)
    return digest(*("" if n is None else towers.digest_weights(n.state_dict()) for n in networks))
