r"""What the geometry's figures would be if noise and spans were isotropic, in closed form.

A pair's difference is then ``c + e`` with ``e`` Gaussian of variance ``s^2 / dim`` in every
dimension, ``s^2`` the noise's total variance; the rows of one modality are Gaussian about their
mean in the same way. Each function returns what is measured on such a space: mean and standard
deviation, or one number. Moments of ratios are to first order in the noise. Scaling rows to unit
length takes away most of what varies along their mean: :func:`along_gap`, :func:`orthogonality` and
:func:`cone` are of rows that are isotropic before they are scaled, the others of noise as it is drawn.
"""

import numpy as np

_GRID = 20_000  # angles that the law of Marchenko and Pastur is summed over


def along_gap(x: tuple[np.ndarray, float], y: tuple[np.ndarray, float], noise: float) -> float:
    r"""Variance along the gap of the difference of a pair of unit rows.

    Before they are scaled, rows are :math:`m_x + s + n_x` and :math:`m_y + s + n_y`, all isotropic,
    with variances :math:`v_s`, :math:`v_{n_x}`, :math:`v_{n_y}` in each dimension, together
    :math:`v_x` and :math:`v_y`. With :math:`a_x = m_x \cdot c` of the gap's unit direction :math:`c`,
    what scaling takes away is to second order in the noise

    .. math:: v_{n_x} (1 - 2 a_x^2 + a_x^2 \|m_x\|^2) + v_{n_y} (1 - 2 a_y^2 + a_y^2 \|m_y\|^2)
              + v_s \|a_x m_x - a_y m_y\|^2
              + \mathrm{dim} (a_x^2 v_x^2 / 2 + a_y^2 v_y^2 / 2 - a_x a_y v_s^2)

    Parameters
    ----------
    x, y : tuple of ndarray of shape (dim,) and float
        Mean and total variance of the unit rows of either modality.
    noise : float
        Total variance of the difference of a pair.

    Returns
    -------
    float
        About ``noise / dim`` where either mean has no part along the gap.

    Examples
    --------
    >>> north, east = np.eye(100)[:2]
    >>> round(along_gap((0.6 * north, 0.64), (0.6 * north, 0.64), 0.8) * 100, 3)  # no gap
    0.8
    >>> round(along_gap((0.8 * east, 0.36), (-0.8 * east, 0.36), 0.72) * 100, 3)
    0.176
    """
    (mean_x, spread_x), (mean_y, spread_y) = x, y
    dim = len(mean_x)
    gap = mean_x - mean_y
    unit = gap / max(float(np.linalg.norm(gap)), 1e-300)
    shared = (spread_x + spread_y - noise) / (2 * dim)
    parts = [(mean, float(mean @ unit), spread / dim) for mean, spread in (x, y)]
    own = sum((v - shared) * (1 - 2 * a**2 + a**2 * (mean @ mean)) for mean, a, v in parts)
    lengths = sum(a**2 * v**2 / 2 for _, a, v in parts)
    (_, a_x, _), (_, a_y, _) = parts
    common = a_x * mean_x - a_y * mean_y
    return float(own + shared * (common @ common) + dim * (lengths - a_x * a_y * shared**2))


def orthogonality(mean: np.ndarray, spread: float, gap: np.ndarray) -> tuple[float, float]:
    r"""Mean and std of the cosine of a group's gap and the difference of two unit rows of a modality.

    Before they are scaled, rows are :math:`m` plus isotropic spread of variance :math:`v` in each
    dimension; with :math:`a = m \cdot c` of the gap's unit direction :math:`c`, the squared std is

    .. math:: \frac{v (1 - 2 a^2 + a^2 \|m\|^2) + \mathrm{dim}\,a^2 v^2 / 2}
                   {v (\mathrm{dim} - 2 \|m\|^2 + \|m\|^4) + \mathrm{dim}\,\|m\|^2 v^2 / 2}

    and :math:`1 / \mathrm{dim}` where :math:`m = 0`, as of any random direction. That the gap is the
    mean of the same rows changes little in groups of ten and more: of Gaussian rows, the sum of two tells
    nothing about their difference, while of unit rows it is orthogonal to it, so that small groups spread
    less, down to two thirds of this in pairs.

    Parameters
    ----------
    mean : ndarray of shape (dim,)
        Mean of the unit rows.
    spread : float
        Their total variance.
    gap : ndarray of shape (dim,)
        The gap, of any length.

    Examples
    --------
    >>> orthogonality(np.zeros(400), 1.0, np.eye(400)[0])
    (0.0, 0.05)
    >>> mean, std = orthogonality(0.8 * np.eye(400)[0], 0.36, np.eye(400)[0])
    >>> round(std, 4)
    0.0248
    """
    dim, square = len(mean), float(mean @ mean)
    a = float(mean @ gap) / max(float(np.linalg.norm(gap)), 1e-300)
    v = spread / dim
    along = v * (1 - 2 * a**2 + a**2 * square) + dim * a**2 * v**2 / 2
    total = v * (dim - 2 * square + square**2) + dim * square * v**2 / 2
    return 0.0, float(np.sqrt(along / total))


