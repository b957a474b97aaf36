"""The gap and the noise about it, from all pairs: its length without bias, its spread, its normality."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.checks import blocks, unit_rows
from isthmus.measure.bootstrap import Bootstrap, Figure
from isthmus.measure.geometry_spectrum import Span, chosen
from isthmus.measure.statistics import unit_blocks
from isthmus.measure.threads import in_threads

MAX_TESTED = 2_000  # residuals that normality is tested on: of a million, any shape is told from Gaussian
LEAST_TESTED = 50  # fewer cannot tell noise that is uniform, for one, from Gaussian
_LEVEL = 0.05
_HIGH = 0.975  # quantile that a 95% interval ends at
_PART_ROWS = 16_384
_PARTS = 3
LEAST_DIRECTED = 2 * _PARTS  # each part has a variance
_PILOT = 1_000  # pairs whose mean difference is the origin of sums

Advance = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Differences:
    """Sums of the differences of pairs ``x - y``, one pair of each item."""

    rows: np.ndarray  # (n,) of the pairs
    part: np.ndarray  # (n,) which of three random parts each is in
    part_gaps: np.ndarray  # (3, dim) mean difference of each part
    gap: np.ndarray  # (dim,) mean difference
    covariance: np.ndarray  # (dim, dim) of the differences, divisor n - 1


@dataclass(frozen=True)
class Replicates:
    """Figures of the gap with 95% intervals over items."""

    length: Figure
    constant_share: Figure
    noise_std: Figure
    ratio_x: Figure | None  # variance of x along the gap to its span's; None where the gap may be 0
    ratio_y: Figure | None


def differences(x: Any, y: Any, rows: np.ndarray, seed: int, advance: Advance) -> Differences:
    """Sum the differences of the pairs at `rows`, ascending, in one pass."""
    n, dim = len(rows), x.shape[1]
    part = np.random.default_rng(seed).permutation(n) % _PARTS
    a, b = chosen(x, rows), chosen(y, rows)
    near = (unit_rows(a[:_PILOT]) - unit_rows(b[:_PILOT])).mean(axis=0)  # sums about it lose no digits

    def sums(within: slice) -> tuple[int, np.ndarray, np.ndarray]:
        total, scatter, start = np.zeros((_PARTS, dim)), np.zeros((dim, dim)), within.start
        for u, v in unit_blocks(a, b, within):
            d = u - v - near
            here = part[start : start + len(d)]
            start += len(d)
            scatter += d.T @ d
            for k in range(_PARTS):
                total[k] += d[here == k].sum(axis=0)
        return start - within.start, total, scatter

    total, scatter = np.zeros((_PARTS, dim)), np.zeros((dim, dim))
    for count, new, products in in_threads(sums, blocks(n, dim, _PART_ROWS)):
        total += new
        scatter += products
        advance(count)
    shift = total.sum(axis=0) / n
    covariance = (scatter - n * np.outer(shift, shift)) / (n - 1)
    part_gaps = near + total / np.bincount(part)[:, None]
    return Differences(rows, part, part_gaps, near + shift, covariance)


def replicate(
    x: Any, y: Any, sums: Differences, spans: tuple[Span, Span], *, seed: int, advance: Advance
) -> Replicates:
    r"""Give the gap's figures intervals over items.

    The squared length is the mean of :math:`d_i \cdot d_j` over pairs of different items, to which
    the noise adds nothing; in resamples, too, no item is paired with its own copy. The variance of a
    modality along the gap is :math:`c_1^\top C_3\, c_2 / (c_1 \cdot c_2)` with the gaps
    :math:`c_1, c_2` and the covariance :math:`C_3` each from another third of the items, numerator and
    denominator each a mean of all three ways: noise in the direction, which
    leans towards where the modality spreads, then counts neither as length nor as spread. It is
    divided by :math:`\mathrm{tr}\, C^2 / \mathrm{tr}\, C`, the mean variance along the span's own
    directions, each counted by its variance. Squared lengths and variances can come out below 0; a
    variance along a gap that cannot be told from 0 is none, and so is one from fewer than 6 pairs.

    Resamples move the ratio by what each item adds to the variance, to the gap (whose direction is
    then another) and to the scale, to first order in each. Where rows hardly vary along the gap this is
    next to nothing, and what is left is the noise of two thirds' gaps in one product, drawn beside it.

    Parameters
    ----------
    x, y : array of shape (n, dim)
        Paired embeddings.
    sums : Differences
        Of the same.
    spans : tuple of Span
        Of x and of y.
    seed : int
        Of the resamples.
    advance : callable
        Told of how many more rows have been read.

    Returns
    -------
    Replicates
        Of unit rows.
    """
    n = len(sums.rows)
    others = [[(k + j) % _PARTS for j in (1, 2)] for k in range(_PARTS)]
    toward = sums.part_gaps[others]  # (3, 2, dim): for the rows of each part, the gaps of the other two
    slopes = np.stack([_slope(sums.gap, span.covariance) for span in spans])  # (2, dim)
    a, b = chosen(x, sums.rows), chosen(y, sums.rows)
    boot = Bootstrap(np.arange(n), seed)
    sums_by_bin = np.zeros((boot.bins, x.shape[1]))  # of the differences
    square = np.empty(n)
    onto = np.empty((2, n, 2))  # of each modality, onto the gaps of the other two parts
    lean, stretch = np.empty((2, 2, n))  # how each row moves the variance through the gap; the scale

    def project(within: slice) -> tuple[int, np.ndarray]:
        start, by_bin = within.start, np.zeros_like(sums_by_bin)
        for u, v in unit_blocks(a, b, within):
            here = slice(start, start := start + len(u))
            d = u - v
            square[here] = np.einsum("nd,nd->n", d, d)
            by_bin += boot.sums_by_bin(here, d)
            lean[:, here] = slopes @ (d - sums.gap).T
            for k, unit in enumerate((u, v)):
                all_ways = (unit @ toward.reshape(-1, unit.shape[1]).T).reshape(-1, _PARTS, 2)
                onto[k, here] = all_ways[np.arange(len(unit)), sums.part[here]]
                stretch[k, here] = _stretch(unit, spans[k])
        return start - within.start, by_bin

    for count, by_bin in in_threads(project, blocks(n, x.shape[1], _PART_ROWS)):
        sums_by_bin += by_bin
        advance(count)
    length, constant_share, noise_std = _gap_and_noise(boot, sums_by_bin, square)
    for moves in (lean, stretch):  # of mean 0 but for divisors, and for rows that several items share
        moves -= moves.mean(axis=1, keepdims=True)
    norms = np.array([sums.part_gaps[i] @ sums.part_gaps[j] for i, j in others])
    ratios: list[Figure | None] = [None, None]
    if length.low > 0 and norms.mean() > 1e-24 and n >= LEAST_DIRECTED:
        for k, span in enumerate(spans):
            moves = (_spread(onto[k], sums.part) / norms.mean() + lean[k]) / span.spectrum.scale
            moves -= moves.mean() * stretch[k]
            first = boot.mean(moves)
            crossed = _crossed(sums.covariance, span.covariance, n, size=len(first) - 1, seed=seed)
            drawn = first + np.r_[0, crossed] / (norms.mean() * span.spectrum.scale)
            ratios[k] = boot.figure(_of_so_few(drawn, moves))
    return Replicates(
        length=length,
        constant_share=constant_share,
        noise_std=noise_std,
        ratio_x=ratios[0],
        ratio_y=ratios[1],
    )


def _gap_and_noise(boot: Bootstrap, sums: np.ndarray, square: np.ndarray) -> tuple[Figure, Figure, Figure]:
    """Length of the gap, its share of the mean squared distance, and the noise's standard deviation.

    From sums of the differences by bin (bins, dim), and their squared lengths (n,). Values are over pairs of
    items, resamples over pairs of bins. A resample's U-statistic lies higher than the value, by the noise of
    one bin over the square of the bins: next to nothing, but for a few items in many dimensions more than
    resamples spread. The noise's variance moves by factors: what is skewed to the right reaches further up.
    """
    n, (bins, dim) = len(square), sums.shape
    counts = np.bincount(boot.bin, minlength=bins)
    gap = boot.mean_vector(sums, counts)
    squared = gap.squared_length()
    squared[1:] -= (gap.influence**2).sum() / bins**3
    squared += (n * (gap.value @ gap.value) - square.mean()) / (n - 1) - squared[0]
    whole = boot.mean(square)
    share, noise = squared / whole, whole - squared
    along = 2 * gap.influence @ gap.value  # how each bin moves the squared length
    by_bin = np.bincount(boot.bin, weights=square, minlength=bins)
    apart = (by_bin - counts * whole[0]) / counts.mean()  # and the mean squared distance
    noise = _of_so_few(noise, apart - along)
    return (
        boot.figure(np.sqrt(np.maximum(_of_so_few(squared, along), 0))),
        boot.figure(np.clip(_of_so_few(share, along - share[0] * apart), 0, 1)),
        boot.figure(np.sqrt(noise[0] / dim) * np.exp((noise / noise[0] - 1) / 2)),
    )


def _of_so_few(replicated: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Widen resamples of few items as Student's t is wider than the normal distribution.

    Resamples spread by the divisor n and know nothing of how uncertain their own spread is [1]_: the more,
    the fewer items move the figure far. A spread of moves of kurtosis k is known as well as that of
    2 (n - 1) / (k - 1) normal ones [2]_.

    Parameters
    ----------
    replicated : ndarray of shape (1 + draws,)
        The value, and that of each resample.
    moves : ndarray of shape (n,)
        How each item, or bin of items, moves the value, up to a constant and a factor.

    References
    ----------
    .. [1] Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 2015,
       section 5.3: expanded percentile intervals.
    .. [2] Satterthwaite, "An Approximate Distribution of Estimates of Variance Components", Biometrics 1946.
    """
    from scipy.special import ndtri, stdtrit

    n, about = len(moves), moves - moves.mean()
    variance = (about**2).mean()
    kurtosis = (about**4).mean() / variance**2 if variance > 1e-24 else 3.0
    known = 2 * (n - 1) / (max(kurtosis, 3.0) - 1)
    wider = float(stdtrit(known, _HIGH) / ndtri(_HIGH)) * np.sqrt(n / (n - 1))
    return replicated[0] + wider * (replicated - replicated[0])


