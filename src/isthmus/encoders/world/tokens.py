"""Captions of the world as numbers: one per word."""

import re

import numpy as np

from isthmus.sources.world.words import vocabulary

LIMIT = 64  # words that the text tower reads
PADDING, UNKNOWN = 0, 1
VOCABULARY = ("<padding>", "<unknown>", *vocabulary())
_NUMBER = {word: i for i, word in enumerate(VOCABULARY)}


def tokenize(text: str) -> np.ndarray:
    """Return the number of each word of a text.

    Parameters
    ----------
    text : str
        Upper and lower case and marks do not matter.

    Returns
    -------
    ndarray of int64, shape (length,)
        One at least: a text without words is an unknown one. Not cut at `LIMIT`.

    Examples
    --------
    >>> [VOCABULARY[i] for i in tokenize("A red wombat.")]
    ['a', 'red', '<unknown>']
    """
    words = re.findall(r"\w+", text.lower()) or ["<unknown>"]
    return np.array([_NUMBER.get(word, UNKNOWN) for word in words], np.int64)


def pad(tokens: list[np.ndarray]) -> np.ndarray:
    """Return token rows side by side, cut at `LIMIT`, shape (n, longest)."""
    longest = min(LIMIT, max(map(len, tokens)))
    rows = np.full((len(tokens), longest), PADDING, np.int64)
    for row, each in zip(rows, tokens, strict=True):
        row[: min(len(each), longest)] = each[:longest]
    return rows
