"""Closed-form aligners that learn from pairs."""

from typing import Any, Literal

import numpy as np

from isthmus.align.affine import MomentAligner
from isthmus.checks import blocks, check_number
from isthmus.measure.statistics import GapStatistics

_VARIES = 1e-12  # variance along a direction, as a share of the largest: less is rounding
_CORRELATES = 1e-6  # correlation, as a share of the largest: less is rounding


class MeanShift(MomentAligner):
    """Move both modalities towards each other along the gap.

    Parameters
    ----------
    strength : float, default=1.0
        Share of the gap that is closed: 0 leaves the rows as they are, 1
        brings the means together half-way (before scaling to unit length).

    References
    ----------
    .. [1] Liang et al., "Mind the Gap", NeurIPS 2022, section 4.2. Their shift ``lambda`` is
       ``strength / 2`` here.

    Examples
    --------
    >>> image, text = [[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]
    >>> MeanShift().fit(image, text).transform(image).round(3)
    array([[0.707, 0.707],
           [0.707, 0.707]])
    """

    _needs_covariance = False

    def __init__(self, strength: float = 1.0):
        self.strength = strength

    def _solve(self, statistics: GapStatistics) -> None:
        check_number(self.strength, "strength", "(-inf, inf)")
        x, y = statistics.means
        half = self.strength * (x - y) / 2
        self._set("x", None, -half)
        self._set("y", None, half)


class LinearMap(MomentAligner):
    """Ridge regression of the second modality on the first; the second stays as it is.

    Parameters
    ----------
    alpha : float or "auto", default="auto"
        Penalty, in units of the mean variance per dimension of X. "auto" takes
        the lowest generalised cross-validation error [1]_.

    Attributes
    ----------
    alpha_ : float
        The penalty taken.

    References
    ----------
    .. [1] Golub, Heath and Wahba, "Generalized Cross-Validation", Technometrics 1979, equation 1.3.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> image = rng.normal(size=(50, 3))
    >>> mapped, text = LinearMap().fit(image, image[:, ::-1]).transform(image, image[:, ::-1])
    >>> bool((mapped * text).sum(axis=1).min() > 0.99)
    True
    """

    def __init__(self, alpha: float | Literal["auto"] = "auto"):
        self.alpha = alpha

    def _solve(self, statistics: GapStatistics) -> None:
        (x_mean, y_mean), (xx, yy, xy) = statistics.means, statistics.covariances
        value, vector = np.linalg.eigh(xx)
        value = np.maximum(value, 0)
        unit = max(value.mean(), np.finfo(float).tiny)
        rotated = vector.T @ xy  # (dim, dim)
        if self.alpha == "auto":
            error = _gcv_error(value, rotated, np.trace(yy), statistics.pairs)
            self.alpha_ = float(min(np.logspace(-4, 3, 29), key=lambda a: error(a * unit)))
        else:
            check_number(self.alpha, "alpha", "[0, inf)")
            self.alpha_ = float(self.alpha)
        penalty = max(self.alpha_ * unit, np.finfo(float).eps * value.max(initial=0), np.finfo(float).tiny)
        matrix = vector @ (rotated / (value + penalty)[:, None])
        self._set("x", matrix, y_mean - x_mean @ matrix)
        self._set("y", None, np.zeros_like(y_mean))


def _gcv_error(value: np.ndarray, rotated: np.ndarray, total: float, n: int):
    """Generalised cross-validation error of ridge as a function of the penalty, from covariances."""
    square = (rotated**2).sum(axis=1)

    def error(penalty: float) -> float:
        shrunk = 1 / (value + penalty)
        residual = total - (square * (2 * shrunk - value * shrunk**2)).sum()
        freedom = 1 - (1 + (value * shrunk).sum()) / n  # the mean takes one degree of freedom
        return residual / max(freedom, 1e-6) ** 2

    return error


