"""What the pictures show of the held-out pairs: projections, cosines, the gap by dimension, worst pairs."""

from typing import Any

import numpy as np
from scipy.linalg import eigh

from isthmus.evaluate import HeldOut
from isthmus.measure.discrimination import retrieval_ranks
from isthmus.measure.items import Items, Selected

_PAIRS = 750  # drawn in a projection: 1500 points
_LINES = 40  # pairs joined by a line in it
_MISMATCHED = 20_000  # pairs of different items whose cosines are drawn
_BINS = 50
_DIMENSIONS = 120  # points of the gap's spectrum
_WORST = 10

Modalities = tuple[np.ndarray, np.ndarray]


def project(pairs: Modalities, *, seed: int) -> dict[str, Any]:
    """Project both modalities on the first two right singular vectors of all rows about their joint mean.

    Parameters
    ----------
    pairs : tuple of two ndarray of shape (n, dim)
        Unit rows.
    seed : int
        Of which pairs are drawn, where there are many.

    Returns
    -------
    dict
        ``x``, ``y``: points (m, 2) of the drawn pairs, x's mean to the left; ``joined``: which of
        them a line joins; ``share``: of the squared distance from the joint mean along each axis.

    References
    ----------
    .. [1] Vu et al., "Closing the Gap of Latent Spaces for Image-Text Arithmetic", Figure 6.

    Examples
    --------
    >>> x, y = np.array([[1.0, 0.0], [0.8, 0.6]]), np.array([[0.0, 1.0], [0.6, 0.8]])
    >>> picture = project((x, y), seed=0)
    >>> picture["x"][0], picture["y"][0]
    ([-0.7071, -0.1414], [0.7071, -0.1414])
    """
    n, dim = pairs[0].shape
    middle = (pairs[0].mean(axis=0) + pairs[1].mean(axis=0)) / 2
    scatter = np.zeros((dim, dim))
    for rows in pairs:
        centred = rows - middle
        scatter += centred.T @ centred
    kept = min(2, dim)
    value, axes = eigh(scatter, subset_by_index=(dim - kept, dim - 1))
    value, axes = np.maximum(value[::-1], 0), axes[:, ::-1]
    towards = (pairs[1].mean(axis=0) - pairs[0].mean(axis=0)) @ axes  # (2,)
    strongest = axes[np.abs(axes).argmax(axis=0), np.arange(kept)]
    sign = np.where(strongest < 0, -1.0, 1.0)
    sign[0] = -1.0 if towards[0] < 0 else 1.0
    axes = np.pad(axes * sign, ((0, 0), (0, 2 - kept)))
    share = np.pad(value, (0, 2 - kept)) / max(float(np.trace(scatter)), 1e-300)
    drawn = np.sort(np.random.default_rng(seed).permutation(n)[:_PAIRS])
    joined = np.random.default_rng(seed).permutation(len(drawn))[:_LINES]
    points = {name: _rounded((z[drawn] - middle) @ axes) for name, z in zip("xy", pairs, strict=True)}
    return points | {"joined": np.sort(joined).tolist(), "share": _rounded(share)}


def cosines(spaces: dict[str, Modalities], group: np.ndarray, *, seed: int) -> dict[str, Any]:
    """Histograms of the cosines of true pairs, and of pairs of different items, in each space.

    Parameters
    ----------
    spaces : dict of str to tuple of two ndarray of shape (n, dim)
        Unit rows of both modalities, by space.
    group : ndarray of int, shape (n,)
        Item of each pair.
    seed : int
        Of which mismatched pairs are looked at.

    Returns
    -------
    dict
        ``edges`` of the bins; by space the shares ``matched`` and ``mismatched`` of each bin, the
        means ``matched_mean`` and ``mismatched_mean``, and ``confused``: the share of mismatched
        pairs whose cosine is above that of the median true pair.
    """
    rng = np.random.default_rng(seed)
    i, j = rng.integers(len(group), size=(2, 2 * _MISMATCHED))
    different = np.flatnonzero(group[i] != group[j])[:_MISMATCHED]
    i, j = i[different], j[different]
    found = {}
    for space, (x, y) in spaces.items():
        matched = np.einsum("nd,nd->n", x, y)
        found[space] = matched, np.einsum("nd,nd->n", x[i], y[j])
    whole = np.concatenate([part for pair in found.values() for part in pair])
    low, high = np.floor(20 * whole.min()) / 20, np.ceil(20 * whole.max()) / 20
    edges = np.linspace(low, max(high, low + 0.05), _BINS + 1)
    out: dict[str, Any] = {"edges": _rounded(edges)}
    for space, (matched, mismatched) in found.items():
        out[space] = {
            "matched": _rounded(np.histogram(matched, edges)[0] / len(matched)),
            "mismatched": _rounded(np.histogram(mismatched, edges)[0] / len(mismatched)),
            "matched_mean": float(matched.mean()),
            "mismatched_mean": float(mismatched.mean()),
            "confused": float((mismatched >= np.median(matched)).mean()),
        }
    return out


