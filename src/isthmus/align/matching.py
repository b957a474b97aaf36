"""Pairs that match beside pairs of different items: what tells them apart is learned from both."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from isthmus.align.affine import PairedAligner
from isthmus.checks import blocks, unit_rows
from isthmus.measure.items import Items

FOLDS = 5
PAIRS = 20_000  # that are looked at, at most
_MISMATCHES = 1_000_000  # that are looked at, at most, in all folds together
_QUERIES = 512


class Trials(NamedTuple):
    """Rows of x beside rows of y, shape (n,) each: of one item, or of two."""

    match: np.ndarray  # bool
    cosine: np.ndarray
    score: np.ndarray  # the cosine, or how far it stands out among those of its query
    x_item: np.ndarray
    y_item: np.ndarray
    fold: np.ndarray  # that held both items out

    def take(self, which: np.ndarray) -> "Trials":
        """Return some of them, by mask."""
        return Trials(*(part[which] for part in self))


def collect_trials(
    x: Any,
    y: Any,
    items: Items,
    *,
    space: tuple[PairedAligner | None, bool],
    query: tuple[bool | str, int | np.ndarray],
    seed: int,
    folds: int = FOLDS,
) -> Trials:
    """Take all pairs and all or many mismatches within each fold of items, and their scores.

    With one fold, rows of the query's own item are left out of its background; with more, the background is
    of the other folds. The same seed takes the same rows, whatever the space and the query.

    Parameters
    ----------
    x, y : array of shape (n, dim)
        Checked pairs.
    items : Items
        Of them.
    space : tuple of PairedAligner or None, and bool
        The aligner whose cosines are taken, and whether a copy of it is fitted on the other folds first.
    query : tuple of "x", "y" or False, and int or ndarray of shape (b, dim)
        Which modality searches, where scores are relative to a query's own cosines; and with how many
        rows of the other, or with which unit rows, these are taken.
    seed : int
        Of the folds, the mismatches and the background.
    folds : int
        Of the items.

    Returns
    -------
    Trials
        Of all folds, one after another.
    """
    rng = np.random.default_rng(seed)
    fold = rng.permutation(items.count) % folds  # (count,)
    kept = _some(items, rng)
    found = []
    for k in range(folds):
        held = np.intersect1d(kept, np.flatnonzero(fold[items.group] == k))  # (m,) rows, ascending
        rest = np.setdiff1d(kept, held) if folds > 1 else held
        i, j, match = _draw(items, held, _MISMATCHES // folds, rng)
        aligner, again = space
        if aligner is not None and again:
            aligner = unfitted(aligner).fit(x[rest], y[rest], groups=items.group[rest])
        u, v = mapped(aligner, x[held], y[held])
        at_x, at_y = np.searchsorted(held, i), np.searchsorted(held, j)
        cosine = score = cosines(u, v, at_x, at_y)
        modality, others = query
        if modality:
            own = None
            if isinstance(others, int):
                draw = np.random.default_rng(seed)  # of its own: the same mismatches, whatever the query
                rows = np.sort(draw.choice(rest, min(others, len(rest)), replace=False))
                others = mapped(aligner, x[rows], y[rows])[modality == "x"]
                own = (items.group[held], items.group[rows]) if folds == 1 else None
            mean, std = standing(u if modality == "x" else v, others, own=own)
            at = at_x if modality == "x" else at_y
            score = (cosine - mean[at]) / std[at]
        found.append(Trials(match, cosine, score, items.group[i], items.group[j], np.full(len(i), k)))
    return Trials(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def mapped(aligner: PairedAligner | None, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows of both modalities, after an aligner where there is one."""
    u, v = (x, y) if aligner is None else aligner.transform(x, y)
    return unit_rows(u, np.float32), unit_rows(v, np.float32)


def unfitted(aligner: PairedAligner) -> PairedAligner:
    """Return an aligner that has seen nothing; what a fitted one has settled by itself stays settled."""
    fresh = clone(aligner)
    if dials := getattr(aligner, "dials_", None):
        fresh.set_params(noise=dials.noise, shrinkage=dials.shrinkage, strength=dials.strength)
    return fresh


def cosines(u: np.ndarray, v: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return the cosine of ``u[i]`` and ``v[j]``, unit rows, for each of the pairs (i, j).

    Examples
    --------
    >>> cosines(np.eye(2), np.array([[0.6, 0.8]]), np.array([0, 1]), np.array([0, 0]))
    array([0.6, 0.8])
    """
    out = np.empty(len(i))
    for part in blocks(len(i), u.shape[1]):
        out[part] = np.einsum("nd,nd->n", u[i[part]], v[j[part]])
    return np.clip(out, -1, 1)


def standing(
    queries: np.ndarray, background: np.ndarray, *, own: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the cosines of each query with background rows.

    Parameters
    ----------
    queries : ndarray of shape (n, dim)
        Unit rows.
    background : ndarray of shape (m, dim)
        Unit rows of the other modality.
    own : tuple of two ndarrays of int, shape (n,) and (m,), optional
        Items of both; a query's own are left out.

    Returns
    -------
    mean, std : ndarray of shape (n,)
        In [-1, 1] and (0, 1].

    Raises
    ------
    ValueError
        The background does not tell a query's cosines apart.

    Examples
    --------
    >>> mean, std = standing(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    >>> float(mean[0]), float(std[0])
    (0.5, 0.5)
    """
    mean, std = np.empty(len(queries)), np.empty(len(queries))
    for rows in blocks(len(queries), len(background), _QUERIES):
        cosine = (queries[rows] @ background.T).astype(np.float64)
        keep = np.ones(cosine.shape) if own is None else own[0][rows, None] != own[1][None]
        count = np.maximum(keep.sum(axis=1), 1)
        mean[rows] = (cosine * keep).sum(axis=1) / count
        std[rows] = np.sqrt(((cosine - mean[rows, None]) ** 2 * keep).sum(axis=1) / count)
    if not (std > 1e-6).all():
        raise ValueError(
            f"expected background rows that differ in their cosine with each query, got {len(background)} "
            f"with one cosine for query {int(np.argmin(std))}"
        )
    return mean, std


def _some(items: Items, rng: np.random.Generator) -> np.ndarray:
    """Rows of whole items, ascending, about `PAIRS` at most."""
    order = rng.permutation(items.count)
    size = np.bincount(items.group)[order]
    enough = int(np.searchsorted(np.cumsum(size), PAIRS)) + 1
    return np.flatnonzero(np.isin(items.group, order[:enough]))


def _draw(
    items: Items, rows: np.ndarray, limit: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of rows (i, j) within `rows`, the matches first; repeated rows mismatch once."""
    left, right = np.intersect1d(items.x_rows, rows), np.intersect1d(items.y_rows, rows)
    if len(left) * len(right) <= limit:
        i, j = np.repeat(left, len(right)), np.tile(right, len(left))
    else:
        i, j = rng.choice(left, limit), rng.choice(right, limit)
    strangers = items.group[i] != items.group[j]
    i, j = np.append(rows, i[strangers]), np.append(rows, j[strangers])
    return i, j, np.arange(len(i)) < len(rows)
