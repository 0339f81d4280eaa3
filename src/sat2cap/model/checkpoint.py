"""A checkpoint in memory: every network of the method with its preprocessing, encoding and provenance."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sat2cap.errors import ModelError
from sat2cap.files import canonical_json, digest
from sat2cap.model.calibration import Calibration
from sat2cap.model.compute import Precision, convert_tower, embed_pixels
from sat2cap.model.networks import towers
from sat2cap.model.networks.dynamic_encoder import DynamicEncoder
from sat2cap.model.networks.metadata import Encoding, encode_metadata
from sat2cap.model.networks.towers import TextTower
from sat2cap.model.preprocess import AnyImage, Preprocess

BATCH = 64
"""Images or texts a tower sees at once: what bounds memory, whatever a caller gives."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained (or initial) model, ready to embed images, texts, places and times in one space."""

    overhead: Any
    """`CLIPVisionModelWithProjection`: g of the paper."""
    ground: Any | None
    """`CLIPVisionModelWithProjection`, frozen: f of the paper; may be the same object as `overhead`."""
    text: TextTower | None
    dynamic: DynamicEncoder | None
    """h of the paper; None in plain CLIP and in a model trained without metadata."""
    logit_scale: float
    """What cosines are multiplied with in the loss (1 / temperature)."""
    encoding: Encoding
    """Of place and time, for the Dynamic Encoder."""
    overhead_preprocess: Preprocess
    ground_preprocess: Preprocess
    card: dict[str, Any] = field(default_factory=dict)
    """name, source, licence, training run, metrics: plain JSON values, no part of the identity."""
    calibration: Calibration | None = None
    """Held-out photos that say what a score is worth; None if there were none."""

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        return int(self.overhead.config.projection_dim)

    @property
    def patch_pixels(self) -> int:
        """Pixels a side of the overhead patch that the tower sees; reading imagery finer is waste."""
        return self.overhead_preprocess.size

    @property
    def text_scale(self) -> float:
        """What cosines of photos and texts are multiplied with: its CLIP's own scale, where that is known."""
        known = None if self.text is None else self.text.scale
        return self.logit_scale if known is None else known

    @cached_property
    def ground_identity(self) -> str:
        """Hash of the frozen ground tower and its preprocessing: what cached ground embeddings depend on."""
        ground = self._need_ground()
        return digest(
            towers.digest_weights(ground.state_dict()), canonical_json(self.ground_preprocess.as_dict())
        )

    @cached_property
    def place_identity(self) -> str:
        """Hash of what scores places: overhead tower, its preprocessing, Dynamic Encoder; not the text tower.

        An atlas is bound to it, so that one made with an overhead tower alone serves whoever adds the texts.
        """
        return digest(
            towers.digest_weights(self.overhead.state_dict()),
            canonical_json(self.overhead_preprocess.as_dict()),
            "" if self.dynamic is None else towers.digest_weights(self.dynamic.state_dict()),
            self.encoding,
        )

    @cached_property
    def text_identity(self) -> str | None:
        """Hash of the text tower and its vocabulary: the space that embeddings lie in; None without one."""
        if self.text is None:
            return None
        vocabulary = canonical_json(self.text.tokenizer.get_vocab())
        return digest(towers.digest_weights(self.text.model.state_dict()), digest(vocabulary))

    @cached_property
    def identity(self) -> str:
        """Hash of all that decides its embeddings and scores, but the card; 64 hex digits."""
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
            parts["text"] = [
                towers.digest_weights(self.text.model.state_dict()),
                digest(vocabulary),
                self.text.scale,
            ]
        if self.calibration is not None:
            parts["calibration"] = towers.digest_weights(self.calibration.as_tensors())
        return digest(canonical_json(parts))

    def embed_overhead(self, rgb: NDArray[np.uint8], *, precision: Precision = "float32") -> Floats:
        """Overhead patches uint8 `[B, H, W, 3]` to float32 `[B, D]`, **not** normalised.

        Quickest when H = W = `patch_pixels`, and in the precision of `sat2cap.model.compute.choose_compute`.
        Raises `ModelError` if this model loses too much in another precision than float32.
        """
        return self._embed_images(self.overhead, self.overhead_preprocess, rgb, precision)

    def embed_ground(
        self, images: Sequence[AnyImage], *, precision: Precision = "float32", unit: bool = True
    ) -> Floats:
        """Ground photos to float32 `[B, D]`, of length 1 unless `unit` is false."""
        rows = self._embed_images(self._need_ground(), self.ground_preprocess, images, precision)
        return _unit(rows) if unit else rows

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Texts to float32 `[B, D]` of length 1; ModelError when there is no text tower."""
        if self.text is None:
            name = self.card.get("name", "this model")
            raise ModelError(
                f"{name} has no text tower: join it with the CLIP model whose text tower it was trained with"
            )
        device = next(self.text.model.parameters()).device
        rows = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(texts), BATCH):
            ids, mask = self.text.tokens(texts[start : start + BATCH])
            with torch.inference_mode():
                out = self.text.model(input_ids=ids.to(device), attention_mask=mask.to(device))
            rows.append(out.text_embeds.float().cpu().numpy())
        return _unit(np.concatenate(rows))

    def dynamic_offset(
        self,
        lat: ArrayLike,
        lon: ArrayLike,
        year: ArrayLike,
        month: ArrayLike,
        day: ArrayLike,
        hour: ArrayLike,
    ) -> Floats:
        """What is added to unnormalised overhead embeddings at N places and local times, float32 `[N, D]`.

        Arguments broadcast, see `model.networks.metadata.encode_metadata`.

        Raises `ModelError` without Dynamic Encoder.
        """
        return self.dynamic_from_features(encode_metadata(lat, lon, year, month, day, hour, self.encoding))

    def dynamic_from_features(self, features: Floats) -> Floats:
        """`dynamic_offset` of numbers `[N, 12]` that are encoded already."""
        if self.dynamic is None:
            name = self.card.get("name", "this model")
            raise ModelError(
                f"{name} has no Dynamic Encoder: leave the date out, or use a model trained with metadata"
            )
        device = self.dynamic.fc1.weight.device
        with torch.inference_mode():
            offset: Floats = self.dynamic(torch.from_numpy(features).to(device)).cpu().numpy()
        return offset

    def to(self, device: str | torch.device) -> "Checkpoint":
        """This checkpoint with its networks moved to a device."""
        text = None if self.text is None else self.text.model
        self._converted.clear()
        for network in (self.overhead, self.ground, text, self.dynamic):
            if network is not None:
                network.to(device)
        return self

    def with_text_of(self, other: "Checkpoint") -> "Checkpoint":
        """This checkpoint with another's text tower, for folders that hold an overhead tower alone."""
        if other.text is None or other.dim != self.dim:
            raise ModelError(
                f"{other.card.get('name', 'the other model')} has "
                + (
                    "no text tower"
                    if other.text is None
                    else f"{other.dim} numbers an embedding, not {self.dim}"
                )
                + ": give the CLIP model that the overhead tower began as"
            )
        return replace(self, text=other.text, card={**self.card, "text": other.named()})

    def named(self) -> str:
        """Where it comes from, with its revision if that is known."""
        source, revision = (
            self.card.get("source", self.card.get("name", "unnamed")),
            self.card.get("revision"),
        )
        return f"{source}@{revision}" if revision and "@" not in str(source) else str(source)

    def _need_ground(self) -> Any:
        if self.ground is None:
            name = self.card.get("name", "this model")
            raise ModelError(
                f"{name} has no tower for ground photos: use a whole CLIP model or a sat2cap checkpoint"
            )
        return self.ground

    def _embed_images(
        self,
        tower: Any,
        preprocess: Preprocess,
        images: Sequence[AnyImage] | NDArray[np.uint8],
        precision: Precision,
    ) -> Floats:
        """Projection output, float32 `[B, D]`."""
        device = next(tower.parameters()).device
        rows = [np.zeros((0, self.dim), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(images), BATCH):
                batch = images[start : start + BATCH]
                network = self._quicker(tower, preprocess, batch, precision)
                pixels = preprocess.images(batch, next(network.parameters()).dtype).to(device)
                rows.append(embed_pixels(network, pixels).cpu().numpy())
        return np.concatenate(rows)

    def _quicker(
        self,
        tower: Any,
        preprocess: Preprocess,
        batch: Sequence[AnyImage] | NDArray[np.uint8],
        precision: Precision,
    ) -> Any:
        """The tower in another precision, converted when first asked for and tried on `batch`."""
        if precision == "float32":
            return tower
        device = next(tower.parameters()).device
        key = (id(tower), precision, device)
        if key not in self._converted:
            self._converted[key] = convert_tower(tower, precision, preprocess.images(batch).to(device))
        return self._converted[key]

    @cached_property
    def _converted(self) -> dict[tuple[int, str, torch.device], Any]:
        """Copies of the towers in other precisions."""
        return {}


def _unit(rows: Floats) -> Floats:
    """Rows of length 1."""
    scaled: Floats = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return scaled
