"""A model opened for asking: its text tower, Dynamic Encoder and calibration, in numpy.

Asking needs the text tower alone. The image towers are not read, except that their hash is told once, to know
that the model is the one that embedded an atlas. So a prompt costs neither torch nor transformers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.errors import ModelError
from sat2cap.files import canonical_json, digest
from sat2cap.model.calibration import Calibration
from sat2cap.model.damage import damage_in_one_line
from sat2cap.model.networks.architectures import CLIP_TEXT
from sat2cap.model.networks.dynamic_numpy import DynamicWeights
from sat2cap.model.networks.metadata import Encoding, encode_metadata
from sat2cap.model.networks.text_numpy import NumpyTextTower
from sat2cap.model.preprocess import AnyImage, Preprocess
from sat2cap.model.token_rows import find_cut_off_text, pad_rows
from sat2cap.model.tokenization import (
    SpecialTokens,
    Tokenizer,
    check_special_tokens,
)

if TYPE_CHECKING:
    from sat2cap.model.checkpoint import Checkpoint

Floats = NDArray[np.float32]

_BATCH = 64
"""Number of texts that a tower sees at once, which bounds memory."""


@dataclass(frozen=True, eq=False)
class StoredText:
    """A text tower on disk, with its tokenizer; both are read when they are first used."""

    open_tower: Callable[[], NumpyTextTower]
    open_tokenizer: Callable[[], Tokenizer]
    scale: float | None
    """Logit scale of its CLIP; None if not known."""
    where: str
    """File or folder, for messages."""
    digest_weights: Callable[[], str]
    """Returns the hash of the tower's weights in float32."""

    @cached_property
    def tower(self) -> NumpyTextTower:
        """The network. Raises `ModelError` if its files are damaged."""
        with damage_in_one_line(self.where):
            return self.open_tower()

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that it was trained with. Raises `ModelError` if it cannot be read, or is another."""
        with damage_in_one_line(self.where):
            tokenizer = self.open_tokenizer()
            tokens = SpecialTokens(tokenizer.end, tokenizer.start, tokenizer.pad)
            check_special_tokens(self.tower.config, tokens, self.where)
        return tokenizer

    @cached_property
    def identity(self) -> str | None:
        """Hash of weights and vocabulary; None if the tokenizer does not tell its vocabulary.

        Raises `ModelError` if its files are damaged.
        """
        read_vocabulary = self.tokenizer.read_vocabulary
        if read_vocabulary is None:
            return None
        with damage_in_one_line(self.where):
            return digest(self.digest_weights(), digest(canonical_json(dict(read_vocabulary()))))

    @property
    def limit(self) -> int:
        """Largest number of tokens that the tower reads."""
        return int(self.tower.config["max_position_embeddings"])

    def embed(self, texts: Sequence[str]) -> Floats:
        """Return the embeddings of B texts, `[B, D]`, not normalised.

        CLIP's texts of equal length are computed together, without padding; SigLIP's are all padded.
        """
        is_clip = self.tower.config["model_type"] == CLIP_TEXT
        tokens = self.tokenizer
        rows = []
        for text in texts:
            ids = self.tokenizer.encode(text).ids
            width = None if is_clip else self.limit
            padded, _ = pad_rows(
                [ids],
                self.limit,
                width,
                vocabulary=int(self.tower.config["vocab_size"]),
                end=tokens.end,
                pad=tokens.pad,
                left=tokens.pads_left,
            )
            rows.append(padded[0])
        made: list[Floats | None] = [None] * len(rows)
        for length in dict.fromkeys(map(len, rows)):
            equal = [number for number, row in enumerate(rows) if len(row) == length]
            for start in range(0, len(equal), _BATCH):
                batch = equal[start : start + _BATCH]
                vectors = self.tower(np.stack([rows[number] for number in batch]))
                for number, vector in zip(batch, vectors, strict=True):
                    made[number] = vector
        return np.stack([vector for vector in made if vector is not None])

    def find_cut_off_text(self, text: str) -> str:
        """Return the end of a text that `embed` cuts off, in whole words; empty if all of it fits."""
        encoded = self.tokenizer.encode(text)
        if len(encoded.ids) <= self.limit:
            return ""
        if encoded.starts is None:
            return self.tokenizer.decode(encoded.ids[self.limit - 1 :]).strip()
        return find_cut_off_text(text, encoded.starts, self.limit)


@dataclass(frozen=True, eq=False)
class StoredModel:
    """A model on disk, opened for asking: texts are embedded in numpy; for photos all of it is loaded.

    model = open_query_model("miniclip")
    model.embed_text(["a busy street"])    # float32 [1, D]
    """

    dim: int
    """Length of an embedding."""
    text: StoredText | None
    """Text tower of the CLIP that the ground tower belongs to; None if the model has none."""
    dynamic_weights: DynamicWeights | None
    """The Dynamic Encoder; None for a model without one."""
    logit_scale: float
    """Factor by which the loss multiplies cosines (1 / temperature)."""
    encoding: Encoding
    """Encoding of place and time as features of the Dynamic Encoder."""
    overhead_preprocess: Preprocess
    digest_overhead: Callable[[], str]
    """Returns the hash of the overhead tower's weights."""
    load: Callable[[], "Checkpoint"]
    """Reads the whole model, with torch."""
    has_ground_tower: bool
    """Whether it can embed ground photos, once it is loaded whole."""
    card: dict[str, Any] = field(default_factory=dict)
    """name, source, licence, training run, metrics: plain JSON values, not part of the identity."""
    calibration: Calibration | None = None
    """Held-out photos that calibrate scores; None if there were none."""

    @property
    def text_scale(self) -> float:
        """Logit scale for photos and texts: that of the text tower's CLIP if known, else `logit_scale`."""
        clip_scale = None if self.text is None else self.text.scale
        return self.logit_scale if clip_scale is None else clip_scale

    @property
    def text_identity(self) -> str | None:
        """Hash of text tower and vocabulary, as `Checkpoint.text_identity`; None where it is not known."""
        return None if self.text is None else self.text.identity

    @cached_property
    def place_identity(self) -> str:
        """Hash of all that embeds places: that of the model loaded whole, `Checkpoint.place_identity`."""
        return digest(
            self.digest_overhead(),
            canonical_json(self.overhead_preprocess.as_dict()),
            "" if self.dynamic_weights is None else self.dynamic_weights.digest(),
            self.encoding,
        )

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Return embeddings of B texts, float32 `[B, D]`, of unit length.

        Raises `ModelError` if there is no text tower.
        """
        if self.text is None:
            raise ModelError(no_text_tower(self.card))
        if not len(texts):
            return np.zeros((0, self.dim), np.float32)
        return normalise_rows(require_numbers(self.text.embed(texts), self.card))

    def expect_many(self) -> None:
        """Prepare for many prompts, as suits a process that stays; see `NumpyTextTower.expect_many`."""
        if self.text is not None:
            self.text.tower.expect_many()

    def find_cut_off_text(self, text: str) -> str:
        """Return the end of a text that the text tower does not read; empty if it reads all."""
        return "" if self.text is None else self.text.find_cut_off_text(text)

    def embed_ground(self, images: Sequence[AnyImage]) -> Floats:
        """Return embeddings of B ground photos, float32 `[B, D]`, of unit length; needs torch.

        Raises `ModelError` without a ground tower.
        """
        return self._whole.embed_ground(images)

    @cached_property
    def _whole(self) -> "Checkpoint":
        return self.load()

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

        As `Checkpoint.dynamic_offset`. Raises `ModelError` without Dynamic Encoder.
        """
        return self.dynamic_from_features(encode_metadata(lat, lon, year, month, day, hour, self.encoding))

    def dynamic_from_features(self, features: Floats) -> Floats:
        """Return `dynamic_offset` for places and times that are encoded already, as features `[N, F]`.

        Raises `ModelError` without Dynamic Encoder.
        """
        if self.dynamic_weights is None:
            raise ModelError(no_dynamic_encoder(self.card))
        return self.dynamic_weights.offsets(features)

    def with_text_of(self, other: "StoredModel") -> "StoredModel":
        """Return a copy with the text tower of another model, for models that lack one.

        Raises `ModelError` if `other` has no text tower or embeddings of another length.
        """
        check_text_donor(other.card, other.text is not None, other.dim, self.dim)

        def load() -> "Checkpoint":
            return self.load().with_text_of(other.load())

        card = {**self.card, "text": source_with_revision(other.card)}
        return replace(self, text=other.text, card=card, load=load)