def gap_spectrum(spaces: dict[str, Modalities], items: Items) -> dict[str, Any]:
    """Share of the squared mean difference that its `k` largest dimensions hold, for growing `k`.

    Parameters
    ----------
    spaces : dict of str to tuple of two ndarray of shape (n, dim)
        Unit rows of both modalities, by space; those of another dim than the first are left out.
    items : Items
        Of the pairs; each distinct row counts once.

    Returns
    -------
    dict
        ``dimensions``: the values of `k`; by space, the shares.

    References
    ----------
    .. [1] Schrodi et al., "Two Effects, One Trigger", ICLR 2025, section 4.
    """
    dim = next(iter(spaces.values()))[0].shape[1]
    dimensions = np.unique(np.geomspace(1, dim, _DIMENSIONS).round().astype(int))
    out: dict[str, Any] = {"dimensions": dimensions.tolist()}
    for space, (x, y) in spaces.items():
        if x.shape[1] == dim:
            square = np.sort((x[items.x_rows].mean(axis=0) - y[items.y_rows].mean(axis=0)) ** 2)[::-1]
            share = np.cumsum(square, dtype=np.float64) / max(float(square.sum()), 1e-300)
            out[space] = _rounded(share[dimensions - 1])
    return out


def worst_pairs(held_out: HeldOut, items: Items, spaces: dict[str, Modalities]) -> list[dict[str, Any]]:
    """The pairs with the lowest cosine in the last of `spaces`, with their ranks in all.

    Parameters
    ----------
    held_out : HeldOut
        Says which rows of the input these are.
    items : Items
        Of the held-out pairs.
    spaces : dict of str to tuple of two ndarray of shape (n, dim)
        Unit rows of both modalities, by space.

    Returns
    -------
    list of dict
        ``row`` of the input, ``item``, and by space ``cosine``, ``x_to_y`` and ``y_to_x``: rank of
        the best right answer among the distinct held-out rows.
    """
    x, y = list(spaces.values())[-1]
    worst = np.argsort(np.einsum("nd,nd->n", x, y), kind="stable")[:_WORST]
    out: list[dict[str, Any]] = [
        {"row": int(held_out.rows[i]), "item": int(held_out.group[i])} for i in worst
    ]
    for space, (x, y) in spaces.items():
        to_y = _ranks(x[worst], Selected(y, items.y_rows), items.group[worst], items.group[items.y_rows])
        to_x = _ranks(y[worst], Selected(x, items.x_rows), items.group[worst], items.group[items.x_rows])
        for k, i in enumerate(worst):
            cosine = round(float(x[i] @ y[i]), 4)
            out[k][space] = {"cosine": cosine, "x_to_y": int(to_y[k]), "y_to_x": int(to_x[k])}
    return out


def _ranks(
    queries: np.ndarray, gallery: Selected, query_items: np.ndarray, gallery_items: np.ndarray
) -> np.ndarray:
    return retrieval_ranks(queries, gallery, query_items=query_items, gallery_items=gallery_items)


def _rounded(values: np.ndarray) -> list[Any]:
    return np.asarray(values, dtype=np.float64).round(4).tolist()
