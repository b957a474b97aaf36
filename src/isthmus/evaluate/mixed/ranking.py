"""The documents that score highest for each query, exactly, in bounded memory."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from isthmus.checks import blocks
from isthmus.evaluate.mixed.documents import Documents, Space, place
from isthmus.evaluate.mixed.relevance import Judgements
from isthmus.measure.threads import in_threads

_QUERIES = 1024
_DOCUMENTS = 2048  # a tile of scores is 8 MiB, of keys 16
_NOTHING = np.iinfo(np.int64).min
_LOW_BITS = 2**32 - 1

Scores = Callable[[np.ndarray, np.ndarray], np.ndarray]  # cosines (q, m), kinds of documents (m,) -> scores


@dataclass(frozen=True, eq=False)
class Search:
    """One search of a corpus: what is asked, and the order of documents that tie.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> corpus = make_documents(np.eye(3))
    >>> Search.of(corpus, corpus, k=2, seed=0).ties
    array([2, 0, 1])
    """

    queries: Documents
    corpus: Documents
    k: int  # length of each query's list
    excluded: Judgements | None  # documents that a query must not find
    ties: np.ndarray  # (m,) documents, the one that loses every tie first: no kind shall win them all

    @classmethod
    def of(
        cls, queries: Documents, corpus: Documents, *, k: int, seed: int, excluded: Judgements | None = None
    ) -> Self:
        """Draw the order of ties."""
        return cls(queries, corpus, k, excluded, np.random.default_rng(seed).permutation(len(corpus)))

    def among(self, rows: np.ndarray, corpus: Documents, *, k: int) -> "Search":
        """Return the search of a part of the corpus, documents `rows`, in their numbers there."""
        position = np.full(len(self.corpus), -1)
        position[rows] = np.arange(len(rows))
        ties, excluded = position[self.ties], self.excluded
        if excluded is not None:
            here = position[excluded.documents] >= 0
            pairs = excluded.owner[here], position[excluded.documents[here]]
            excluded = Judgements.of(*pairs, queries=len(self.queries))
        return replace(self, corpus=corpus, k=k, excluded=excluded, ties=ties[ties >= 0])


def query_blocks(search: Search) -> list[slice]:
    """Return the blocks of queries that a search is made in."""
    return list(blocks(len(search.queries), 1, _QUERIES))


def top_of_block(
    search: Search,
    rows: slice,
    query: np.ndarray,
    *,
    space: Space,
    weight: float,
    scores: Scores | None = None,
) -> np.ndarray:
    """Find the documents that score highest for one block of queries.

    Parameters
    ----------
    search : Search
        What is asked.
    rows : slice
        Which of its queries these are.
    query : ndarray of float32, shape (q, dim)
        Unit rows of them.
    space : Space
        Where documents are put.
    weight : float
        Share of the image in documents of both.
    scores : callable, optional
        Turns cosines into scores; by default they are the scores.

    Returns
    -------
    ndarray of int, shape (q, k)
        Documents, the best first; -1 where there are no more.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> corpus = make_documents(np.eye(3))
    >>> search = Search.of(corpus, corpus, k=1, seed=0)
    >>> top_of_block(search, slice(0, 3), np.eye(3), space=Space(), weight=0.5).T
    array([[0, 1, 2]])
    """
    corpus, k = search.corpus, min(search.k, len(search.corpus))
    standing = np.empty(len(corpus), dtype=np.int64)
    standing[search.ties] = np.arange(len(corpus))
    kind = corpus.kind
    owner, apart = _excluded(search, rows)

    def tile(columns: slice) -> np.ndarray:
        score = query @ place(corpus, space, rows=columns, weight=weight).T  # (q, m)
        if scores is not None:
            score = scores(score, kind[columns])
        keys = _keys(score, standing[columns])
        here = (apart >= columns.start) & (apart < columns.stop)
        keys[owner[here], apart[here] - columns.start] = _NOTHING
        return _largest(keys, k)

    best = np.full((len(query), k), _NOTHING)
    for keys in in_threads(tile, blocks(len(corpus), 1, _DOCUMENTS)):
        best = _largest(np.hstack([best, keys]), k)
    best = np.sort(best, axis=1)[:, ::-1]
    found = np.where(best == _NOTHING, -1, search.ties[best & _LOW_BITS])
    return np.pad(found, ((0, 0), (0, search.k - k)), constant_values=-1)


def _excluded(search: Search, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Queries of a block, by their place in it, and a document that each must not find."""
    if search.excluded is None:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    part = search.excluded.take(np.arange(rows.start, rows.stop))
    return part.owner, part.documents


def _keys(score: np.ndarray, standing: np.ndarray) -> np.ndarray:
    """One number per score and document, ordered by score, then by standing: a partition breaks all ties."""
    bits = np.ascontiguousarray(score, dtype=np.float32) + np.float32(0)  # + 0 makes -0 a 0
    whole = bits.view(np.int32)
    whole = whole ^ ((whole >> 31) & 0x7FFFFFFF)  # negative floats are ordered backwards
    return (whole.astype(np.int64) << 32) | standing


def _largest(keys: np.ndarray, k: int) -> np.ndarray:
    return keys if keys.shape[1] <= k else np.partition(keys, -k, axis=1)[:, -k:]
