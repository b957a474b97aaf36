"""Texts as a network takes them: all their tokens first, cut and padded when they meet it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tokens:
    """How texts become rows of token ids."""

    encode: Callable[[str], Sequence[int]]  # all ids of a text; can be pickled
    limit: int  # tokens that the network takes
    closing: int  # tokens at the end that stay when a text is cut
    pad: int  # id that fills a row
    fill: bool  # rows are filled up to the limit; otherwise up to the longest
    left: bool = False  # the filling stands before the text

    def prepare(self, text: str) -> np.ndarray:
        """Return all ids of a text, shape (length,)."""
        if not isinstance(text, str):
            raise ValueError(f"a text must be a str, got {type(text).__name__}")
        return np.asarray(self.encode(text), dtype=np.int32)

    def is_truncated(self, ids: np.ndarray) -> bool:
        """Return whether a text is longer than the network takes."""
        return len(ids) > self.limit

    def rows(self, texts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and mask, int64 of shape (n, length), of texts that are cut to the limit."""
        cut = [self._cut(ids) for ids in texts]
        length = self.limit if self.fill else max(len(ids) for ids in cut)
        rows = np.full((len(cut), length), self.pad, dtype=np.int64)
        mask = np.zeros_like(rows)
        for row, ids in enumerate(cut):
            place = slice(length - len(ids), None) if self.left else slice(len(ids))
            rows[row, place], mask[row, place] = ids, 1
        return rows, mask

    def _cut(self, ids: np.ndarray) -> np.ndarray:
        if not self.is_truncated(ids):
            return ids
        return np.concatenate([ids[: self.limit - self.closing], ids[len(ids) - self.closing :]])


def from_tokenizer(tokenizer: Any, limit: int, *, fill: bool = False, lowercase: bool = False) -> Tokens:
    """Return the tokens of a tokenizer of transformers, for a network that takes `limit` of them."""
    return Tokens(
        encode=partial(_encode, tokenizer, lowercase),
        limit=min(limit, tokenizer.model_max_length),
        closing=closing_tokens(tokenizer),
        pad=tokenizer.pad_token_id,
        fill=fill,
        left=tokenizer.padding_side == "left",
    )


def closing_tokens(tokenizer: Any) -> int:
    """Return how many tokens a tokenizer of transformers adds after a text."""
    with_ends = list(tokenizer("a")["input_ids"])
    text = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    ends = (
        n for n in range(len(with_ends)) if with_ends[len(with_ends) - n - len(text) :][: len(text)] == text
    )
    return next(ends)


def _encode(tokenizer: Any, lowercase: bool, text: str) -> list[int]:
    # verbose=False: the tokenizer does not warn of a text that is too long; the encoder counts those
    return tokenizer(text.lower() if lowercase else text, verbose=False)["input_ids"]