class Procrustes(MomentAligner):
    """The rotation, after the means are brought together, that takes X nearest to Y; Y stays as it is.

    A rotation keeps every distance within X.

    References
    ----------
    .. [1] Schönemann, "A Generalized Solution of the Orthogonal Procrustes Problem", Psychometrika 1966.

    Examples
    --------
    >>> text = np.random.default_rng(0).normal(size=(50, 2))
    >>> image = text @ [[0.0, 1.0], [-1.0, 0.0]]
    >>> bool(np.allclose(Procrustes().fit(image, text).x_matrix_, [[0, -1], [1, 0]]))
    True
    """

    def _solve(self, statistics: GapStatistics) -> None:
        x_mean, y_mean = statistics.means
        left, _, right = np.linalg.svd(statistics.covariances[2])
        matrix = left @ right
        self._set("x", matrix, y_mean - x_mean @ matrix)
        self._set("y", None, np.zeros_like(y_mean))


class RegularizedCCA(MomentAligner):
    """Canonical correlation analysis with a ridge, both modalities projected on what they share.

    Each modality is centred, whitened with a ridge, rotated to the canonical
    directions, and weighted there by a power of the canonical correlation.

    Parameters
    ----------
    alpha : float, default=1.0
        Ridge, in units of the mean variance per dimension of each modality.
    strength : float, default=1.0
        Power of the canonical correlation that weights its direction [2]_.
    components : int, optional
        How many directions to keep, at most; by default all that pairs span: fewer than there are pairs,
        and no more than there are different items.

    Attributes
    ----------
    correlations_ : ndarray of shape (components,)
        Regularised canonical correlations, in [0, 1], descending.

    References
    ----------
    .. [1] Vinod, "Canonical ridge and econometrics of joint production", J. Econometrics 1976.
    .. [2] Gong et al., "A Multi-View Embedding Space for Modeling Internet Images, Tags, and Their
       Semantics", IJCV 2014, section 3.3.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.normal(size=(500, 4))
    >>> RegularizedCCA(components=2).fit(shared, shared @ rng.normal(size=(4, 4))).transform(shared).shape
    (500, 2)
    """

    def __init__(self, alpha: float = 1.0, strength: float = 1.0, components: int | None = None):
        self.alpha = alpha
        self.strength = strength
        self.components = components

    def _moments(self, X: Any, Y: Any) -> GapStatistics:
        """Sum products in float64: in float32, rounding fills the directions that few pairs leave empty."""
        statistics = GapStatistics(covariance=True)
        for rows in blocks(*X.shape):
            statistics.update(np.asarray(X[rows], np.float64), np.asarray(Y[rows], np.float64))
        return statistics

    def _solve(self, statistics: GapStatistics) -> None:
        check_number(self.alpha, "alpha", "[0, inf)")
        check_number(self.strength, "strength", "[0, inf)")
        if self.components is not None:
            check_number(self.components, "components", "[1, inf)", integer=True)
        (x_mean, y_mean), (xx, yy, xy) = statistics.means, statistics.covariances
        x_white, y_white = (_whitening(c, self.alpha) for c in (xx, yy))  # (dim, rank) each
        across = x_white.T @ xy @ y_white
        square, left = np.linalg.eigh(
            across @ across.T
        )  # an SVD of few pairs in many dimensions may not converge
        correlation = np.sqrt(np.clip(square, 0, 1))[::-1]
        most = min(*across.shape, statistics.pairs - 1, self.components or len(xx))
        kept = slice(min(most, int((correlation > _CORRELATES * correlation[0]).sum())) or 1)
        self.correlations_ = correlation[kept]
        left = left[:, ::-1][:, kept]
        right = across.T @ left / np.maximum(self.correlations_, np.finfo(float).tiny)
        for modality, mean, matrix in (("x", x_mean, x_white @ left), ("y", y_mean, y_white @ right)):
            matrix = matrix * self.correlations_**self.strength
            self._set(modality, matrix, -mean @ matrix)


def _whitening(covariance: np.ndarray, alpha: float) -> np.ndarray:
    """Return what whitens rows with a ridge, (dim, rank), in the directions in which they vary at all."""
    value, vector = np.linalg.eigh(covariance)
    varies = value >= _VARIES * value[-1]
    ridge = alpha * max(value.mean(), np.finfo(float).tiny)
    return vector[:, varies] / np.sqrt(np.maximum(value[varies] + ridge, np.finfo(float).tiny))
