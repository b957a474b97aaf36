"""Noise for training embeddings: what a decoder must bear once another modality's rows come."""

from abc import abstractmethod
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from isthmus.align.affine import power
from isthmus.align.siblings import sibling_distance, sibling_maximum
from isthmus.checks import check_groups, check_number

RELEASED_STD = 0.12649110640673517  # sqrt(0.016), the variance in C3's and CapDec's code
_FLOATS = (np.float64, np.float32)


class Noise(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Corrupts the rows that a network trains on, and no others.

    ``fit`` learns what the noise depends on, ``corrupt(X, rng)`` adds it, and
    ``transform`` returns rows as they are: nothing is ever corrupted after
    training. Rows are taken at the length they have, which is the length the
    noise is added at: of unit length, or unit rows minus their mean. Whoever
    trains scales the corrupted rows to unit length.
    """

    seed: int
    _needs_more = False  # whether X alone is not enough to learn from

    def fit(self, X: Any, Y: Any = None, *, groups: Any = None) -> Self:
        """Learn what the noise depends on.

        Parameters
        ----------
        X : array-like of shape (n, dim)
            The rows trained on; or, if `Y` is given, rows of the other modality.
        Y : array-like of shape (m, dim), optional
            The rows trained on, where two modalities are needed: captions, X being images.
        groups : array-like, optional
            The item of each row trained on, where captions of one item are compared.

        Returns
        -------
        Self
            The fitted estimator.

        Raises
        ------
        ValueError
            An option is out of range, what the noise learns from is absent, or rows are not finite.
        """
        X = validate_data(self, X, dtype=_FLOATS)
        if Y is not None:
            Y = validate_data(self, Y, reset=False, dtype=_FLOATS)
        check_number(self.seed, "seed", "[0, inf)", integer=True)
        self._learn(X, Y, groups)
        return self

    def corrupt(self, X: Any, rng: np.random.Generator) -> np.ndarray:
        """Return corrupted rows, not yet scaled to unit length.

        Parameters
        ----------
        X : array-like of shape (n, dim)
            Rows that a network trains on; they stay as they are.
        rng : numpy.random.Generator
            Where the noise is drawn from.

        Returns
        -------
        ndarray of shape (n, dim)
            New rows, float32 if `X` is, else float64.

        Raises
        ------
        NotFittedError
            ``fit`` has not been called.
        ValueError
            The width is not that of ``fit``, a row is not finite, or `rng` is no generator.
        """
        check_is_fitted(self)
        if not isinstance(rng, np.random.Generator):
            raise ValueError(f"rng must be a numpy.random.Generator, got {rng!r}")
        X = validate_data(self, X, reset=False, dtype=_FLOATS)
        return self._corrupt(X.astype(np.float64), rng).astype(X.dtype, copy=False)  # a seed: one noise

    def fit_transform(  # ty: ignore[incompatible-method-override]
        self, X: Any, Y: Any = None, *, groups: Any = None
    ) -> np.ndarray:
        """Fit, and return the rows trained on (Y if given, else X) corrupted, drawing from `seed`."""
        self.fit(X, Y, groups=groups)
        return self.corrupt(X if Y is None else Y, np.random.default_rng(self.seed))

    def transform(self, X: Any) -> np.ndarray:
        """Return rows of shape (n, dim) as they are: what is not trained on is never corrupted."""
        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=_FLOATS)

    @abstractmethod
    def _learn(self, X: np.ndarray, Y: np.ndarray | None, groups: Any) -> None:
        """Set the learned attributes; rows are checked."""

    @abstractmethod
    def _corrupt(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return float64 rows (n, dim) with noise; `rows` is a copy."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.target_tags.required = self._needs_more
        return tags


class GaussianNoise(Noise):
    r"""Add isotropic Gaussian noise: the third step of C3, and all of CapDec.

    Parameters
    ----------
    std : float, "auto" or "capdec", default=0.12649110640673517
        Standard deviation per dimension. The default is the square root of 0.016, the variance in the
        released code of C3 [1]_ and CapDec; C3's paper does not say it. Two rules need no image, but
        `groups` in ``fit``: "auto" is the root mean square, per dimension, of the difference of two
        captions of one item, so that a corrupted caption is as far away as another caption of its
        item. "capdec" is CapDec's [2]_, the mean of the :math:`L_\infty` norm of that difference.
    seed : int, default=0
        Of ``fit_transform``.

    Attributes
    ----------
    std_ : float
        The standard deviation taken.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, section 4 and Algorithm 1.
    .. [2] Nukrai, Mokady and Globerson, "Text-Only Training for Image Captioning using Noise-Injected
       CLIP", Findings of EMNLP 2022, section 3.

    Examples
    --------
    >>> captions = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8]]
    >>> noise = GaussianNoise(std="auto").fit(captions, groups=["dog", "dog", "cat", "cat"])
    >>> round(noise.std_, 3)
    0.447
    >>> noise.corrupt(captions, np.random.default_rng(0)).shape
    (4, 2)
    """

    def __init__(self, std: float | Literal["auto", "capdec"] = RELEASED_STD, seed: int = 0):
        self.std = std
        self.seed = seed

    def _learn(self, X: np.ndarray, Y: np.ndarray | None, groups: Any) -> None:
        self.std_ = _taken(self.std, X if Y is None else Y, groups)

    def _corrupt(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rows + self.std_ * rng.standard_normal(rows.shape)


class AdaptiveNoise(Noise):
    r"""Mix each row with a random direction of the row's own length, as LAFITE does.

    .. math:: (1 - \alpha) f + \alpha \|f\| \frac{n}{\|n\|}, \quad n \sim N(0, I)

    This is the form of the released code [1]_. The paper's, :math:`f + \xi \|f\| n / \|n\|`, has the same
    direction with :math:`\xi = \alpha / (1 - \alpha)`. For unit rows both lengths are 1; for rows whose
    mean was removed the factor :math:`\|f\|` keeps the share of noise the same for every row.

    Parameters
    ----------
    alpha : float, default=0.75
        Share of the random direction, in [0, 1].
    seed : int, default=0
        Of ``fit_transform``.

    References
    ----------
    .. [1] Zhou et al., "Towards Language-Free Training for Text-to-Image Generation", CVPR 2022:
       fixed perturbations.

    Examples
    --------
    >>> row = [[3.0, 4.0]]
    >>> corrupted = AdaptiveNoise(alpha=1.0).fit_transform(row)
    >>> round(float(np.linalg.norm(corrupted)), 3)
    5.0
    """

    def __init__(self, alpha: float = 0.75, seed: int = 0):
        self.alpha = alpha
        self.seed = seed

    def _learn(self, X: np.ndarray, Y: np.ndarray | None, groups: Any) -> None:
        check_number(self.alpha, "alpha", "[0, 1]")

    def _corrupt(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal(rows.shape)
        length = np.linalg.norm(rows, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
        return (1 - self.alpha) * rows + self.alpha * length * noise


class SpanNoise(Noise):
    r"""Gaussian noise without its component along the gap: it leaves the decoder as sensitive to the gap.

    C3's Appendix H asks with it why noise helps more than removing the gap:
    :math:`\epsilon' = \epsilon - (\epsilon \cdot \hat g) \hat g`, with :math:`\hat g` the direction from
    the mean of Y to the mean of X, both of unit rows from which no mean was removed.

    Parameters
    ----------
    std : float, "auto" or "capdec", default=0.12649110640673517
        Per dimension of :math:`\epsilon`, as in :class:`GaussianNoise`.
    seed : int, default=0
        Of ``fit_transform``.

    Attributes
    ----------
    std_ : float
        The standard deviation taken.
    directions_ : ndarray of shape (1, dim)
        The unit direction of the gap. Rows of several orthonormal directions are all removed.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Appendix H and Table 7.

    Examples
    --------
    >>> image, text = [[1.0, 0.0, 0.2], [1.0, 0.1, 0.0]], [[0.0, 0.0, 0.2], [0.0, 0.1, 0.0]]
    >>> noise = SpanNoise().fit(image, text)
    >>> noise.directions_
    array([[1., 0., 0.]])
    >>> noise.corrupt(text, np.random.default_rng(0))[:, 0]
    array([0., 0.])
    """

    directions_: np.ndarray
    _needs_more = True

    def __init__(self, std: float | Literal["auto", "capdec"] = RELEASED_STD, seed: int = 0):
        self.std = std
        self.seed = seed

    def _learn(self, X: np.ndarray, Y: np.ndarray | None, groups: Any) -> None:
        if Y is None:
            raise ValueError("SpanNoise learns the gap of two modalities: expected X and Y, got Y=None")
        gap = X.mean(axis=0, dtype=np.float64) - Y.mean(axis=0, dtype=np.float64)
        length = np.linalg.norm(gap)
        if length <= 1e-6 * np.sqrt((X.astype(np.float64) ** 2).sum(axis=1).mean()):
            raise ValueError(f"X and Y must have a gap between their means, got a distance of {length:.1e}")
        self.std_ = _taken(self.std, Y, groups)
        self.directions_ = gap[None] / length

    def _corrupt(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = self.std_ * rng.standard_normal(rows.shape)
        return rows + noise - noise @ self.directions_.T @ self.directions_


class CalibratedNoise(Noise):
    r"""Add noise of the size and shape that the other modality's rows have beside the rows trained on.

    From pairs, both about their means: image ``x`` is regressed on its caption ``y``,
    :math:`x = b y + r` with the slope :math:`b = \sum x \cdot y / \sum y \cdot y`. A decoder reads
    directions, so that ``x`` is to it :math:`y + r / b`: the noise is Gaussian with the covariance of
    :math:`r / b`, Ledoit-Wolf shrunk [1]_. A corrupted caption then lies as far from itself as its image
    does. On 500 CLIP pairs of COCO the slope is 0.31 and the noise 0.094 per dimension, and the mean
    cosine of a caption with itself corrupted is 0.31, that of pairs being 0.31; C3's noise gives 0.23.

    Without a pair: the shape is the covariance of captions about the mean of their item, shrunk too, and
    the size is the rule "auto" of :class:`GaussianNoise`.

    Parameters
    ----------
    scale : float, default=1.0
        Multiplies the noise.
    seed : int, default=0
        Of ``fit_transform``.

    Attributes
    ----------
    slope_ : float or None
        ``b``; None where no pairs were given.
    std_ : float
        Of the noise added: root of its mean variance per dimension.
    covariance_ : ndarray of shape (dim, dim)
        Of the noise added.
    shrinkage_ : float
        Share of the covariance that was made isotropic.
    root_ : ndarray of shape (dim, dim)
        Symmetric square root of the covariance.

    References
    ----------
    .. [1] Ledoit and Wolf, "A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices",
       J. Multivariate Analysis 2004.
    .. [2] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Proposition 1: there the slope is 1, and
       the noise isotropic.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> text, r = rng.normal(size=(2, 20000, 2))
    >>> noise = CalibratedNoise().fit(0.5 * text + r * [0.1, 0.2], text)
    >>> print(f"{noise.slope_:.2f}, {np.diag(noise.covariance_).round(2)}")
    0.50, [0.04 0.16]
    """

    root_: np.ndarray
    _needs_more = True

    def __init__(self, scale: float = 1.0, seed: int = 0):
        self.scale = scale
        self.seed = seed

    def _learn(self, X: np.ndarray, Y: np.ndarray | None, groups: Any) -> None:
        check_number(self.scale, "scale", "[0, inf)")
        if Y is not None:
            self.slope_, covariance, self.shrinkage_ = _of_pairs(X, Y)
        elif groups is not None:
            self.slope_, (covariance, self.shrinkage_) = None, _of_siblings(X, groups)
        else:
            raise ValueError(
                "CalibratedNoise learns from pairs or captions of one item: expected Y or groups, got neither"
            )
        self.covariance_ = self.scale**2 * covariance
        self.root_ = self.scale * power(covariance, 0.5)
        self.std_ = float(np.sqrt(np.trace(self.covariance_) / len(covariance)))

    def _corrupt(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rows + rng.standard_normal(rows.shape) @ self.root_


_RULES = {"auto": sibling_distance, "capdec": sibling_maximum}  # of the std, by captions of one item


def _taken(std: float | str, rows: np.ndarray, groups: Any) -> float:
    if isinstance(std, str):
        if std not in _RULES:
            raise ValueError(f"std must be a number in [0, inf), 'auto' or 'capdec', got {std!r}")
        if groups is None:
            raise ValueError(f"std={std!r} compares captions of one item: expected groups, got groups=None")
        return _RULES[std](rows, groups)
    check_number(std, "std", "[0, inf)")
    return float(std)


def _of_pairs(X: np.ndarray, Y: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Slope, covariance of the noise (dim, dim) and its shrinkage, from pairs (n, dim)."""
    from sklearn.covariance import ledoit_wolf

    if len(X) != len(Y):
        raise ValueError(f"X and Y must pair row by row: X has {len(X)} rows, Y has {len(Y)}")
    if len(X) < 2:
        raise ValueError("expected at least 2 pairs of X and Y, got 1 sample of each")
    x, y = (rows - rows.mean(axis=0) for rows in (X.astype(np.float64), Y.astype(np.float64)))
    spread = np.vdot(y, y)
    slope = float(np.vdot(x, y) / spread) if spread > 0 else 0.0
    if slope <= 0:
        raise ValueError(f"X and Y must share something: expected a slope above 0, got {slope:.3g}")
    covariance, shrinkage = ledoit_wolf(x / slope - y, assume_centered=True)
    return slope, covariance, float(shrinkage)


def _of_siblings(rows: np.ndarray, groups: Any) -> tuple[np.ndarray, float]:
    """Covariance of the noise and its shrinkage, from captions (n, dim) of items."""
    from sklearn.covariance import ledoit_wolf

    std = sibling_distance(rows, groups)
    item = check_groups(groups, len(rows))
    count = np.bincount(item)
    sums = np.zeros((len(count), rows.shape[1]))
    np.add.at(sums, item, rows)
    several = count[item] > 1
    item, rows = item[several], rows[several]
    about = rows - sums[item] / count[item][:, None]  # pooled: items count by their rows less one
    shape, shrinkage = ledoit_wolf(about, assume_centered=True)
    return shape * (std**2 * len(shape) / np.trace(shape)), float(shrinkage)
