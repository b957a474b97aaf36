"""Which documents answer which query, how well, and which a query must not find."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from isthmus.checks import check_groups
from isthmus.evaluate.mixed.documents import Documents


@dataclass(frozen=True, eq=False)
class Judgements:
    """Numbers for some (query, document) pairs, query by query.

    Examples
    --------
    >>> judged = Judgements.of([0, 0, 1], [4, 2, 4], queries=2)
    >>> judged.documents[judged.starts[0] : judged.starts[1]]
    array([2, 4])
    """

    starts: np.ndarray  # (n + 1,) where each query's begin
    documents: np.ndarray  # (judged,) ascending within a query
    gains: np.ndarray  # (judged,) more than 0

    @classmethod
    def of(cls, query: Any, document: Any, *, gains: Any = None, queries: int) -> Self:
        """Order pairs given as two arrays of numbers, and optionally their gains (1 by default).

        Raises
        ------
        ValueError
            A pair comes twice, or a gain is not a number above 0.
        """
        query, document = np.asarray(query, dtype=np.int64), np.asarray(document, dtype=np.int64)
        gains = np.ones(len(query)) if gains is None else np.asarray(gains, dtype=np.float64)
        if not np.all(gains > 0) or np.isinf(gains).any():
            raise ValueError(f"gains must be numbers above 0, got {gains[~(gains > 0) | np.isinf(gains)][0]}")
        order = np.lexsort((document, query))
        query, document, gains = query[order], document[order], gains[order]
        twice = (np.diff(query) == 0) & (np.diff(document) == 0)
        if twice.any():
            at = int(twice.argmax())
            raise ValueError(f"document {document[at]} is judged twice for query {query[at]}")
        return cls(np.searchsorted(query, np.arange(queries + 1)), document, gains)

    @property
    def count(self) -> np.ndarray:
        """How many documents each query has: (n,)."""
        return np.diff(self.starts)

    @property
    def owner(self) -> np.ndarray:
        """The query of each pair: (judged,)."""
        return np.repeat(np.arange(len(self.starts) - 1), self.count)

    def take(self, queries: np.ndarray) -> Self:
        """Return the judgements of some queries, by number."""
        count = self.count[queries]
        owner = np.repeat(np.arange(len(queries)), count)
        at = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count) + self.starts[queries][owner]
        return type(self)(np.append(0, np.cumsum(count)), self.documents[at], self.gains[at])

    def lookup(self, found: np.ndarray, documents: int) -> np.ndarray:
        """Return the gain of each found document, 0 where it was not judged.

        Parameters
        ----------
        found : ndarray of int, shape (n, k)
            Documents by query; -1 stands for none.
        documents : int
            How many there are.

        Returns
        -------
        ndarray of shape (n, k)
            Gains, at least 0.
        """
        if not len(self.documents):
            return np.zeros(found.shape)
        keys = self.owner * (documents + 1) + self.documents  # ascending; -1 is the key of no document
        wanted = np.arange(len(found))[:, None] * (documents + 1) + found
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[at] == wanted, self.gains[at], 0.0)


@dataclass(frozen=True, eq=False)
class Queries:
    """Queries of any kind, and what answers them.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> texts = make_documents(text=np.eye(2))
    >>> by_item(texts, [0, 1], [1, 0, 0]).relevant.documents
    array([1, 2, 0])
    """

    documents: Documents
    relevant: Judgements
    group: np.ndarray  # (n,) the item of each; items are resampled whole
    excluded: Judgements | None = None  # documents a query must not find: itself

    def __len__(self) -> int:
        return len(self.documents)

    def take(self, queries: np.ndarray) -> Self:
        """Return some of the queries, by number."""
        excluded = None if self.excluded is None else self.excluded.take(queries)
        group = check_groups(self.group[queries], len(queries))
        return type(self)(self.documents.take(queries), self.relevant.take(queries), group, excluded)


def by_item(documents: Documents, query_items: Any, corpus_items: Any, *, excluded: Any = None) -> Queries:
    """Return queries that every document of their own item answers.

    Parameters
    ----------
    documents : Documents
        The n queries.
    query_items, corpus_items : array-like of shape (n,) and (m,)
        The item of each query and of each document of the corpus.
    excluded : array-like of int, shape (n,), optional
        A document that the query must not find, because it is the query: -1 for none.

    Returns
    -------
    Queries
        All gains are 1.

    Raises
    ------
    ValueError
        Lengths do not agree, or nothing answers a query.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> by_item(make_documents(text=np.eye(2)), ["cat", "dog"], ["dog", "dog"])
    Traceback (most recent call last):
    ...
    ValueError: query 0 has no document that answers it
    """
    n, m = len(documents), len(corpus_items)
    both = np.concatenate([np.asarray(query_items), np.asarray(corpus_items)])
    code = check_groups(both, n + m, "query_items and corpus_items")
    query, corpus = code[:n], code[n:]
    order = np.argsort(corpus, kind="stable")
    first = np.searchsorted(corpus[order], query, side="left")
    count = np.searchsorted(corpus[order], query, side="right") - first
    owner = np.repeat(np.arange(n), count)
    found = order[np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count) + first[owner]]
    apart = None
    if excluded is not None:
        excluded = np.asarray(excluded)
        if excluded.shape != (n,):
            raise ValueError(f"excluded must have shape ({n},), got {excluded.shape}")
        own = np.flatnonzero(excluded >= 0)
        apart = Judgements.of(own, excluded[own], queries=n)
        kept = excluded[owner] != found
        owner, found = owner[kept], found[kept]
    relevant = Judgements.of(owner, found, queries=n)
    if not relevant.count.all():
        raise ValueError(f"query {int(np.argmin(relevant.count))} has no document that answers it")
    return Queries(documents, relevant, check_groups(query, n), apart)