def gap_length(
    square: float, noise: float, dim: int, *, groups_of: int, along: float | None = None
) -> tuple[float, float]:
    r"""Mean and std of the length of a group's gap.

    .. math:: E\|d\|^2 = c^2 + s^2 / g, \quad
              \mathrm{var} \|d\|^2 = 4 c^2 v_c / g + 2\,\mathrm{dim}\,v^2, \quad v = s^2 / (g\,\mathrm{dim})

    so that the noise makes a gap look longer: by :math:`s^2 / g` in its square.

    Parameters
    ----------
    square, noise : float
        Squared length of the gap, and total variance of the noise of one pair.
    dim : int
        Dimensions.
    groups_of : int
        Pairs of a group.
    along : float, optional
        Variance of the noise along the gap, from :func:`along_gap`; ``noise / dim`` by default.

    Returns
    -------
    tuple of float
        Mean and std.

    Examples
    --------
    >>> mean, std = gap_length(0.7225, 0.6566, 512, groups_of=100)
    >>> round(mean, 3), round(std, 4)
    (0.854, 0.0036)
    """
    v = noise / (groups_of * dim)
    mean_square = square + dim * v
    if mean_square <= 0:
        return 0.0, 0.0
    v_along = v if along is None else along / groups_of
    variance = min((square * v_along + dim * v**2 / 2) / mean_square, mean_square)
    return float(np.sqrt(mean_square - variance)), float(np.sqrt(variance))


def direction(square: float, noise: float, dim: int, *, groups_of: int) -> tuple[float, float]:
    r"""Mean and std of the cosine of two groups' gaps.

    The mean is about :math:`1 / (1 + s^2 / (g c^2))`. With ``b^2 = (dim - 1) v`` the noise at right
    angles to the gap, the cosine of one group's gap with ``c`` has variance
    :math:`(b^4 v + c^2 (dim - 1) v^2 / 2) / (c^2 + b^2)^3`; two of them, and the product of what
    both have at right angles, make up the variance of a pair's cosine.

    Parameters
    ----------
    square, noise, dim, groups_of
        As for :func:`gap_length`.

    Returns
    -------
    tuple of float
        Mean and std.

    Examples
    --------
    >>> mean, std = direction(0.7225, 0.6566, 512, groups_of=100)
    >>> round(mean, 3), round(std, 4)
    (0.991, 0.0006)
    """
    v = noise / (groups_of * dim)
    across = (dim - 1) * v
    total = square + across
    if total <= 0:
        return 0.0, 0.0
    mean = square / total
    one = (across**2 * v + square * (dim - 1) * v**2 / 2) / total**3
    return float(mean), float(np.sqrt(2 * mean * one + (dim - 1) * v**2 / total**2))


def residual_cosine(dim: int, *, groups_of: int) -> tuple[float, float]:
    r"""Mean and std of the cosine of two residuals of a group.

    What is left about a group's own mean correlates by :math:`\rho = -1 / (g - 1)` in every
    dimension; the cosine is the sample correlation of `dim` such pairs, of mean
    :math:`\rho (1 - (1 - \rho^2) / (2\,\mathrm{dim}))` and std :math:`(1 - \rho^2) / \sqrt{\mathrm{dim}}`.

    Examples
    --------
    >>> mean, std = residual_cosine(512, groups_of=100)
    >>> round(mean, 4), round(std, 4)
    (-0.0101, 0.0442)
    """
    rho = -1 / (groups_of - 1)
    left = 1 - rho**2
    return rho * (1 - left / (2 * dim)), float(left * dim**-0.5)


