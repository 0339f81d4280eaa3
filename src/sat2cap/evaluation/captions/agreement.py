"""How well captions agree with other captions (table 2 of the paper), by words and by meaning.

Each measure gives one number a caption; a caption with several references is set against all of them.
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
"""Of each caption, at least one."""
Measure = Callable[[Sequence[str], References], Floats]
"""One number a caption, set against its references."""
Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to vectors of length 1, `[N, D]`."""

_ADVICE = "run: pip install 'sat2cap[captions]'"


def normalise_words(text: str) -> str:
    """Lower case, without punctuation, one space between words: what words are compared as."""
    return " ".join(re.findall(r"\w+", text.lower()))


def check_installed() -> None:
    """Raise `InputError` if what BLEU, ROUGE-L and CIDEr are computed with is not installed."""
    _import_scorer("bleu.bleu", "Bleu")


def bleu(captions: Sequence[str], references: References) -> tuple[float, float, float, float]:
    """BLEU-1 to BLEU-4 of all captions together (Papineni et al. 2002), by pycocoevalcap."""
    scorer = _import_scorer("bleu.bleu", "Bleu")(4)
    one, two, three, four = scorer.compute_score(*_scorer_inputs(captions, references), verbose=0)[0]
    return float(one), float(two), float(three), float(four)


def rouge_l(captions: Sequence[str], references: References) -> Floats:
    """ROUGE-L of each caption (Lin 2004), 0 to 1, by pycocoevalcap."""
    scorer = _import_scorer("rouge.rouge", "Rouge")()
    return np.asarray(scorer.compute_score(*_scorer_inputs(captions, references))[1])


def cider(captions: Sequence[str], references: References) -> Floats:
    """CIDEr of each caption (Vedantam et al. 2015), 0 to 10, by pycocoevalcap.

    Words count by how rare they are in the references given, so figures of different sets do not compare.
    """
    if not any(normalise_words(text) for some in references for text in some):
        return np.zeros(len(captions))  # which the library cannot weigh
    scorer = _import_scorer("cider.cider", "Cider")()
    return np.asarray(scorer.compute_score(*_scorer_inputs(captions, references))[1])


def nearest_cosine(captions: Sequence[str], references: References, embed: Embed) -> Floats:
    """Cosine of each caption and the nearest of its references, by a CLIP's texts or a `sentence_encoder`."""
    counts = [len(some) for some in references]
    texts = list(chain.from_iterable(references))
    cosines = np.einsum("nd,nd->n", np.repeat(embed(captions), counts, axis=0), embed(texts))
    starts = np.cumsum([0, *counts[:-1]])
    return np.maximum.reduceat(cosines, starts).astype(np.float64)


def sentence_encoder(model: str) -> Embed:
    """A sentence encoder by folder or name, such as ``all-mpnet-base-v2`` or ``intfloat/e5-small``.

    By sentence-transformers; texts are given as they are. Raises `InputError`.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise InputError(f"sentence encoders need sentence-transformers; {_ADVICE}") from error
    try:
        encoder = SentenceTransformer(model)
    except Exception as error:  # the hub's libraries raise whatever theirs raise
        raise InputError(_open_error("sentence encoder", model, error)) from error

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = encoder.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)

    return embed


def cache_embeddings(embed: Embed) -> Embed:
    """The same, but each distinct text is embedded once, however often it is asked for."""
    vector_by_text: dict[str, NDArray[np.float32]] = {}

    def look_up(texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in vector_by_text]
        vector_by_text.update(zip(new, embed(new) if new else (), strict=True))
        return np.stack([vector_by_text[text] for text in texts])

    return look_up


def bert_scorer(model: str, layer: int | None = None) -> Measure:
    """BERTScore's F1 of each caption and the best of its references (Zhang et al. 2020), by bert-score.

    `model` is a name that bert-score knows, such as ``roberta-large``, or a folder, whose `layer` must be
    said. No rescaling, no weights for rare words. Raises `InputError`.
    """
    try:
        from bert_score import BERTScorer
        from bert_score.utils import model2layers
    except ImportError as error:
        raise InputError(f"BERTScore needs bert-score; {_ADVICE}") from error
    if layer is None and model not in model2layers:
        raise InputError(f"which layer of BERTScore model {model!r} to read is not known: give --bert-layer")
    try:
        scorer: Any = BERTScorer(model_type=model, num_layers=layer)
    except Exception as error:  # the hub's libraries raise whatever theirs raise
        raise InputError(_open_error("BERTScore model", model, error)) from error
    # a tokenizer that knows no limit says 1e30, which its own library then cannot read
    limit = int(getattr(scorer._model.config, "max_position_embeddings", 512)) - 2
    scorer._tokenizer.model_max_length = min(scorer._tokenizer.model_max_length, limit)

    def measure(captions: Sequence[str], references: References) -> Floats:
        _, _, f1 = scorer.score(list(captions), [list(some) for some in references])
        return np.asarray(f1.numpy(), np.float64)

    return measure


def _scorer_inputs(
    captions: Sequence[str], references: References
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """References and captions as pycocoevalcap takes them."""
    return (
        {number: [normalise_words(text) for text in some] for number, some in enumerate(references)},
        {number: [normalise_words(text)] for number, text in enumerate(captions)},
    )


def _import_scorer(module: str, name: str) -> Any:
    from importlib import import_module

    try:
        return getattr(import_module(f"pycocoevalcap.{module}"), name)
    except ImportError as error:
        raise InputError(f"BLEU, ROUGE and CIDEr need pycocoevalcap; {_ADVICE}") from error


def _open_error(what: str, model: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:160]
    return f"{what} {model!r} cannot be opened ({reason}): download it and give its folder"
