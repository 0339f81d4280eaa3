"""What asking needs of a model, whichever way it was opened."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.model.calibration import Calibration
from sat2cap.model.networks.dynamic_numpy import DynamicWeights
from sat2cap.model.networks.metadata import Encoding
from sat2cap.model.preprocess import AnyImage

Floats = NDArray[np.float32]


class QueryModel(Protocol):
    """What asking needs of a model: a `StoredModel`, or a whole `Checkpoint`."""

    @property
    def card(self) -> Mapping[str, Any]:
        """Name, source, licence, training run: plain JSON values."""
        ...

    @property
    def encoding(self) -> Encoding:
        """Encoding of place and time as features of the Dynamic Encoder."""
        ...

    @property
    def logit_scale(self) -> float:
        """Factor by which the loss multiplies cosines (1 / temperature)."""
        ...

    @property
    def text_scale(self) -> float:
        """Factor by which cosines of photos and texts are multiplied, as their CLIP was trained."""
        ...

    @property
    def calibration(self) -> Calibration | None:
        """Held-out photos that calibrate scores; None if there are none."""
        ...

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        ...

    @property
    def place_identity(self) -> str:
        """Hash of all that embeds places, to which an atlas is bound."""
        ...

    @property
    def text_identity(self) -> str | None:
        """Hash of text tower and vocabulary, which identifies the embedding space; None where not known."""
        ...

    @property
    def dynamic_weights(self) -> DynamicWeights | None:
        """Weights of the Dynamic Encoder; None for a model without one."""
        ...

    @property
    def has_ground_tower(self) -> bool:
        """Whether it can embed ground photos; that needs torch."""
        ...

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return embeddings of B texts, float32 `[B, D]`, of unit length."""
        ...

    def expect_many(self) -> None:
        """Prepare for many prompts, as suits a process that stays."""
        ...

    def find_cut_off_text(self, text: str) -> str:
        """Return the end of a text that the text tower does not read; empty if it reads all."""
        ...

    def embed_ground(self, images: Sequence[AnyImage]) -> Floats:
        """Return embeddings of B ground photos, float32 `[B, D]`, of unit length."""
        ...

    def dynamic_offset(
        self,
        lat: ArrayLike,
        lon: ArrayLike,
        year: ArrayLike,
        month: ArrayLike,
        day: ArrayLike,
        hour: ArrayLike,
    ) -> Floats:
        """Return the offsets of overhead embeddings at N places and times, float32 `[N, D]`."""
        ...

    def dynamic_from_features(self, features: Floats) -> Floats:
        """Return `dynamic_offset` for places and times that are encoded already, as features `[N, F]`."""
        ...
