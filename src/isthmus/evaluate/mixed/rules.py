"""From where rows lie to ranks: by cosine, by z-score within each kind of document, by fused ranks."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from isthmus.checks import blocks
from isthmus.evaluate.mixed.documents import Documents, Space, place
from isthmus.evaluate.mixed.ranking import Search, query_blocks, top_of_block

_K = 60  # in the paper
_DEPTH = 1000  # documents of each list that are fused
_BLOCK = 4096
_FLAT = 1e-6  # standard deviation of cosines below which they do not differ


def by_cosine(ranker: "Ranker", search: Search) -> np.ndarray:
    """Rank by cosine.

    Parameters
    ----------
    ranker : Ranker
        Where rows go.
    search : Search
        What is asked.

    Returns
    -------
    ndarray of int, shape (n, k)
        Documents, the best first; -1 where there are no more.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> corpus = make_documents(np.eye(3))
    >>> by_cosine(Ranker(), Search.of(corpus, corpus, k=1, seed=0)).T
    array([[0, 1, 2]])
    """
    return np.concatenate([_top(ranker, search, rows) for rows in query_blocks(search)])


@dataclass(frozen=True, eq=False)
class Ranker:
    """A fitted method: where documents and queries are put, and the rule that ranks.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> corpus = make_documents(np.eye(3))
    >>> Ranker().rank(Search.of(corpus, corpus, k=1, seed=0)).T
    array([[0, 1, 2]])
    """

    documents: Space = field(default_factory=Space)
    queries: Space = field(default_factory=Space)
    weight: float = 0.5  # of the image in documents and queries of both
    rule: Callable[["Ranker", Search], np.ndarray] = by_cosine

    def rank(self, search: Search) -> np.ndarray:
        """Return the documents found (n, k), the best first, -1 where there are no more."""
        return self.rule(self, search)


@dataclass(frozen=True, eq=False)
class Moments:
    """How many rows there are of each kind, their means and their second moments about 0.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> moments_of(make_documents(np.eye(2)), Space(), weight=0.5).mean[0]
    array([0.5, 0.5])
    """

    count: np.ndarray  # (3,)
    mean: np.ndarray  # (3, dim)
    second: np.ndarray  # (3, dim, dim)


def moments_of(documents: Documents, space: Space, *, weight: float) -> Moments:
    """Return the moments of documents as a space places them, in one pass.

    Parameters
    ----------
    documents : Documents
        Of any kinds.
    space : Space
        Where they are put.
    weight : float
        Share of the image in documents of both.

    Returns
    -------
    Moments
        By kind; 0 where there is none.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> moments_of(make_documents(text=np.eye(2)), Space(), weight=0.5).count
    array([0, 2, 0])
    """
    kind, count = documents.kind, np.bincount(documents.kind, minlength=3)
    mean: Any = 0.0
    second: Any = 0.0
    for rows in blocks(len(documents), 1, _BLOCK):
        unit = place(documents, space, rows=rows, weight=weight)
        of_kind = [unit[kind[rows] == k] for k in range(3)]
        mean = mean + np.stack([part.sum(axis=0, dtype=np.float64) for part in of_kind])
        second = second + np.stack([part.T @ part for part in of_kind]).astype(np.float64)
    count_or_1 = np.maximum(count, 1)
    return Moments(count, mean / count_or_1[:, None], second / count_or_1[:, None, None])


def by_zscore(
    ranker: Ranker, search: Search, *, queries: Callable[[float], Moments] | None = None
) -> np.ndarray:
    """Rank by cosines standardised within each kind of document.

    Mean and standard deviation of a query's cosines with all documents of a
    kind follow from the mean and second moment of those documents: nothing is
    scored twice.

    Parameters
    ----------
    ranker : Ranker
        Where rows go.
    search : Search
        What is asked.
    queries : callable, optional
        Returns the moments of calibration queries at a weight of the image in those of both: there is then
        one mean and one deviation per kind of query and kind of document, over all of them. By default each
        query has its own.

    Returns
    -------
    ndarray of int, shape (n, k)
        Documents, the best first; -1 where there are no more. A kind whose
        cosines do not differ scores 0.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> text, image = [[1.0, 0.1], [1.0, 0.7], [1.0, 0.9]], [[0.1, 1.0], [0.2, 1.0], [0.5, 1.0]]
    >>> rows, none = [0, 1, 2], [-1, -1, -1]
    >>> corpus = make_documents(image, text, image_row=none + rows, text_row=rows + none)
    >>> search = Search.of(make_documents(text=[[1.0, 0.0]]), corpus, k=3, seed=0)
    >>> by_cosine(Ranker(), search), by_zscore(Ranker(), search)  # document 5 is the best of the images
    (array([[0, 1, 2]]), array([[5, 0, 1]]))
    """
    moments = moments_of(search.corpus, ranker.documents, weight=ranker.weight)
    asked = None if queries is None else queries(ranker.weight)
    kind, found = search.queries.kind, []
    for rows in query_blocks(search):
        query = place(search.queries, ranker.queries, rows=rows, weight=ranker.weight)
        if asked is None:
            mean = query @ moments.mean.T  # (q, 3)
            square = np.einsum("qd,kde,qe->qk", query, moments.second, query, optimize=True)
        else:
            mean = (asked.mean @ moments.mean.T)[kind[rows]]
            square = np.einsum("qde,kde->qk", asked.second, moments.second)[kind[rows]]
        deviation = np.sqrt(np.maximum(square - mean**2, 0))

        def standardised(cosine: np.ndarray, of: np.ndarray, mean=mean, deviation=deviation) -> np.ndarray:
            differs = deviation > _FLAT
            return (cosine - mean[:, of]) * (differs / np.where(differs, deviation, 1))[:, of]

        found.append(_top(ranker, search, rows, query=query, scores=standardised))
    return np.concatenate(found)


def by_rank_fusion(ranker: Ranker, search: Search, *, k: int = _K, depth: int = _DEPTH) -> np.ndarray:
    """Rank images and texts in a list each, and fuse the lists by reciprocal ranks [1]_.

    A document of both stands in both lists, and has the sum. What comes
    after the first `depth` of a list counts as absent from it.

    Parameters
    ----------
    ranker : Ranker
        Where rows go; the share of the image is of no account, but for queries of both.
    search : Search
        What is asked.
    k : int, default=60
        Added to each rank, as in the paper.
    depth : int, default=1000
        Documents of each list, or ``search.k`` if that is more; theirs are whole. The contribution that is
        left out is below ``1 / (k + depth)``.

    Returns
    -------
    ndarray of int, shape (n, search.k)
        Documents, the best first; -1 where there are no more.

    References
    ----------
    .. [1] Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
       Learning Methods", SIGIR 2009.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> rows = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> corpus = make_documents(rows, rows, image_row=[0, 1, 2, -1], text_row=[-1, 1, -1, 0])
    >>> search = Search.of(make_documents(text=[[1.0, 0.0]]), corpus, k=4, seed=0)
    >>> by_rank_fusion(Ranker(), search)[0, 0]  # second in both lists
    np.int64(1)
    """
    lists = []
    for part, other in (("image_row", "text_row"), ("text_row", "image_row")):
        rows = np.flatnonzero(getattr(search.corpus, part) >= 0)
        if len(rows):
            alone = search.corpus.take(rows)
            alone = replace(alone, **{other: np.full(len(rows), -1)})
            lists.append((rows, search.among(rows, alone, k=max(depth, search.k))))
    standing = np.empty(len(search.corpus), dtype=np.int64)
    standing[search.ties] = np.arange(len(search.corpus))
    found = []
    for rows in query_blocks(search):
        documents, scores = [], []
        for numbers, part in lists:
            top = _top(ranker, part, rows)
            documents.append(np.where(top < 0, -1, numbers[top]))
            scores.append(np.where(top < 0, -1.0, 1 / (k + 1 + np.arange(top.shape[1]))))
        found.append(_fused(np.hstack(documents), np.hstack(scores), standing, search.k))
    return np.concatenate(found)


def _fused(documents: np.ndarray, scores: np.ndarray, standing: np.ndarray, k: int) -> np.ndarray:
    """Add up the scores of documents that come twice, and return the best k of each row."""
    order = np.argsort(documents, axis=1, kind="stable")
    documents, scores = np.take_along_axis(documents, order, 1), np.take_along_axis(scores, order, 1)
    twice = (documents[:, 1:] == documents[:, :-1]) & (documents[:, 1:] >= 0)
    scores[:, :-1] += np.where(twice, scores[:, 1:], 0)
    scores[:, 1:][twice] = -1
    best = np.lexsort((-standing[documents], -scores.round(12)))[:, :k]
    top, score = np.take_along_axis(documents, best, 1), np.take_along_axis(scores, best, 1)
    top = np.where(score < 0, -1, top)
    return np.pad(top, ((0, 0), (0, k - top.shape[1])), constant_values=-1)


def _top(
    ranker: Ranker, search: Search, rows: slice, *, query: np.ndarray | None = None, scores: Any = None
) -> np.ndarray:
    if query is None:
        query = place(search.queries, ranker.queries, rows=rows, weight=ranker.weight)
    return top_of_block(search, rows, query, space=ranker.documents, weight=ranker.weight, scores=scores)
