"""Intervals: every figure recomputed on resampled items."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

_DRAWS = 1000
_BINS = 2000  # more items than this are resampled in this many bins of items, drawn once at random
_LEVEL = (0.025, 0.975)
_FEW = 10  # items on one side of a share: with fewer, percentile intervals of 95% cover as little as 86%


class Figure(NamedTuple):
    """A measured value and the bounds of its 95% interval."""

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        spec = spec or ".3f"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        return format(self)


class Bootstrap:
    """Resamples items, with one set of weights for all figures of a data set.

    A *replicated* quantity is an array whose first entry is the value on the
    data as they are, followed by one entry per resample. What is computed from
    replicated quantities with ordinary arithmetic is replicated again.

    Parameters
    ----------
    group : ndarray of int, shape (n,)
        Item of each row; items are resampled whole, with all their rows.
    seed : int
        Of the resamples.

    References
    ----------
    .. [1] Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
       section 13.3: percentile intervals.

    Examples
    --------
    >>> boot = Bootstrap(np.arange(100), seed=0)
    >>> print(boot.figure(boot.mean(np.arange(100.0))))
    49.500 [43.998, 55.291]
    """

    def __init__(self, group: np.ndarray, seed: int):
        rng = np.random.default_rng(seed)
        count = int(group.max()) + 1
        self.bins = min(count, _BINS)
        bin_of_item = np.arange(count) if count <= _BINS else rng.permutation(count) % _BINS
        self.bin = bin_of_item[group]  # (n,)
        drawn = rng.multinomial(self.bins, np.full(self.bins, 1 / self.bins), size=_DRAWS)
        self.weights = np.vstack([np.ones(self.bins), drawn])  # (1 + draws, bins)

    def mean(self, values: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Replicate the mean of `values`, one per row; shape (1 + draws,)."""
        return self.mean_of_bins(self._sum(rows, values), self._sum(rows))

    def mean_of_bins(self, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Replicate a mean from its sums and counts by bin, (bins,) each."""
        weight = np.maximum(self.weights @ counts, 1e-300)
        return (self.weights @ sums) / weight

    def pairwise_mean(self, sums: np.ndarray, counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Replicate the mean over pairs of `rows`, given each row's sum over its pairs and their number."""
        return twice_the_move(self.mean_of_bins(self._sum(rows, sums), self._sum(rows, counts)))

    def mean_vector(self, sums: np.ndarray, counts: np.ndarray) -> "MeanVector":
        """Return the mean of rows, from their sums (bins, dim) and counts (bins,) by bin, with its moves."""
        mean = sums.sum(axis=0) / counts.sum()
        influence = (sums - np.outer(counts, mean)) / counts.mean()
        excess = self.weights[1:] - 1
        return MeanVector(mean, influence, excess, excess @ influence / self.bins)

    def _sum(self, rows: np.ndarray | slice, values: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(self.bin[rows], weights=values, minlength=self.bins)

    def median(self, values: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Replicate the median (the lower one of two) of `values`; shape (1 + draws,)."""
        order = np.argsort(values, kind="stable")
        bins, ordered = self.bin[rows][order], values[order]
        levels, level = np.unique(ordered, return_inverse=True)
        out = np.empty(len(self.weights))
        for start in range(0, len(out), 64):
            weights = self.weights[start : start + 64, bins]  # (64, n)
            below = np.cumsum(weights, axis=1)
            first = (below < below[:, -1:] / 2).sum(axis=1)
            out[start : start + 64] = levels[level[np.minimum(first, len(level) - 1)]]
        return out

    def sums_by_bin(self, rows: np.ndarray | slice, block: np.ndarray) -> np.ndarray:
        """Sum the rows of a block (len(rows), dim) over the bins of `rows`: (bins, dim)."""
        bins = self.bin[rows]
        pick = csr_array((np.ones(len(bins)), (bins, np.arange(len(bins)))), shape=(self.bins, len(bins)))
        return pick @ block

    @staticmethod
    def figure(replicated: np.ndarray, *, share_of: int | None = None) -> Figure:
        """Return the value and its 95% percentile interval, stretched to hold the value.

        A value may be biased by its definition where the interval is not, as that of `l2m` is.

        Parameters
        ----------
        replicated : ndarray of shape (1 + draws,)
            A replicated quantity.
        share_of : int, optional
            It is a share, or a mean of values in [0, 1], of so many items. Where fewer than ten of them
            are on one side of it, resamples differ too little, and the interval is that of Clopper and
            Pearson [1]_ for as many items as have its variance [2]_.

        References
        ----------
        .. [1] Clopper and Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the
           Binomial", Biometrika 1934.
        .. [2] Korn and Graubard, "Confidence Intervals for Proportions with Small Expected Number of
           Positive Counts Estimated from Survey Data", Survey Methodology 1998.

        Examples
        --------
        >>> print(Bootstrap.figure(np.zeros(1001), share_of=90))
        0.000 [0.000, 0.040]
        """
        value, (low, high) = replicated[0], np.quantile(replicated[1:], _LEVEL)
        if share_of is not None:
            variance, spread = replicated[1:].var(), value * (1 - value)
            size = spread / variance if min(spread, variance) > 1e-12 else share_of
            if min(value, 1 - value) * size < _FEW:
                low, high = _clopper_pearson(value * size, size)
        return Figure(float(value), float(min(low, value)), float(max(high, value)))


def _clopper_pearson(count: float, size: float) -> tuple[float, float]:
    """Return the 95% interval of a share; neither number need be whole."""
    from scipy.stats import beta

    low, high = _LEVEL
    low = beta.ppf(low, count, size - count + 1) if count > 0 else 0.0
    return low, beta.ppf(high, count + 1, size - count) if count < size else 1.0


@dataclass(frozen=True)
class MeanVector:
    """A mean of rows, and how far each bin and each resample move it, to first order."""

    value: np.ndarray  # (dim,)
    influence: np.ndarray  # (bins, dim) how far a bin moves it, times the number of bins; sums to 0
    excess: np.ndarray  # (draws, bins) how often a resample holds a bin, less 1
    moves: np.ndarray  # (draws, dim)

    def __sub__(self, other: "MeanVector") -> "MeanVector":
        influence, moves = self.influence - other.influence, self.moves - other.moves
        return MeanVector(self.value - other.value, influence, self.excess, moves)

    def squared_length(self, dims: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Replicate the squared length of the population's mean, in some dimensions.

        The squared length of a sample's mean holds its noise as well: the variance over the number of
        bins. Without it, what is left is the mean product of two different bins, a U-statistic; in a
        resample, too, no bin is paired with its own copy. Where rows do not vary along their mean at all,
        the interval is up to the square root of 3 too wide; narrower ones miss too often where the mean is
        about as long as its noise.

        Parameters
        ----------
        dims : ndarray of int or slice, optional
            Which dimensions; by default, all.

        Returns
        -------
        ndarray of shape (1 + draws,)
            Unbiased, so negative where the mean is shorter than its noise.

        References
        ----------
        .. [1] Hoeffding, "A Class of Statistics with Asymptotically Normal Distribution", 1948.

        Examples
        --------
        >>> boot = Bootstrap(np.arange(100), seed=0)
        >>> rows = np.random.default_rng(0).normal(size=(100, 50))  # of mean 0
        >>> mean = boot.mean_vector(rows, np.ones(100))
        >>> print(f"{(mean.value**2).sum():.2f}", boot.figure(mean.squared_length()))
        0.42 -0.079 [-0.371, 0.248]
        """
        value, moves, bins = self.value[dims], self.moves[:, dims], len(self.influence)
        own = (self.influence[:, dims] ** 2).sum(axis=1)  # (bins,)
        unbiased = value @ value - own.sum() / (bins * (bins - 1))
        products = (moves**2).sum(axis=1) - self.excess**2 @ own / bins**2
        return np.append(unbiased, unbiased + 2 * moves @ value + products)


def twice_the_move(mean: np.ndarray) -> np.ndarray:
    """Turn the replicated mean of row means into that of the mean over pairs of rows.

    To first order the latter moves by twice as much (Hoeffding's projection of a U-statistic); unlike a
    plain resample, this never pairs a row with its own copy.

    Examples
    --------
    >>> twice_the_move(np.array([1.0, 1.5, 0.75]))
    array([1. , 2. , 0.5])
    """
    return mean[0] + 2 * (mean - mean[0])
