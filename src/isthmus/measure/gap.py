"""How far apart two modalities lie in a shared embedding space.

Functions of arrays, in which every row counts: an image that stands in five
rows counts five times, and is at distance 0 from itself. ``isthmus.measure``
knows items, and counts the distinct rows of each once.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np

from isthmus.checks import check_embeddings, check_pairs
from isthmus.measure.distances import distances_within
from isthmus.measure.statistics import GapStatistics, relative_gap, unit_blocks


def alignment(x: Any, y: Any) -> float:
    r"""Mean cosine of true pairs.

    .. math:: \frac{1}{n} \sum_i \cos(x_i, y_i)

    It rises to about 0.8 when every image is mapped onto the mean caption,
    so on its own it proves nothing: read it beside the recall.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Paired embeddings; of raw or unit rows, the cosine is the same.

    Returns
    -------
    float
        In [-1, 1]; 1 where pairs coincide in direction.

    Raises
    ------
    ValueError
        Shapes differ, n < 2, or a row is zero or not finite.

    References
    ----------
    .. [1] Vu et al., "Closing the Gap of Latent Spaces for Image-Text Arithmetic", equation 1;
       after Goel et al., "CyCLIP", NeurIPS 2022.

    Examples
    --------
    >>> alignment([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]])
    0.5
    """
    return _statistics(x, y).alignment


def l2m(x: Any, y: Any) -> float:
    r"""Distance between the means of the two modalities: the length of the gap.

    .. math:: \left\| \frac{1}{n} \sum_i x_i - \frac{1}{n} \sum_i y_i \right\|

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Paired embeddings; rows are scaled to unit length first.

    Returns
    -------
    float
        In [0, 2]. Of n pairs without any gap it is not 0 but about
        ``sqrt(var / n)``, with ``var`` the summed variance of ``x - y``.

    Raises
    ------
    ValueError
        Shapes differ, n < 2, or a row is zero or not finite.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap", NeurIPS 2022, section 2.
    .. [2] Vu et al., "Closing the Gap of Latent Spaces for Image-Text Arithmetic", equation 2.

    Examples
    --------
    >>> l2m([[1.0, 0.0], [1.0, 0.0]], [[0.0, 3.0], [0.0, 3.0]])
    1.4142135623730951
    """
    return _statistics(x, y).l2m


def relative_modality_gap(x: Any, y: Any, distance: Literal["euclidean", "cosine"] = "euclidean") -> float:
    r"""Distance of true pairs relative to the spread within each modality.

    .. math:: \frac{m}{m + (d_x + d_y) / 2}

    :math:`m` is the mean distance of true pairs, :math:`d_x` and :math:`d_y`
    the mean distances of different rows of one modality. ``"euclidean"``
    takes the distance of unit rows, equation 3 of [1]_; ``"cosine"`` takes
    ``(1 - cosine) / 2``, as [2]_ does, exact from sums. Both are called RMG in
    print, and they differ: name the one you report.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Paired embeddings; rows are scaled to unit length first.
    distance : {"euclidean", "cosine"}, default="euclidean"
        Which RMG.

    Returns
    -------
    float
        In [0, 1]. 0: pairs coincide. 0.5: a pair is as far apart as two random
        items of one modality. 1: each modality is a single point.

    Raises
    ------
    ValueError
        Shapes differ, n < 2, a row is zero or not finite, `distance` is
        unknown, or every row of both is one direction (0 / 0).

    References
    ----------
    .. [1] Vu et al., "Closing the Gap of Latent Spaces for Image-Text Arithmetic", equation 3.
    .. [2] Schrodi et al., "Two Effects, One Trigger", ICLR 2025, section 3.

    Examples
    --------
    >>> image, text = [[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0]]
    >>> relative_modality_gap(image, text, distance="cosine")
    0.6666666666666666
    """
    if distance == "cosine":
        return _statistics(x, y).rmg_cosine
    if distance != "euclidean":
        raise ValueError(f"distance must be 'euclidean' or 'cosine', got {distance!r}")
    x, y = check_pairs(x, y)
    total = sum(float(np.linalg.norm(a - b, axis=1).sum()) for a, b in unit_blocks(x, y))
    within = distances_within(x).mean() + distances_within(y).mean()
    return relative_gap(total / len(x), float(within) / 2)


def gap_share(x: Any, y: Any, k: int) -> float:
    """Share of the squared mean difference that its `k` largest dimensions hold.

    In CLIP a handful of dimensions hold most of the gap.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Paired embeddings; rows are scaled to unit length first.
    k : int
        How many dimensions, 1 <= k <= dim.

    Returns
    -------
    float
        In [0, 1]; 1 for k = dim; 0 where there is no gap at all.

    Raises
    ------
    ValueError
        Shapes differ, n < 2, a row is zero or not finite, or `k` is out of range.

    References
    ----------
    .. [1] Schrodi et al., "Two Effects, One Trigger", ICLR 2025, section 4.

    Examples
    --------
    >>> gap_share([[0.6, 0.8], [0.6, 0.8]], [[0.6, -0.8], [0.6, -0.8]], k=1)
    1.0
    """
    statistics = _statistics(x, y)
    dim = statistics.means.shape[1]
    if not 1 <= k <= dim:
        raise ValueError(f"k must be between 1 and dim = {dim}, got {k}")
    return statistics.gap_share(k)


def mean_cosine_within(x: Any) -> float:
    """Mean cosine of two different rows of one modality: how narrow its cone is.

    Parameters
    ----------
    x : array-like of shape (n, dim)
        Embeddings; of raw or unit rows, the cosine is the same.

    Returns
    -------
    float
        In [-1, 1]; 0 for directions spread evenly, 1 for a single direction.
        Exact from the sum of unit rows, in O(n dim).

    Raises
    ------
    ValueError
        n < 2, or a row is zero or not finite.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap", NeurIPS 2022, section 3: the cone effect.

    Examples
    --------
    >>> mean_cosine_within([[1.0, 0.0], [0.0, 1.0]])
    0.0
    """
    return _statistics(x, x).cone[0]


def uniformity(x: Any) -> float:
    r"""Logarithm of the mean Gaussian potential of two different rows.

    .. math:: \log \frac{1}{n (n - 1)} \sum_{i \ne j} e^{-2 \|x_i - x_j\|^2}

    Parameters
    ----------
    x : array-like of shape (n, dim)
        Embeddings; rows are scaled to unit length first.

    Returns
    -------
    float
        In [-8, 0]; 0 for a single direction, about -4 for directions spread
        evenly over many dimensions. Lower is more uniform.

    Raises
    ------
    ValueError
        n < 2, or a row is zero or not finite.

    References
    ----------
    .. [1] Wang and Isola, "Understanding Contrastive Representation Learning", ICML 2020, section 4.

    Examples
    --------
    >>> round(uniformity([[1.0, 0.0], [-1.0, 0.0]]), 6)
    -8.0
    """
    x = check_embeddings(x)
    if len(x) < 2:
        raise ValueError(f"expected at least 2 rows, got {len(x)}")
    potential = distances_within(x, potential=True)[1]
    return float(np.log(potential.mean()))


def modality_probe(x: Any, y: Any, *, groups: Any = None, seed: int = 0) -> np.ndarray:
    """Whether a linear probe tells the modality of each row, trained on the other half of the items.

    The probe is ridge regression onto +1 and -1, cross-fitted in two halves.
    1 everywhere: the modalities are linearly separable, as CLIP's are; 0.5 on
    average: nothing linear is left of the gap.

    Parameters
    ----------
    x, y : array of shape (n, dim)
        Paired embeddings, already checked; rows are scaled to unit length.
    groups : ndarray of int, shape (n,), optional
        Item of each pair; an item is never in both halves.
    seed : int, default=0
        Of the halves.

    Returns
    -------
    ndarray of float, shape (2, n)
        1 where the modality of the row of x, of y, was told right, else 0.

    References
    ----------
    .. [1] Shi et al., "Towards Understanding the Modality Gap in CLIP", ICLR 2023 workshop.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> float(modality_probe(x + 9, x - 9).mean())
    1.0
    """
    n, dim = x.shape
    groups = np.arange(n) if groups is None else groups
    half = np.random.default_rng(seed).permutation(int(groups.max()) + 1)[groups] % 2
    sums, grams = np.zeros((2, 2, dim)), np.zeros((2, dim, dim))  # of each half; of x and of y, together
    for rows, a, b in _numbered(unit_blocks(x, y)):
        for h in (0, 1):
            inside = half[rows] == h
            u, v = a[inside], b[inside]
            sums[h] += u.sum(axis=0), v.sum(axis=0)
            grams[h] += u.T @ u + v.T @ v
    count = np.bincount(half, minlength=2)
    middles = sums.mean(axis=1) / count[:, None]  # (2, dim): half-way between the means of a half
    weights = np.empty((2, dim))
    for h in (0, 1):
        gram = grams[h] - 2 * count[h] * np.outer(middles[h], middles[h])
        gram.flat[:: dim + 1] += 1e-2 * np.trace(gram) / dim + 1e-12
        weights[h] = np.linalg.solve(gram, sums[h, 0] - sums[h, 1])
    right = np.empty((2, n))
    for rows, a, b in _numbered(unit_blocks(x, y)):
        other = 1 - half[rows]  # the half that the row was not trained on
        for k, sign, unit in ((0, 1, a), (1, -1, b)):
            side = np.einsum("nd,nd->n", unit - middles[other], weights[other])
            right[k, rows] = sign * side > 0
    return right


def _numbered(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield each block with the rows it holds."""
    start = 0
    for a, b in pairs:
        yield slice(start, start := start + len(a)), a, b


def _statistics(x: Any, y: Any) -> GapStatistics:
    return GapStatistics().update(*check_pairs(x, y))
