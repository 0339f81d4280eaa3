"""A checkpoint in memory: every network of the method, with preprocessing, encoding and provenance."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sat2cap.display import facts_html, training_years_text
from sat2cap.errors import ModelError
from sat2cap.files import canonical_json, digest
from sat2cap.model.calibration import Calibration
from sat2cap.model.compute import Precision, choose_compute
from sat2cap.model.image_embedder import BATCH, ImageEmbedder
from sat2cap.model.networks import towers
from sat2cap.model.networks.dynamic_encoder import DynamicEncoder
from sat2cap.model.networks.dynamic_numpy import DynamicWeights, read_dynamic_weights
from sat2cap.model.networks.metadata import Encoding, encode_metadata
from sat2cap.model.networks.towers import TextTower
from sat2cap.model.preprocess import AnyImage, Preprocess
from sat2cap.model.stored_model import (
    check_text_donor,
    no_dynamic_encoder,
    no_text_tower,
    normalise_rows,
    require_numbers,
    source_with_revision,
)

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class Checkpoint:
    """A trained or initial model that embeds images, texts, places and times in one space.

    model = load_model("miniclip")
    model.embed_text(["a busy street"]) @ model.embed_ground(photos).T    # cosines [1, B]
    """

    overhead: Any
    """Image tower for overhead patches, a `CLIPVisionModelWithProjection`: g of the paper."""
    ground: Any | None
    """Frozen image tower for ground photos: f of the paper; may be the same object as `overhead`."""
    text: TextTower | None
    """Text tower of the CLIP that the ground tower belongs to; None if the model has none."""
    dynamic: DynamicEncoder | None
    """h of the paper; None in plain CLIP and in a model trained without metadata."""
    logit_scale: float
    """Factor by which the loss multiplies cosines (1 / temperature)."""
    encoding: Encoding
    """Encoding of place and time as features of the Dynamic Encoder."""
    overhead_preprocess: Preprocess
    ground_preprocess: Preprocess
    card: dict[str, Any] = field(default_factory=dict)
    """name, source, licence, training run, metrics: plain JSON values, not part of the identity."""
    calibration: Calibration | None = None
    """Held-out photos that calibrate scores; None if there were none."""

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return int(self.overhead.config.projection_dim)

    @property
    def has_ground_tower(self) -> bool:
        """Whether it can embed ground photos."""
        return self.ground is not None

    def __repr__(self) -> str:
        facts = self._facts()
        return f"<sat2cap model {facts['name']!r}: {facts['embeddings']}, {facts['towers']}>"

    def _repr_html_(self) -> str:
        """Return a table of facts, for notebooks."""
        return facts_html(f"model {self.card.get('name', 'unnamed')}", self._facts())

    def _facts(self) -> dict[str, str]:
        """Return what people want to know of the model, by name, for its `repr` and notebooks."""
        towers_there = {"overhead": self.overhead, "ground": self.ground, "text": self.text}
        present = [name for name, tower in towers_there.items() if tower is not None]
        return {
            "name": str(self.card.get("name", "unnamed")),
            "embeddings": f"{self.dim} numbers",
            "towers": ", ".join(present),
            "patches": f"{self.patch_pixels} px",
            "place and time": "none" if self.dynamic is None else f"Dynamic Encoder, {self.encoding}",
            "training photos of": training_years_text(self.card),
            "calibration": "none" if self.calibration is None else "held-out photos",
            "source": str(self.card.get("source", "")),
            "licence": str(self.card.get("licence", "unknown")),
        }

    @property
    def patch_pixels(self) -> int:
        """Width and height in pixels of the patches that the tower sees; finer imagery is of no use."""
        return self.overhead_preprocess.size

    @property
    def fast_precision(self) -> Precision:
        """Precision that the device of the networks is fastest in: float32 or bfloat16."""
        return choose_compute(device=next(self.overhead.parameters()).device.type).precision

    @property
    def text_scale(self) -> float:
        """Logit scale for photos and texts: that of the text tower's CLIP if known, else `logit_scale`."""
        clip_scale = None if self.text is None else self.text.scale
        return self.logit_scale if clip_scale is None else clip_scale

    @cached_property
    def ground_identity(self) -> str:
        """Hash of the ground tower and its preprocessing, on which cached ground embeddings depend."""
        ground = self._require_ground_tower()
        return digest(
            towers.digest_weights(ground.state_dict()), canonical_json(self.ground_preprocess.as_dict())
        )

    @cached_property
    def place_identity(self) -> str:
        """Hash of all that embeds places: overhead tower and its preprocessing, Dynamic Encoder, encoding.

        An atlas is bound to it and not to `identity`, so that a text tower may be added to the model later.
        """
        return digest(
            towers.digest_weights(self.overhead.state_dict()),
            canonical_json(self.overhead_preprocess.as_dict()),
            "" if self.dynamic is None else towers.digest_weights(self.dynamic.state_dict()),
            self.encoding,
        )

    @cached_property
    def text_identity(self) -> str | None:
        """Hash of text tower and vocabulary, which identifies the embedding space; None without a tower."""
        if self.text is None:
            return None
        vocabulary = canonical_json(self.text.tokenizer.get_vocab())
        return digest(towers.digest_weights(self.text.model.state_dict()), digest(vocabulary))

    @cached_property
    def identity(self) -> str:
        """Hash of all that decides embeddings and scores, that is, all but the card; 64 hex digits."""
        parts: dict[str, Any] = {
            "overhead": towers.digest_weights(self.overhead.state_dict()),
            "overhead_preprocess": self.overhead_preprocess.as_dict(),
            "ground": None if self.ground is None else self.ground_identity,
            "encoding": self.encoding,
            "logit_scale": self.logit_scale,
            "dynamic": None if self.dynamic is None else towers.digest_weights(self.dynamic.state_dict()),
        }
        if self.text is not None:
            vocabulary = canonical_json(self.text.tokenizer.get_vocab())
            weights = towers.digest_weights(self.text.model.state_dict())
            parts["text"] = [weights, digest(vocabulary), self.text.scale]
        if self.calibration is not None:
            parts["calibration"] = self.calibration.identity
        return digest(canonical_json(parts))

    def embed_overhead(
        self,
        rgb: NDArray[np.uint8],
        *,
        precision: Precision | Literal["auto"] = "float32",
        prepared: bool = False,
        compiled: bool = True,
    ) -> Floats:
        """Return embeddings, float32 `[B, D]`, **not** normalised, of overhead patches, uint8 `[B, H, W, 3]`.

        This is fastest with H = W = `patch_pixels`, and with `precision` ``auto``, which is `fast_precision`.
        `prepared` patches were cropped and resized by `overhead_preprocess` before. On a GPU the tower is
        `compiled` first, which takes a minute, once for each checkpoint, and pays for tens of thousands of
        patches. Raises `ModelError` if embeddings of this model are too inaccurate in `precision`.
        """
        chosen = self.fast_precision if precision == "auto" else precision
        return self._image_embedder.embed(
            self.overhead, self.overhead_preprocess, rgb, chosen, prepared=prepared, compiled=compiled
        )

    def embed_ground(
        self,
        images: Sequence[AnyImage] | NDArray[np.uint8],
        *,
        precision: Precision | Literal["auto"] = "float32",
        unit: bool = True,
        prepared: bool = False,
        compiled: bool = True,
    ) -> Floats:
        """Return embeddings of B ground photos, float32 `[B, D]`, of unit length unless `unit` is false.

        `prepared` photos, uint8 `[B, S, S, 3]`, were cropped and resized by `ground_preprocess` before;
        `compiled` is as in `embed_overhead`. Raises `ModelError` without a ground tower, or if embeddings are
        too inaccurate in `precision`.
        """
        tower = self._require_ground_tower()
        chosen = self.fast_precision if precision == "auto" else precision
        rows = self._image_embedder.embed(
            tower, self.ground_preprocess, images, chosen, prepared=prepared, compiled=compiled
        )
        require_numbers(rows, self.card)
        return normalise_rows(rows) if unit else rows

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return embeddings of B texts, float32 `[B, D]`, of unit length.

        Raises `ModelError` if there is no text tower.
        """
        if self.text is None:
            raise ModelError(no_text_tower(self.card))
        device = next(self.text.model.parameters()).device
        rows = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(texts), BATCH):
            ids, mask = self.text.tokenize(texts[start : start + BATCH])
            with torch.inference_mode():
                out = self.text.model(input_ids=ids.to(device), attention_mask=mask.to(device))
            rows.append(out.text_embeds.float().cpu().numpy())
        return normalise_rows(require_numbers(np.concatenate(rows), self.card))

    def expect_many(self) -> None:
        """Do nothing: torch is as fast at the first prompt as at the hundredth."""

    def find_cut_off_text(self, text: str) -> str:
        """Return the end of a text that the text tower does not read; empty if it reads all."""
        return "" if self.text is None else self.text.find_cut_off_text(text)

    def dynamic_offset(
        self,
        lat: ArrayLike,
        lon: ArrayLike,
        year: ArrayLike,
        month: ArrayLike,
        day: ArrayLike,
        hour: ArrayLike,
    ) -> Floats:
        """Return the offsets of unnormalised overhead embeddings at N places and times, float32 `[N, D]`.

        The conditioned embedding is `overhead + offset`, normalised afterwards (paper eq. 5). Arguments
        broadcast; `encode_metadata` has their units. Raises `ModelError` without Dynamic Encoder.
        """
        return self.dynamic_from_features(encode_metadata(lat, lon, year, month, day, hour, self.encoding))

    def dynamic_from_features(self, features: Floats) -> Floats:
        """Return the offsets `dynamic_offset` of places and times that are encoded already, float32 `[N, D]`.

        `features`, float32 `[N, F]`, are what `encode_metadata` gives. Raises `ModelError` without a Dynamic
        Encoder.
        """
        if self.dynamic is None:
            raise ModelError(no_dynamic_encoder(self.card))
        device = self.dynamic.fc1.weight.device
        with torch.inference_mode():
            offset: Floats = self.dynamic(torch.tensor(features, device=device)).cpu().numpy()
        return offset

    @property
    def dynamic_weights(self) -> DynamicWeights | None:
        """Weights of the Dynamic Encoder as arrays; None for a model without one."""
        if self.dynamic is None:
            return None
        state = {n: t.detach().float().cpu().numpy() for n, t in self.dynamic.state_dict().items()}
        return read_dynamic_weights(state, "the Dynamic Encoder")

    def to(self, device: str | torch.device) -> "Checkpoint":
        """Move the networks to a device such as ``"cuda"``, in place, and return this checkpoint.

        Copies in other precisions are made anew on the new device when they are next needed.
        """
        text = None if self.text is None else self.text.model
        networks = (self.overhead, self.ground, text, self.dynamic)
        present = [network for network in networks if network is not None]
        before = [next(network.parameters()).device for network in present]
        for network in present:
            network.to(device)
        if before != [next(network.parameters()).device for network in present]:
            self._image_embedder.forget_copies()
        return self

    def with_text_of(self, other: "Checkpoint") -> "Checkpoint":
        """Return a copy with the text tower of another model, for models that lack one.

        Raises `ModelError` if `other` has no text tower or embeddings of another length.
        """
        check_text_donor(other.card, other.text is not None, other.dim, self.dim)
        return replace(self, text=other.text, card={**self.card, "text": other.source_with_revision()})

    def source_with_revision(self) -> str:
        """Return the model's source, as ``source@revision`` if the revision is known."""
        return source_with_revision(self.card)

    def _require_ground_tower(self) -> Any:
        """Return the ground tower. Raises `ModelError` if there is none."""
        if self.ground is None:
            name, fix = self.card.get("name", "this model"), "use a whole CLIP model or a sat2cap checkpoint"
            raise ModelError(f"{name} has no tower for ground photos: {fix}")
        return self.ground

    @cached_property
    def _image_embedder(self) -> ImageEmbedder:
        return ImageEmbedder(self.dim)
