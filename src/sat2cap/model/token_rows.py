"""Rows of token numbers as a text tower takes them: cut, filled up, and what of a text is cut off."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import ModelError


def pad_rows(
    rows: Sequence[Sequence[int]],
    limit: int,
    width: int | None,
    *,
    vocabulary: int,
    end: int,
    pad: int,
    left: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return B rows of tokens and their attention mask, int64 `[B, T]` both.

    A row longer than `limit` is cut, and its last token replaced by `end`. T is `width`, or the length of the
    longest row if that is None. Raises `ModelError` for a token beyond the first `vocabulary` ones.
    """
    beyond = max((max(row, default=0) for row in rows), default=0)
    if beyond >= vocabulary:
        raise ModelError(
            f"the tokenizer gives token {beyond}, and the text tower has {vocabulary} only: "
            "put back the tokenizer that it was saved with"
        )
    cut = [list(row) if len(row) <= limit else [*row[: limit - 1], end] for row in rows]
    width = max(map(len, cut)) if width is None else width
    ids, mask = np.full((len(cut), width), pad, np.int64), np.zeros((len(cut), width), np.int64)
    for number, row in enumerate(cut):
        start = width - len(row) if left else 0
        ids[number, start : start + len(row)] = row
        mask[number, start : start + len(row)] = 1
    return ids, mask


def find_cut_off_text(text: str, starts: Sequence[int], limit: int) -> str:
    """Return the end of a text that a tower of `limit` tokens does not read, in whole words.

    `starts` `[T]` says where each of the text's T > `limit` tokens begins. A word that is cut in the middle
    counts as cut off, since the tower reads only a part of it.
    """
    cut = starts[limit - 1]
    head, tail = text[:cut], text[cut:]
    cuts_a_word = head and not head[-1].isspace() and not tail[:1].isspace()
    word_start = head.split()[-1] if cuts_a_word else ""
    return f"{word_start}{tail}".strip()