def cone(mean: float, dim: int) -> tuple[float, float]:
    r"""Mean and std of the cosine of two rows of a modality of mean cosine `mean`.

    Before they are scaled, rows are the modality's mean :math:`m`, :math:`m^2` the mean cosine, plus
    isotropic spread of total variance :math:`1 - m^2`. The cosine of two is

    .. math:: \mathrm{var} = (2 m^2 (1 - m^2)^3 + (1 - m^2)^2 + m^4 (1 - m^2)^2) / \mathrm{dim}

    by what either has along the mean, what the two have in common, and how long they were.

    Examples
    --------
    >>> cone(0.0, 400)
    (0.0, 0.05)
    """
    left = 1 - min(max(mean, 0.0), 1.0)
    return mean, float(left * np.sqrt((2 * (1 - left) * left + 1 + (1 - left) ** 2) / dim))


def residual_std(noise: float, dim: int, *, n: int) -> tuple[float, float]:
    """Mean and std, over dimensions, of the residuals' standard deviation from `n` pairs.

    Examples
    --------
    >>> residual_std(4.0, 4, n=51)
    (1.0, 0.1)
    """
    sigma = float(np.sqrt(noise / dim))
    return sigma, sigma / float(np.sqrt(2 * (n - 1)))


def top_share(k: int, dim: int) -> float:
    r"""Share of a squared random direction that its `k` largest dimensions hold, in (0, 1].

    Of `dim` standard normal numbers, those above :math:`a` in size are `k` where
    :math:`P(|z| > a) = k / \mathrm{dim}`, and hold :math:`k / \mathrm{dim} + 2 a \phi(a)` of the squares.

    Examples
    --------
    >>> round(top_share(2, 512), 3), top_share(8, 8)
    (0.04, 1.0)
    """
    from scipy.special import ndtri

    if k >= dim:
        return 1.0
    a = -float(ndtri(k / (2 * dim)))
    return float(k / dim + 2 * a * np.exp(-(a**2) / 2) / np.sqrt(2 * np.pi))


def effective_dimension(dim: int, n: int, share: float) -> int:
    r"""Directions that hold a share of the spread of `n` isotropic rows, by Marchenko and Pastur.

    With :math:`q = \mathrm{dim} / (n - 1)`, eigenvalues :math:`1 + q + 2 \sqrt q \cos t` have density
    :math:`2 \sin^2 t / (\pi \lambda)` in :math:`t`, and hold :math:`2 \sin^2 t / \pi` of the trace.

    Parameters
    ----------
    dim, n : int
        Dimensions and rows.
    share : float
        The share, in (0, 1).

    Returns
    -------
    int
        Between 1 and ``min(dim, n - 1)``.

    References
    ----------
    .. [1] Marchenko and Pastur, "Distribution of eigenvalues for some sets of random matrices", 1967.

    Examples
    --------
    >>> effective_dimension(512, 10**9, 0.99), effective_dimension(512, 500, 0.99)
    (507, 390)
    """
    q = dim / (n - 1)
    t = (np.arange(_GRID) + 0.5) * (np.pi / _GRID)  # from the largest eigenvalue down
    held = 2 * np.sin(t) ** 2 / _GRID
    mass = held / (1 + q + 2 * np.sqrt(q) * np.cos(t))
    last = int(np.searchsorted(np.cumsum(held), share))
    return max(1, min(dim, n - 1, int(np.ceil(dim * mass[: last + 1].sum() - 1e-9))))


def largest_share(dim: int, n: int) -> float:
    r"""Share of the spread of `n` isotropic rows along its largest direction: :math:`(1 + \sqrt q)^2 / dim`.

    Examples
    --------
    >>> round(largest_share(512, 500), 4)
    0.0079
    """
    return min(1.0, (1 + float(np.sqrt(dim / (n - 1)))) ** 2 / dim)