def require_numbers(rows: Floats, card: Mapping[str, Any]) -> Floats:
    """Return embeddings by the model of a card as they are. Raises `ModelError` if one is not finite."""
    if not np.isfinite(rows).all():
        name = card.get("name", "this model")
        raise ModelError(
            f"{name} gives embeddings that are no numbers: its weights are damaged; save it again"
        )
    return rows


def normalise_rows(rows: Floats) -> Floats:
    """Return rows ``(…, D)`` scaled to unit length, float32; rows of zeros stay zeros."""
    normalised: Floats = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return normalised


def source_with_revision(card: Mapping[str, Any]) -> str:
    """Return a model's source, as ``source@revision`` if the revision is known."""
    source, revision = card.get("source", card.get("name", "unnamed")), card.get("revision")
    return f"{source}@{revision}" if revision and "@" not in str(source) else str(source)


def check_text_donor(card: Mapping[str, Any], has_text: bool, donor_dim: int, dim: int) -> None:
    """Raise `ModelError` unless a model can give its text tower to one with embeddings of `dim` numbers."""
    if has_text and donor_dim == dim:
        return
    reason = f"{donor_dim} numbers an embedding, not {dim}" if has_text else "no text tower"
    raise ModelError(
        f"{card.get('name', 'the other model')} has {reason}: give the CLIP model that the overhead tower "
        "began as"
    )


def no_text_tower(card: Mapping[str, Any]) -> str:
    """Return the message for a model that cannot read texts."""
    name = card.get("name", "this model")
    return f"{name} has no text tower: join it with the CLIP model whose text tower it was trained with"


def no_dynamic_encoder(card: Mapping[str, Any]) -> str:
    """Return the message for a model that does not know time."""
    name = card.get("name", "this model")
    return f"{name} has no Dynamic Encoder: leave the date out, or use a model trained with metadata"