def _slope(gap: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """How the variance along the gap, c'Cc / c'c, moves with the gap (dim,)."""
    square = float(gap @ gap)
    if square < 1e-24:
        return np.zeros_like(gap)
    spread = covariance @ gap
    return 2 * (spread - gap * (gap @ spread) / square) / square


def _crossed(noise: np.ndarray, span: np.ndarray, n: int, *, size: int, seed: int) -> np.ndarray:
    r"""Draw the mean over pairs of thirds of :math:`\delta_i^\top C \delta_j`, as often as `size` says.

    :math:`\delta_i` is the noise of the gap of a third of `n` pairs, Gaussian of covariance ``3 noise / n``;
    only the eigenvalues of ``noise @ span`` matter.
    """
    values, vectors = np.linalg.eigh(span)
    half = vectors * np.sqrt(np.maximum(values, 0))
    weights = np.linalg.eigvalsh(half.T @ noise @ half)
    a, b, c = np.random.default_rng(seed).normal(size=(_PARTS, size, len(weights)))
    return (a * b + b * c + c * a) @ weights / n  # 3 / n each, and the mean of three


def _stretch(unit: np.ndarray, span: Span) -> np.ndarray:
    """By what share of itself each row (n, dim) moves tr C^2 / tr C."""
    about = unit - span.mean
    square = np.einsum("nd,nd->n", about, about)
    spread = np.einsum("nd,nd->n", about @ span.covariance, about)
    whole, whole_square = np.trace(span.covariance), float((span.covariance**2).sum())
    return 2 * (spread / whole_square - 1) - (square / whole - 1)


def _spread(onto: np.ndarray, part: np.ndarray) -> np.ndarray:
    """What each row adds to the variance along the gap, from projections (n, 2) onto two parts' gaps."""
    counts = np.bincount(part, minlength=_PARTS)
    means = np.stack([np.bincount(part, weights=column) / counts for column in onto.T], axis=1)  # (3, 2)
    about = onto - means[part]
    return about[:, 0] * about[:, 1] * (counts / (counts - 1))[part]


def normality(x: Any, y: Any, rows: np.ndarray, seed: int) -> tuple[int, float | None, float | None]:
    """Test each dimension of the noise for normality, on at most 2,000 pairs drawn at random.

    Returns
    -------
    tuple
        How many pairs; the share of dimensions, of those that vary, whose D'Agostino-Pearson test
        rejects at 0.05; their mean excess kurtosis. None for fewer than 50 pairs.

    References
    ----------
    .. [1] D'Agostino and Pearson, "Tests for departure from normality", Biometrika 1973.
    """
    from scipy.stats import kurtosis, normaltest

    if len(rows) < LEAST_TESTED:
        return len(rows), None, None
    drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:MAX_TESTED])
    residual = unit_rows(x[drawn]) - unit_rows(y[drawn])
    residual -= residual.mean(axis=0)
    spread = residual.std(axis=0)
    residual = residual[:, spread > 1e-6 * spread.max()]  # a constant dimension has no shape
    rejected = normaltest(residual).pvalue < _LEVEL
    return len(drawn), float(rejected.mean()), float(kurtosis(residual, bias=False).mean())
