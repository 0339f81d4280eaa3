"""Words to token numbers with the `tokenizers` library, as transformers' own tokenizers make them.

The files of a tokenizer are read as transformers would read them, without importing it: ``tokenizer.json``,
CLIP's ``vocab.json`` and ``merges.txt``, or SigLIP's ``spiece.model`` (by the library `sentencepiece`).
"""

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sat2cap.errors import ModelError
from sat2cap.files import parse_json
from sat2cap.model.json_files import read_json
from sat2cap.model.networks.architectures import GREATEST_TOKEN, SIGLIP_TEXT

TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "spiece.model")
"""Files of which at least one is in every folder with a tokenizer."""

_CLIP_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""What CLIP takes as one word: a run of letters, a digit, a run of signs, an English ending."""
_CLIP_START, _CLIP_END = "<|startoftext|>", "<|endoftext|>"
_SIGLIP_END, _SIGLIP_UNKNOWN, _SIGLIP_SPACE = "</s>", "<unk>", "▁"

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_LEFT_PADDED = ("Siglip2Tokenizer", "GemmaTokenizer", "GemmaTokenizerFast")
_START_TOKENS = {"Gemma": "<bos>", "Siglip2": "<bos>", "CLIP": _CLIP_START}
_END_TOKENS = {"Gemma": "<eos>", "Siglip2": "<eos>", "Siglip": _SIGLIP_END, "CLIP": _CLIP_END}
_PAD_TOKENS = {"Gemma": "<pad>", "Siglip2": "<pad>", "Siglip": _SIGLIP_END, "CLIP": _CLIP_END}
"""Special tokens by how the name of a tokenizer's class begins, where its settings do not say."""


@dataclass(frozen=True)
class Encoded:
    """The tokens of one text, special ones included."""

    ids: list[int]
    starts: list[int] | None
    """Where each token begins in the text; None if the tokenizer does not know."""


@dataclass(frozen=True)
class SpecialTokens:
    """Numbers of a tokenizer's special tokens; None for one that it does not have."""

    end: int | None
    start: int | None
    pad: int | None


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer read from a folder."""

    encode: Callable[[str], Encoded]
    """Returns the tokens of one text."""
    decode: Callable[[Sequence[int]], str]
    """Returns the text of tokens, without special ones."""
    end: int
    """Number of the end-of-text token."""
    start: int | None
    """Number of the start-of-text token; None without one."""
    pad: int
    """Number of the token that fills a text up."""
    pads_left: bool
    """Whether a text is filled up before its first token."""
    read_vocabulary: Callable[[], Mapping[str, int]] | None = None
    """Returns the number of every token; None if the tokenizer does not tell them as transformers does."""


def check_special_tokens(config: Mapping[str, Any], tokens: SpecialTokens, where: str) -> None:
    """Raise `ModelError` if a text tower looks for its end-of-text token under a number of another tokenizer.

    CLIP's embedding is read where the first end-of-text token stands. Where there is none it is read at the
    start of the text, which is the same for every prompt. The number 2 in a config, as in OpenAI's files, is
    a convention of transformers for the greatest number in the text.
    """
    size = int(config["vocab_size"])
    named = {"end-of-text": tokens.end, "start-of-text": tokens.start, "padding": tokens.pad}
    for name, number in named.items():
        if number is not None and number >= size:
            raise ModelError(
                f"{where}: its tokenizer has {name} token {number}, and its config only {size} tokens: "
                "put back the tokenizer that it was saved with"
            )
    if config["model_type"] == SIGLIP_TEXT:  # reads its embedding at the last place, whatever stands there
        return
    expected = config["eos_token_id"]
    if expected == GREATEST_TOKEN:
        is_right = tokens.end is not None and tokens.end == max(n for n in named.values() if n is not None)
    else:
        is_right = tokens.end == expected
    if not is_right:
        raise ModelError(
            f"{where}: its config has end-of-text token {expected} and its tokenizer {tokens.end}, so that "
            "every prompt would get one vector: put back the config.json that it was saved with"
        )


def has_tokenizer(folder: Path) -> bool:
    """Return whether a folder holds a tokenizer's files."""
    return any((folder / name).is_file() for name in TOKENIZER_FILES)


def check_tokenizer(folder: Path) -> None:
    """Raise `ModelError` if a folder has no tokenizer, or one whose library is not installed."""
    if not has_tokenizer(folder):
        raise ModelError(
            f"{folder} has no tokenizer ({' or '.join(TOKENIZER_FILES)}): save or download it again"
        )
    if needs_sentencepiece(folder) and not all(map(find_spec, ("sentencepiece", "google.protobuf"))):
        raise ModelError(
            f"{folder} has SigLIP's tokenizer: pip install 'sat2cap[siglip]' to read texts with it"
        )


def needs_sentencepiece(folder: Path) -> bool:
    """Return whether it is SigLIP's tokenizer, which transformers misreads silently without sentencepiece."""
    return _settings(folder).get("tokenizer_class") == "SiglipTokenizer"


