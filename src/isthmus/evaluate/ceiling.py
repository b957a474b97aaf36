"""Recall beside what captions allow when taken at their word: several items may fit one."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.checks import check_embeddings, unit_rows
from isthmus.measure.bootstrap import Bootstrap, Figure

_TIE = 1e-6  # cosines nearer than this are a tie
_BLOCK = 1024


@dataclass(frozen=True)
class Attained:
    """Recall at 1 and its ceiling, both with 95% bootstrap intervals over items.

    Examples
    --------
    >>> recall = Figure(0.2, 0.1, 0.3)
    >>> Attained(recall, Figure(0.4, 0.4, 0.4), Figure(0.5, 0.25, 0.75)).share.value
    0.5
    """

    recall: Figure
    ceiling: Figure  # of a searcher that knows all facts told, and takes them at their word
    share: Figure  # recall / ceiling

    def to_dict(self) -> dict[str, Any]:
        """Return each figure as ``{"value", "low", "high"}``, ready for JSON."""
        return {name: getattr(self, name)._asdict() for name in ("recall", "ceiling", "share")}


def recall_and_ceiling(
    x: Any, texts: Any, fits: np.ndarray, *, item: np.ndarray, seed: int = 0
) -> tuple[Attained, Attained]:
    """Compare recall at 1 with what ambiguous captions allow, in both directions.

    A caption that fits k items leads a reader who takes it at its word to its
    own with a chance of 1 / k. From an item, the best choice is the fitting
    caption with the smallest k. Ties of cosines count by the chance to choose
    right. Who also reads between the lines (large things are told of first,
    so what goes unmentioned is rather small) can find more than this.

    Parameters
    ----------
    x : array-like of shape (n, dim)
        Embeddings of the items.
    texts : array-like of shape (m, dim)
        Embeddings of their captions.
    fits : ndarray of bool, shape (m, n)
        Which captions are true of which items; of its own each must be.
    item : ndarray of int, shape (m,)
        The item of each caption.
    seed : int, default=0
        Of the resamples.

    Returns
    -------
    from_text, from_item : Attained
        Of captions that search for their item, and of items that search for any of their captions.

    Raises
    ------
    ValueError
        Embeddings are bad, shapes do not agree, or a caption does not fit its own item.

    Examples
    --------
    >>> x = np.eye(2)
    >>> texts = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> fits = np.array([[True, True], [False, True]])  # the first caption is true of both
    >>> from_text, from_item = recall_and_ceiling(x, texts, fits, item=np.arange(2))
    >>> from_text.recall.value, from_text.ceiling.value
    (1.0, 0.75)
    """
    x = check_embeddings(x)
    texts = unit_rows(check_embeddings(texts, "texts", x.shape[1]), np.float32)
    x, fits, item = unit_rows(x, np.float32), np.asarray(fits), np.asarray(item)
    if fits.shape != (len(texts), len(x)) or item.shape != (len(texts),):
        raise ValueError(
            f"expected fits of shape {(len(texts), len(x))} and item of shape {(len(texts),)}, "
            f"got {fits.shape} and {item.shape}"
        )
    if item.dtype.kind not in "iu" or item.min() < 0 or item.max() >= len(x):
        raise ValueError(f"item must hold whole numbers from 0 to {len(x) - 1}, one for each text")
    own = fits[np.arange(len(texts)), item]
    if not own.all():
        raise ValueError(f"fits[{int(np.argmin(own))}]: the caption does not fit its own item")
    chance = 1 / fits.sum(axis=1)  # (m,)
    best = np.array([chance[column].max(initial=0.0) for column in fits.T])  # (n,)
    boot = Bootstrap(np.arange(len(x)), seed)
    return (
        _attained(boot, _found(texts, x, item, np.arange(len(x))), chance, item),
        _attained(boot, _found(x, texts, np.arange(len(x)), item), best, np.arange(len(x))),
    )


def _attained(boot: Bootstrap, found: np.ndarray, chance: np.ndarray, item: np.ndarray) -> Attained:
    recall, ceiling = boot.mean(found, item), boot.mean(chance, item)
    return Attained(boot.figure(recall), boot.figure(ceiling), boot.figure(recall / ceiling))


def _found(
    queries: np.ndarray, gallery: np.ndarray, query_item: np.ndarray, gallery_item: np.ndarray
) -> np.ndarray:
    """Return for each query the chance that the nearest row is of its item, shape (n,)."""
    found = np.empty(len(queries))
    for start in range(0, len(queries), _BLOCK):
        rows = slice(start, start + _BLOCK)
        cosine = queries[rows] @ gallery.T
        first = cosine >= cosine.max(axis=1, keepdims=True) - _TIE
        right = gallery_item == query_item[rows, None]
        found[rows] = (first & right).sum(axis=1) / first.sum(axis=1)
    return found
