"""How many dimensions a modality really uses."""

from typing import Any

import numpy as np

from isthmus.checks import check_embeddings
from isthmus.measure.statistics import moments


def effective_dimension(x: Any, share: float = 0.99) -> int:
    r"""Smallest number of directions that hold a share of the spread of a modality.

    .. math:: \min \left\{ k : \sum_{i \le k} \sigma_i \ge \gamma \sum_i \sigma_i \right\}

    with :math:`\sigma_i` the singular values of the covariance, in decreasing order.

    Parameters
    ----------
    x : array-like of shape (n, dim)
        Embeddings; rows are scaled to unit length first.
    share : float, default=0.99
        The share, in (0, 1].

    Returns
    -------
    int
        Between 1 and dim: far below dim where the space has collapsed. At most n - 1.

    Raises
    ------
    ValueError
        n < 2, a row is zero or not finite, `share` is out of range, or all rows are one direction.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Definition 1.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(500, 3))
    >>> effective_dimension(np.hstack([rows, np.zeros((500, 5))]))
    3
    """
    x = check_embeddings(x)
    if len(x) < 2:
        raise ValueError(f"expected at least 2 rows, got {len(x)}")
    if not 0 < share <= 1:
        raise ValueError(f"share must be in (0, 1], got {share}")
    value = np.maximum(np.linalg.eigvalsh(moments(x)[1])[::-1], 0)
    if value.sum() < 1e-12:
        raise ValueError("the effective dimension is undefined: all rows are one direction")
    return spectrum_dimension(value, share)


def spectrum_dimension(values: np.ndarray, share: float = 0.99) -> int:
    """Smallest number of the largest singular values that hold a share of their sum.

    Parameters
    ----------
    values : ndarray of shape (k,)
        Singular values of a covariance, decreasing, not all 0.
    share : float, default=0.99
        The share, in (0, 1].

    Returns
    -------
    int
        Between 1 and k.

    Examples
    --------
    >>> spectrum_dimension(np.array([6.0, 3.0, 1.0]), 0.9)
    2
    """
    held = np.cumsum(values) / np.sum(values)
    return int(np.searchsorted(held, share * (1 - 1e-12))) + 1
