"""Aligners that need no pairs: what each modality alone can tell."""

from typing import Any, Self

from isthmus.align.affine import AffineAligner, check_second
from isthmus.measure.statistics import unit_parts


class MeanCollapse(AffineAligner):
    """Subtract each modality's mean, and scale back to unit length.

    This removes the part of the gap that is a constant vector and nothing
    else: C3's second step. It never looks at which row pairs with which, so
    the two modalities may have different numbers of rows.

    Attributes
    ----------
    x_offset_, y_offset_ : ndarray of shape (dim,)
        Minus the mean of the unit rows of each modality.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, section 4. As in the released code,
       rows are scaled to unit length before the mean is taken and again after it is subtracted.

    Examples
    --------
    >>> image, text = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]
    >>> MeanCollapse().fit(image, text).x_offset_
    array([-0.5, -0.5])
    """

    def fit(self, X: Any, Y: Any, *, groups: Any = None) -> Self:
        """Learn the means of X, of shape (n, dim), and Y, of shape (m, dim); n, m >= 2."""
        X = self._check(X, reset=True)
        Y = check_second(Y, self.n_features_in_)
        for modality, rows in (("x", X), ("y", Y)):
            if len(rows) < 2:
                raise ValueError(f"{modality.upper()} must have at least 2 rows, got {len(rows)}")
            total = sum(part.sum(axis=0) for part in unit_parts(rows, modality.upper()))
            self._set(modality, None, -total / len(rows))
        return self
