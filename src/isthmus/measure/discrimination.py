"""What closing a gap may cost: can one modality still find the other?"""

from typing import Any

import numpy as np

from isthmus.checks import blocks, unit_rows
from isthmus.measure.threads import in_threads

_TIES = {np.float32: 1e-6, np.float64: 1e-13}  # cosines nearer than these are a tie
_NARROW = 0.99  # mean cosine of a cone that needs float64 to tell its rows apart
_QUERIES = 512
_GALLERY = 2048


def retrieval_ranks(
    queries: Any,
    gallery: Any,
    *,
    query_items: np.ndarray | None = None,
    gallery_items: np.ndarray | None = None,
) -> np.ndarray:
    """Rank of the best right answer to each query, by cosine, in bounded memory.

    Every row of the gallery that belongs to the query's item is right, and
    the best of them counts; right ones do not push one another down. Ties
    count against the query, so a map that sends everything to one point ranks
    last, not first.

    Parameters
    ----------
    queries : array of shape (n, dim)
        Embeddings that search; already checked.
    gallery : array of shape (m, dim)
        Embeddings that are searched.
    query_items, gallery_items : ndarray of int, shape (n,) and (m,), optional
        The item of each row; every query's item must be in the gallery. By
        default row ``i`` of the gallery answers query ``i``.

    Returns
    -------
    ndarray of int, shape (n,)
        1 is best, m is last.

    Raises
    ------
    ValueError
        A query has no right answer in the gallery.

    Examples
    --------
    >>> x, y = np.eye(3), np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 1]])
    >>> retrieval_ranks(x, y)
    array([1, 3, 2])
    """
    query_items = np.arange(len(queries)) if query_items is None else query_items
    gallery_items = np.arange(len(gallery)) if gallery_items is None else gallery_items
    order = np.argsort(gallery_items, kind="stable")
    ordered = gallery_items[order]
    first = np.searchsorted(ordered, query_items, side="left")
    count = np.searchsorted(ordered, query_items, side="right") - first
    if not count.all():
        raise ValueError(f"query {int(np.argmin(count))} has no row of its item in the gallery")

    precision, tie = _precision(gallery)

    def panel(rows: slice) -> np.ndarray:
        q = unit_rows(queries[rows], precision)
        owner = np.repeat(np.arange(len(q)), count[rows])
        within = np.arange(len(owner)) - np.repeat(np.cumsum(count[rows]) - count[rows], count[rows])
        right = order[first[rows][owner] + within]  # gallery rows that answer q[owner]
        found = _cosines_of_pairs(q, owner, gallery, right)
        best = np.full(len(q), -2.0, dtype=precision)
        np.maximum.at(best, owner, found)
        rank = np.ones(len(q), dtype=np.int64)
        for columns in blocks(len(gallery), gallery.shape[1], _GALLERY):
            cosine = q @ unit_rows(gallery[columns], precision).T
            here = (right >= columns.start) & (right < columns.stop)
            cosine[owner[here], right[here] - columns.start] = -2
            rank += np.count_nonzero(cosine >= (best - precision(tie))[:, None], axis=1)
        return rank

    return np.concatenate(list(in_threads(panel, blocks(len(queries), queries.shape[1], _QUERIES))))


