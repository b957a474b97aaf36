"""Figures with their spread: distributions as histograms, and single values with intervals."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

BINS = 60
_FINE = 20_000  # bins that values are counted in before they are joined into at most BINS


@dataclass(frozen=True, eq=False)
class Distribution:
    """Mean, standard deviation (divisor: how many) and histogram of one figure.

    Examples
    --------
    >>> found = distribution_of(np.array([0.0, 1.0, 1.0]), isotropic=(0.5, 0.5))
    >>> found.count, round(found.mean, 3), found.counts[[0, -1]]
    (3, 0.667, array([1, 2]))
    """

    count: int  # values counted
    mean: float
    std: float
    edges: np.ndarray  # (bins + 1,) of the histogram's bins, at most BINS of them
    counts: np.ndarray  # (bins,) values in each
    isotropic: tuple[float, float]  # mean and std if noise and spans were isotropic
    paper: tuple[float, float] | None = None  # as Table 1 of C3 has them

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {
            "count": self.count,
            "mean": self.mean,
            "std": self.std,
            "isotropic_mean": self.isotropic[0],
            "isotropic_std": self.isotropic[1],
            "paper_mean": self.paper[0] if self.paper else None,
            "paper_std": self.paper[1] if self.paper else None,
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
        }


@dataclass(frozen=True)
class Single:
    """One value, its 95% interval where it has one, and what it would be if all were isotropic."""

    value: float
    isotropic: float | None = None
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "isotropic": self.isotropic}


def distribution_of(
    values: np.ndarray, *, isotropic: tuple[float, float], paper: tuple[float, float] | None = None
) -> Distribution:
    """Return the distribution of a few values, such as one per dimension, over their own range.

    Examples
    --------
    >>> distribution_of(np.array([2.0, 2.0]), isotropic=(2.0, 0.0)).counts.sum()
    np.int64(2)
    """
    low, high = float(values.min()), float(values.max())
    least = max(abs(low), abs(high), 1e-300) * 1e-9  # narrower, and bins would be narrower than rounding
    if high - low < least:
        low, high = low - least, high + least
    counts, edges = np.histogram(values, bins=BINS, range=(low, high))
    return Distribution(
        len(values), float(values.mean()), float(values.std()), edges, counts, isotropic, paper
    )


class Tally:
    """Count values between two bounds, block by block and in any order, without keeping them.

    Examples
    --------
    >>> tally = Tally(-1, 1).add(np.array([0.5])).merge(Tally(-1, 1).add(np.array([0.1, 0.3])))
    >>> tally.count, round(tally.mean, 3), round(tally.std, 3)
    (3, 0.3, 0.163)
    """

    def __init__(self, low: float, high: float):
        self.low, self.high = low, high
        self.count, self.mean, self._scatter = 0, 0.0, 0.0
        self._counts = np.zeros(_FINE, dtype=np.int64)

    def add(self, values: np.ndarray) -> Self:
        """Count values of shape (n,), and return the tally; rounding may put them just out of bounds."""
        if not len(values):
            return self
        bins = ((values - self.low) * (_FINE / (self.high - self.low))).astype(np.int64)
        counts = np.bincount(np.clip(bins, 0, _FINE - 1), minlength=_FINE)
        mean = float(values.mean())
        return self._join(len(values), mean, float(((values - mean) ** 2).sum()), counts)

    def merge(self, other: "Tally") -> Self:
        """Add what another tally of the same bounds has counted, and return this one."""
        return self._join(other.count, other.mean, other._scatter, other._counts)

    def _join(self, count: int, mean: float, scatter: float, counts: np.ndarray) -> Self:
        total, shift = self.count + count, mean - self.mean
        if count:
            self._scatter += scatter + shift**2 * self.count * count / total
            self.mean += shift * count / total
            self.count = total
            self._counts = self._counts + counts
        return self

    @property
    def std(self) -> float:
        """Standard deviation of what was counted (divisor: how many)."""
        return float(np.sqrt(self._scatter / self.count))

    def distribution(
        self,
        *,
        isotropic: tuple[float, float],
        paper: tuple[float, float] | None = None,
        mean: float | None = None,
    ) -> Distribution:
        """Return the distribution, its bins joined to cover the range of the values with at most `BINS`.

        Parameters
        ----------
        isotropic : tuple of float
            Mean and std that an isotropic space would have.
        paper : tuple of float, optional
            Mean and std in print.
        mean : float, optional
            The mean of all values, where only a sample of them was counted.

        Returns
        -------
        Distribution
            Of all that was counted.

        Raises
        ------
        ValueError
            Nothing was counted.
        """
        if not self.count:
            raise ValueError("expected pairs of rows that differ, got groups in which all are equal")
        used = np.flatnonzero(self._counts)
        first, last = int(used[0]), int(used[-1])
        width = -(-(last - first + 1) // BINS)  # fine bins in one, rounded up
        bins = -(-(last - first + 1) // width)
        first = max(0, min(first, _FINE - bins * width))
        room = np.zeros(bins * width, dtype=np.int64)
        part = self._counts[first : first + bins * width]
        room[: len(part)] = part
        edges = self.low + (first + width * np.arange(bins + 1)) * ((self.high - self.low) / _FINE)
        counts = room.reshape(bins, width).sum(axis=1)
        value = self.mean if mean is None else mean
        return Distribution(self.count, value, self.std, edges, counts, isotropic, paper)
