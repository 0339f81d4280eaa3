"""Agreement of captions with reference captions (table 2 of the paper), by words and by meaning.

Each measure gives one number for a caption, which is compared with all of its references.
"""

import re
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import InputError

Floats = NDArray[np.float64]
References = Sequence[Sequence[str]]
"""The reference captions of each caption; at least one each."""
Measure = Callable[[Sequence[str], References], Floats]
"""A function from N captions and their references to N numbers, greater for better agreement."""
Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""A function from N texts to embeddings, float32 `[N, D]`, unit length."""

_INSTALL_HINT = "run: pip install 'sat2cap[captions]'"


def normalise_words(text: str) -> str:
    """Return text in lower case, without punctuation, its words one space apart."""
    return " ".join(re.findall(r"\w+", text.lower()))


def check_installed() -> None:
    """Raise `InputError` if what BLEU, ROUGE-L and CIDEr are computed with is not installed."""
    _import_scorer("bleu.bleu", "Bleu")


def bleu(captions: Sequence[str], references: References) -> tuple[float, float, float, float]:
    """Return BLEU-1 to BLEU-4, 0 to 1, of all captions together (Papineni et al. 2002), by pycocoevalcap.

    Raises `InputError` if pycocoevalcap is not installed.
    """
    scorer = _import_scorer("bleu.bleu", "Bleu")(4)
    one, two, three, four = scorer.compute_score(*_scorer_inputs(captions, references), verbose=0)[0]
    return float(one), float(two), float(three), float(four)


def rouge_l(captions: Sequence[str], references: References) -> Floats:
    """Return ROUGE-L of each caption (Lin 2004), float64 `[N]`, 0 to 1, by pycocoevalcap.

    Raises `InputError` if it is not installed.
    """
    scorer = _import_scorer("rouge.rouge", "Rouge")()
    return np.asarray(scorer.compute_score(*_scorer_inputs(captions, references))[1])


def cider(captions: Sequence[str], references: References) -> Floats:
    """Return CIDEr of each caption (Vedantam et al. 2015), float64 `[N]`, 0 to 10, by pycocoevalcap.

    Words weigh more the rarer they are in `references`, so values of different sets cannot be compared.
    All zeros if no reference has a word. Raises `InputError` if pycocoevalcap is not installed.
    """
    if not any(normalise_words(text) for texts in references for text in texts):
        return np.zeros(len(captions))  # the library would divide by zero
    scorer = _import_scorer("cider.cider", "Cider")()
    return np.asarray(scorer.compute_score(*_scorer_inputs(captions, references))[1])


def nearest_cosine(captions: Sequence[str], references: References, embed: Embed) -> Floats:
    """Return the cosine of each caption with the nearest of its references: float64 `[N]`, -1 to 1.

    `embed` is the text tower of a CLIP, or a `sentence_encoder`.
    """
    counts = [len(texts) for texts in references]
    all_references = list(chain.from_iterable(references))
    cosines = np.einsum("nd,nd->n", np.repeat(embed(captions), counts, axis=0), embed(all_references))
    starts = np.cumsum([0, *counts[:-1]])
    return np.maximum.reduceat(cosines, starts).astype(np.float64)


def sentence_encoder(model: str) -> Embed:
    """Load a sentence encoder by folder or name, such as ``all-mpnet-base-v2`` or ``intfloat/e5-small``.

    By sentence-transformers; texts are embedded as they are, without a prefix such as E5's ``query:``. Raises
    `InputError` if the library is not installed or the encoder cannot be opened.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise InputError(f"sentence encoders need sentence-transformers; {_INSTALL_HINT}") from error
    try:
        encoder = SentenceTransformer(model)
    except Exception as error:  # the hub's libraries raise whatever theirs raise
        raise InputError(_open_error("sentence encoder", model, error)) from error

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = encoder.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)

    return embed


def cache_embeddings(embed: Embed) -> Embed:
    """Return a function like `embed` that embeds each distinct text once and remembers it."""
    vector_by_text: dict[str, NDArray[np.float32]] = {}

    def look_up(texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in vector_by_text]
        vector_by_text.update(zip(new, embed(new) if new else (), strict=True))
        return np.stack([vector_by_text[text] for text in texts])

    return look_up


def bert_scorer(model: str, layer: int | None = None) -> Measure:
    """Return the measure BERTScore (Zhang et al. 2020): the F1 of a caption and the best of its references.

    `model` is a name that bert-score lists, such as ``roberta-large``, or a folder; for a folder `layer`, the
    number of the layer whose output is compared, is required. No rescaling, no weights for rare words. Raises
    `InputError` if bert-score is not installed, the model cannot be opened, or `layer` is missing.
    """
    try:
        from bert_score import BERTScorer
        from bert_score.utils import model2layers
    except ImportError as error:
        raise InputError(f"BERTScore needs bert-score; {_INSTALL_HINT}") from error
    if layer is None and model not in model2layers:
        raise InputError(
            f"bert-score does not list the model {model!r}, so its layer must be named; give --bert-layer"
        )
    try:
        scorer: Any = BERTScorer(model_type=model, num_layers=layer)
    except Exception as error:  # the hub's libraries raise whatever theirs raise
        raise InputError(_open_error("BERTScore model", model, error)) from error
    # a tokenizer without a limit reports 1e30, which its own library then cannot read
    limit = int(getattr(scorer._model.config, "max_position_embeddings", 512)) - 2
    scorer._tokenizer.model_max_length = min(scorer._tokenizer.model_max_length, limit)

    def measure(captions: Sequence[str], references: References) -> Floats:
        _, _, f1 = scorer.score(list(captions), [list(texts) for texts in references])
        return np.asarray(f1.numpy(), np.float64)

    return measure


def _scorer_inputs(
    captions: Sequence[str], references: References
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """Return references and captions as pycocoevalcap takes them: lists of normalised texts by number."""
    return (
        {number: [normalise_words(text) for text in texts] for number, texts in enumerate(references)},
        {number: [normalise_words(text)] for number, text in enumerate(captions)},
    )


def _import_scorer(module: str, name: str) -> Any:
    """Return a scorer's class from pycocoevalcap. Raises `InputError` if that is not installed."""
    from importlib import import_module

    try:
        return getattr(import_module(f"pycocoevalcap.{module}"), name)
    except ImportError as error:
        raise InputError(f"BLEU, ROUGE and CIDEr need pycocoevalcap; {_INSTALL_HINT}") from error


def _open_error(kind: str, model: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:160]
    return f"{kind} {model!r} cannot be opened ({reason}); download it and give its folder"