def k_occurrence(queries: Any, gallery: Any, *, k: int = 10) -> np.ndarray:
    """How often each row of the gallery is among the `k` nearest of a query, by cosine.

    Parameters
    ----------
    queries : array of shape (n, dim)
        Embeddings that search; already checked.
    gallery : array of shape (m, dim)
        Embeddings that are searched.
    k : int, default=10
        Length of each query's list; at most m.

    Returns
    -------
    ndarray of int, shape (m,)
        Their sum is n * k. Its skewness is the hubness of the space [1]_.

    References
    ----------
    .. [1] Radovanovic, Nanopoulos and Ivanovic, "Hubs in Space", JMLR 2010, section 2.

    Examples
    --------
    >>> k_occurrence(np.eye(3), np.array([[1.0, 1.0, 1.0], [1.0, 0, 0], [0, -1.0, 0]]), k=1)
    array([2, 1, 0])
    """
    k = min(k, len(gallery))
    precision, _ = _precision(gallery)

    def panel(rows: slice) -> np.ndarray:
        q = unit_rows(queries[rows], precision)
        best = np.empty((len(q), 0), dtype=precision)  # cosines of the nearest so far, and their rows
        nearest = np.empty((len(q), 0), dtype=np.int64)
        for columns in blocks(len(gallery), gallery.shape[1], _GALLERY):
            cosine = q @ unit_rows(gallery[columns], precision).T
            top = np.argpartition(cosine, -min(k, cosine.shape[1]), axis=1)[:, -k:]
            best = np.hstack([best, np.take_along_axis(cosine, top, axis=1)])
            nearest = np.hstack([nearest, top + columns.start])
            if best.shape[1] > k:
                kept = np.argpartition(best, -k, axis=1)[:, -k:]
                best = np.take_along_axis(best, kept, axis=1)
                nearest = np.take_along_axis(nearest, kept, axis=1)
        return np.bincount(nearest.ravel(), minlength=len(gallery))

    return sum(in_threads(panel, blocks(len(queries), queries.shape[1], _QUERIES)))


def recall_at(ranks: np.ndarray, k: int) -> float:
    """Share of queries with a right answer among their `k` nearest.

    Parameters
    ----------
    ranks : ndarray of int, shape (n,)
        Of each query's best right answer, from :func:`retrieval_ranks`.
    k : int
        Length of each query's list.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> recall_at(np.array([1, 2, 7]), 5)
    0.6666666666666666
    """
    return float((ranks <= k).mean())


def mean_reciprocal_rank(ranks: np.ndarray) -> float:
    """Mean of 1 / rank of each query's best right answer.

    Parameters
    ----------
    ranks : ndarray of int, shape (n,)
        From :func:`retrieval_ranks`.

    Returns
    -------
    float
        In (0, 1].

    Examples
    --------
    >>> mean_reciprocal_rank(np.array([1, 2]))
    0.75
    """
    return float((1 / ranks).mean())


def hubness(queries: Any, gallery: Any, *, k: int = 10) -> float:
    """Skewness of :func:`k_occurrence`: whether a few rows are everyone's neighbour.

    Parameters
    ----------
    queries : array of shape (n, dim)
        Embeddings that search.
    gallery : array of shape (m, dim)
        Embeddings that are searched.
    k : int, default=10
        Length of each query's list.

    Returns
    -------
    float
        0 where all are found equally often, 1 to 5 in common embeddings, more where hubs rule.

    References
    ----------
    .. [1] Radovanovic, Nanopoulos and Ivanovic, "Hubs in Space", JMLR 2010, section 2.

    Examples
    --------
    >>> hubness(np.eye(4), np.eye(4), k=1)
    0.0
    """
    count = k_occurrence(queries, gallery, k=k).astype(np.float64)
    return float(skewness(count.mean(), (count**2).mean(), (count**3).mean()))


def skewness(mean: Any, square: Any, cube: Any) -> Any:
    """Skewness from the first three moments about 0; 0 where there is no variance."""
    variance = np.maximum(square - mean**2, 0)
    third = cube - 3 * mean * square + 2 * mean**3
    return np.where(variance > 1e-12, third / np.maximum(variance, 1e-12) ** 1.5, 0.0)


def _precision(gallery: Any) -> tuple[Any, float]:
    """Return the type to take cosines in, and what is a tie: float32, but in a narrow float64 cone."""
    if gallery.dtype != np.float64:
        return np.float32, _TIES[np.float32]
    some = unit_rows(gallery[np.unique(np.linspace(0, len(gallery) - 1, 1000).astype(np.int64))])
    precision = np.float64 if (some.mean(axis=0) ** 2).sum() > _NARROW else np.float32
    return precision, _TIES[precision]


def _cosines_of_pairs(q: np.ndarray, owner: np.ndarray, gallery: Any, right: np.ndarray) -> np.ndarray:
    found = np.empty(len(right), dtype=q.dtype)
    for part in blocks(len(right), q.shape[1], _GALLERY):
        found[part] = np.einsum("nd,nd->n", q[owner[part]], unit_rows(gallery[right[part]], q.dtype))
    return found