def read_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer in a folder.

    Raises `ModelError` if there is none, it cannot be read, or a library that it needs is not installed.
    """
    check_tokenizer(folder)
    settings = _settings(folder)
    name = str(settings.get("tokenizer_class", ""))
    try:
        if needs_sentencepiece(folder) or not (folder / "tokenizer.json").is_file():
            if (folder / "spiece.model").is_file():
                return _read_sentencepiece(folder, settings)
            made = _build_clip_tokenizer(folder)
        else:
            made = _read_tokenizer_file(folder, name)
        end = made.token_to_id(_special(folder, settings, "eos_token", name, _END_TOKENS))
        start = made.token_to_id(_special(folder, settings, "bos_token", name, _START_TOKENS))
        pad = made.token_to_id(_special(folder, settings, "pad_token", name, _PAD_TOKENS))
    except Exception as error:  # the libraries raise whatever their parsers raise
        reason = " ".join(str(error).split())
        raise ModelError(
            f"tokenizer in {folder} cannot be read ({reason}): save or download it again"
        ) from error
    if end is None:
        raise ModelError(f"tokenizer in {folder} has no end mark: save or download it again")

    def encode(text: str) -> Encoded:
        encoding = made.encode(text)
        return Encoded(encoding.ids, [start for start, _ in encoding.offsets])

    left = settings.get("padding_side", "left" if name in _LEFT_PADDED else "right") == "left"
    pad = end if pad is None else pad
    return Tokenizer(
        encode, lambda ids: str(made.decode(list(ids))), end, start, pad, left, lambda: dict(made.get_vocab())
    )


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    return read_json(path) if path.is_file() else {}


def _special(
    folder: Path, settings: dict[str, Any], key: str, class_name: str, defaults: dict[str, str]
) -> str:
    """Return a special token as the settings name it, or as its class does."""
    path = folder / "special_tokens_map.json"
    value = settings.get(key) or (parse_json(path.read_text()).get(key) if path.is_file() else None)
    if value is None:
        return next((token for start, token in defaults.items() if class_name.startswith(start)), _CLIP_END)
    return str(value["content"] if isinstance(value, dict) else value)


def _read_tokenizer_file(folder: Path, class_name: str) -> Any:
    """Return what ``tokenizer.json`` describes; SigLIP 2's class also makes all letters small."""
    from tokenizers import Tokenizer as Library
    from tokenizers import normalizers

    made = Library.from_file(str(folder / "tokenizer.json"))
    made.no_padding()
    made.no_truncation()
    if class_name.startswith("CLIP"):
        _add_clip_ends(made)
    if class_name == "Siglip2Tokenizer" and made.normalizer is not None:
        made.normalizer = normalizers.Sequence([normalizers.Lowercase(), made.normalizer])
    return made


def _add_clip_ends(made: Any) -> None:
    """Let a tokenizer put CLIP's start and end mark around a text, as transformers' class does by itself."""
    from tokenizers import processors

    start, end = (made.token_to_id(token) for token in (_CLIP_START, _CLIP_END))
    if start is not None and end is not None and made.encode("").ids != [start, end]:
        made.post_processor = processors.RobertaProcessing(
            (_CLIP_END, end), (_CLIP_START, start), trim_offsets=False, add_prefix_space=False
        )


def _build_clip_tokenizer(folder: Path) -> Any:
    """Return CLIP's tokenizer from its vocabulary and merges."""
    from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers import Tokenizer as Library

    words = models.BPE.from_file(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        continuing_subword_prefix="",
        end_of_word_suffix="</w>",
        unk_token=_CLIP_END,
    )
    made = Library(words)
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([_CLIP_START, _CLIP_END])
    end, start = ((token, int(made.token_to_id(token) or 0)) for token in (_CLIP_END, _CLIP_START))
    made.post_processor = processors.RobertaProcessing(end, start, trim_offsets=False, add_prefix_space=False)
    return made


def _read_sentencepiece(folder: Path, settings: dict[str, Any]) -> Tokenizer:
    """Return SigLIP's tokenizer: small letters, no punctuation, single spaces, an end mark.

    SentencePiece drops a space at the beginning, so the text is encoded behind an unknown token, whose pieces
    are then left out.
    """
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    end = int(pieces.piece_to_id(_special(folder, settings, "eos_token", "Siglip", _END_TOKENS)))
    pad = int(pieces.piece_to_id(_special(folder, settings, "pad_token", "Siglip", _PAD_TOKENS)))
    lead = len(pieces.encode(_SIGLIP_UNKNOWN))
    lower = settings.get("do_lower_case", True)
    special = re.compile(f"\\s*({re.escape(_SIGLIP_END)}|{re.escape(_SIGLIP_UNKNOWN)})\\s*")

    def encode_words(words: str) -> list[int]:
        words = (words.lower() if lower else words).translate(_PUNCTUATION)
        words = re.sub(r"\s+", " ", words).strip()
        ids: list[int] = pieces.encode(_SIGLIP_UNKNOWN + words) if words else []
        return ids[lead:] if len(ids) >= lead else ids

    def encode(text: str) -> Encoded:
        parts = special.split(_SIGLIP_SPACE + text.replace(_SIGLIP_SPACE, " "))
        ids: list[int] = []
        for number, part in enumerate(parts):  # every second part is a special token, written out
            ids += [pieces.piece_to_id(part)] if number % 2 else encode_words(part)
        return Encoded(ids if ids and ids[-1] == end else [*ids, end], None)

    def decode(ids: Sequence[int]) -> str:
        special_ids = (end, pieces.piece_to_id(_SIGLIP_UNKNOWN))
        return str(pieces.decode([number for number in ids if number not in special_ids]))

    return Tokenizer(encode, decode, end, None, pad, settings.get("padding_side", "right") == "left")
