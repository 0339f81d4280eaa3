"""A captioner in memory: network, tokenizer and provenance, ready to write captions of embeddings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sat2cap.errors import ModelError
from sat2cap.files import canonical_json, digest
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.networks.captioner import CaptionNetwork
from sat2cap.model.networks.towers import digest_weights
from sat2cap.progress import Progress, silent

BATCH = 64
"""Number of embeddings that are captioned at once."""
MAX_CAPTION_TOKENS = 67
"""Largest number of tokens in a caption, as in CLIPCap."""


@dataclass(frozen=True, eq=False)
class Captioner:
    """A captioner for embeddings of the CLIP model that it was trained with, from any of its towers."""

    network: CaptionNetwork
    tokenizer: Any
    """GPT-2's tokenizer, of transformers."""
    unit: bool
    """Whether embeddings are scaled to unit length first. CLIPCap's own weights take them as CLIP returns
    them, and table 2 of the paper was made that way."""
    stop: str = ""
    """Text of a token that ends a caption, besides the tokenizer's own end mark; empty for none."""
    space: str | None = None
    """`Checkpoint.text_identity` of the CLIP that it was trained for; None if it was not recorded."""
    card: dict[str, Any] = field(default_factory=dict)
    """name, source, licence, training: plain JSON values, not part of the identity."""

    @property
    def dim(self) -> int:
        """Length of the embeddings that it reads."""
        return self.network.dim

    @cached_property
    def identity(self) -> str:
        """Hash of the weights, the vocabulary and the fields `unit` and `stop`; 64 hex digits."""
        vocabulary = canonical_json(self.tokenizer.get_vocab())
        return digest(digest_weights(self.network.state_dict()), vocabulary, str(self.unit), self.stop)

    def check_model(self, checkpoint: Checkpoint) -> None:
        """Raise `ModelError` if the captioner cannot read the embeddings of a model.

        Their length must be the same, and the model must share the CLIP space that the captioner was trained
        in.
        """
        name = self.card.get("name", "this captioner")
        model_name = checkpoint.card.get("name", "this model")
        if checkpoint.dim != self.dim:
            raise ModelError(
                f"captioner {name} is for embeddings of {self.dim} numbers, and those of {model_name} have "
                f"{checkpoint.dim}: give a captioner that was trained for the CLIP of {model_name}"
            )
        if self.space is not None and checkpoint.text_identity not in (None, self.space):
            raise ModelError(
                f"captioner {name} was trained for another CLIP than that of {model_name}, so its words "
                'would mean nothing: give one that was trained for it (sat2cap train, method = "captioner")'
            )

    def captions(
        self,
        embeddings: NDArray[np.float32],
        beams: int = 1,
        max_tokens: int = MAX_CAPTION_TOKENS,
        progress: Progress = silent,
    ) -> list[str]:
        """Return one caption for each of N embeddings, float32 `[N, D]`, **not** normalised.

        Decoding is greedy with `beams=1`, otherwise a beam search. For Sat2Cap the embedding is the sum of
        the overhead embedding and the Dynamic Encoder's offset, for a place and a time. Raises `ModelError`
        if the embeddings have another length or a value that is not finite.

            captioner.captions(model.embed_overhead(patches))    # ["a busy street with shops", ...]
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dim:
            shape = list(embeddings.shape)
            raise ModelError(f"embeddings {shape} are not [N, {self.dim}]: use the CLIP of this captioner")
        if not np.isfinite(embeddings).all():
            raise ModelError(
                "some embeddings hold values that are not finite: leave out places without imagery"
            )
        captions: list[str] = []
        for start in range(0, len(embeddings), BATCH):
            batch = torch.tensor(np.asarray(embeddings[start : start + BATCH], np.float32))
            captions += self._generate(self.scale_embeddings(batch), beams, max_tokens)
            progress("captioning", len(captions), len(embeddings))
        return captions

    def scale_embeddings(self, embeddings: Tensor) -> Tensor:
        """Return embeddings `[N, D]` as the mapping network reads them.

        Of unit length if `unit` is true, else unchanged.
        """
        return F.normalize(embeddings, dim=-1) if self.unit else embeddings

    def _generate(self, embeddings: Tensor, beams: int, max_tokens: int) -> list[str]:
        """Return captions of one batch of embeddings, which are scaled already."""
        gpt, tokenizer = self.network.gpt, self.tokenizer
        end_tokens = {tokenizer.eos_token_id, *tokenizer.encode(self.stop, add_special_tokens=False)[:1]}
        with torch.inference_mode():
            prefix = self.network.prefix(embeddings.to(next(gpt.parameters()).device))
            tokens = gpt.generate(
                inputs_embeds=prefix,
                attention_mask=torch.ones(prefix.shape[:2], dtype=torch.long, device=prefix.device),
                max_new_tokens=min(max_tokens, gpt.config.n_positions - self.network.prefix_length),
                num_beams=beams,
                do_sample=False,
                early_stopping=beams > 1,
                eos_token_id=sorted(end_tokens),
                pad_token_id=tokenizer.eos_token_id,
            )
        texts = (tokenizer.decode(row, skip_special_tokens=True) for row in tokens.tolist())
        return [" ".join(text.split()).removesuffix(self.stop).strip() for text in texts]


def captions_from_json(entry: Mapping[str, Any]) -> list[str]:
    """Return the captions of one JSON object: ``"caption": TEXT`` or ``"captions": [TEXT, …]``.

    Raises `KeyError` if it has neither key, `ValueError` if the values are not texts.
    """
    captions = entry["captions"] if "captions" in entry else [entry["caption"]]
    if not isinstance(captions, list) or not captions or not all(isinstance(text, str) for text in captions):
        raise ValueError(f"captions {captions!r} are no texts")
    return captions
