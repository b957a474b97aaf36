"""Over how many directions embeddings spread, and how evenly."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.measure import geometry_isotropic as isotropic
from isthmus.measure.dimension import spectrum_dimension
from isthmus.measure.items import Selected
from isthmus.measure.statistics import moments

SHARE = 0.99  # gamma of Definition 1


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Spread of rows about their mean, direction by direction.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(1000, 8)) * [1, 1, 1, 1, 0, 0, 0, 0]
    >>> found = spectrum(np.cov(rows, rowvar=False), 1000)
    >>> found.effective_dimension, round(found.participation_ratio, 1)
    (4, 4.0)
    """

    rows: int  # that it comes from
    variance: float  # in all directions together
    shares: np.ndarray  # (dim,) of the variance along each principal direction, descending, of sum 1
    effective_dimension: int  # directions that hold 0.99 of the variance
    participation_ratio: float  # tr(C)^2 / tr(C^2), corrected for few rows; [1, dim]
    isotropic_effective_dimension: int  # of so many isotropic rows
    isotropic_largest: float  # share along the largest direction of so many isotropic rows

    @property
    def scale(self) -> float:
        """Mean variance along the directions of the spread itself, each counted by its variance."""
        return self.variance / self.participation_ratio

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {
            "rows": self.rows,
            "variance": self.variance,
            "effective_dimension": self.effective_dimension,
            "participation_ratio": self.participation_ratio,
            "isotropic_effective_dimension": self.isotropic_effective_dimension,
            "isotropic_largest": self.isotropic_largest,
            "shares": self.shares.tolist(),
        }


@dataclass(frozen=True, eq=False)
class Span:
    """Moments of the unit rows of one modality.

    Examples
    --------
    >>> Span.of(np.eye(3), np.arange(3), name="x").mean.round(3)
    array([0.333, 0.333, 0.333])
    """

    mean: np.ndarray  # (dim,)
    covariance: np.ndarray  # (dim, dim), divisor n - 1
    spectrum: Spectrum

    @classmethod
    def of(cls, array: Any, rows: np.ndarray, *, name: str) -> "Span":
        """Return the moments of some rows of an array (n, dim), in one pass."""
        n = len(rows)
        mean, covariance = moments(chosen(array, rows))
        covariance *= n / (n - 1)
        return cls(mean, covariance, spectrum(covariance, n, name=f"rows of {name}"))


def chosen(array: Any, rows: np.ndarray) -> Any:
    """Return rows of an array, read when they are needed; all of them are the array itself."""
    return array if len(rows) == len(array) else Selected(array, rows)


def spectrum(covariance: np.ndarray, n: int, *, name: str = "rows") -> Spectrum:
    r"""Return the spectrum of a covariance of `n` rows (divisor n - 1).

    The participation ratio of a sample is too small: of 500 isotropic rows in 512 dimensions it is
    about 250. Of Gaussian rows, with :math:`N = n - 1`, the unbiased estimates are

    .. math:: \widehat{\mathrm{tr}\, C^2} = \frac{N^2}{(N - 1)(N + 2)}
              \left(\mathrm{tr}\, S^2 - (\mathrm{tr}\, S)^2 / N\right), \quad
              \widehat{(\mathrm{tr}\, C)^2} = (\mathrm{tr}\, S)^2 - 2\, \widehat{\mathrm{tr}\, C^2} / N

    Parameters
    ----------
    covariance : ndarray of shape (dim, dim)
        Divisor n - 1.
    n : int
        Rows, at least 3.
    name : str, default="rows"
        What to call them in an error.

    Returns
    -------
    Spectrum
        Shares in [0, 1].

    Raises
    ------
    ValueError
        All rows are equal.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Definition 1 and Figure 3.
    .. [2] Srivastava, "Some tests concerning the covariance matrix in high dimensional data", 2005.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(500, 512))
    >>> found = spectrum(np.cov(rows, rowvar=False), 500)
    >>> round(found.participation_ratio), found.effective_dimension, found.isotropic_effective_dimension
    (512, 390, 390)
    """
    dim, degrees = len(covariance), n - 1
    variance, square = float(np.trace(covariance)), float((covariance**2).sum())
    if variance < 1e-12:
        raise ValueError(f"expected {name} that differ, got {n} that are all equal")
    true_square = degrees**2 / ((degrees - 1) * (degrees + 2)) * (square - variance**2 / degrees)
    ratio = (variance**2 - 2 * true_square / degrees) / max(true_square, variance**2 * 1e-12)
    value = np.maximum(np.linalg.eigvalsh(covariance)[::-1], 0)
    shares = value / value.sum()
    return Spectrum(
        rows=n,
        variance=variance,
        shares=shares,
        effective_dimension=spectrum_dimension(shares, SHARE),
        participation_ratio=float(np.clip(ratio, 1, dim)),
        isotropic_effective_dimension=isotropic.effective_dimension(dim, n, SHARE),
        isotropic_largest=isotropic.largest_share(dim, n),
    )
