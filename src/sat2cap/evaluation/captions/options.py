"""Settings of the evaluation of captions."""

from dataclasses import dataclass
from pathlib import Path

from sat2cap.errors import InputError

BUILT_IN_MEASURES = ("rouge_l", "cider", "clip_text", "bert_score")
"""Names of measures that no sentence encoder may have."""


@dataclass(frozen=True)
class CaptionOptions:
    """Settings that decide the metrics beside the models, as plain values."""

    split: str = "test"
    gallery: int = 500
    seed: int = 0
    beams: int = 1
    """1 is greedy, as in table 2."""
    encoders: tuple[str, ...] = ()
    """Sentence encoders, by name or folder."""
    bert: str | None = None
    """BERTScore's model, by name or folder."""
    bert_layer: int | None = None
    block_km: float = 10.0
    draws: int = 1000

    def __post_init__(self) -> None:
        """Raise `InputError` for encoders whose figures would have one name, and a layer of nothing."""
        if self.bert is None and self.bert_layer is not None:
            raise InputError(f"--bert-layer {self.bert_layer} is of a model that --bert names; give both")
        names = [*BUILT_IN_MEASURES, *self.encoder_names]
        twice = [name for name in self.encoder_names if names.count(name) > 1]
        if twice:
            raise InputError(f"figures of sentence encoder {twice[0]!r} would have two meanings; rename it")

    @property
    def encoder_names(self) -> list[str]:
        """Names of the metrics of sentence encoders."""
        return [Path(encoder).name for encoder in self.encoders]
