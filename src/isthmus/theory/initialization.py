"""Why there is a gap before any training: dimensions that hardly vary, each modality's own."""

import math
from collections.abc import Iterator

import numpy as np

from isthmus.checks import check_number, unit_rows
from isthmus.theory.simulation import Line, Simulation

_PAPER = {"gap": 1.21, "ineffective gap": 0.99, "ineffective pair distance": 0.99}
_PAPER_POINTS, _RELEASED_POINTS = 1000, 500
_RELEASED = {"gap": 1.2478, "ineffective gap": 1.0228}  # printed by the notebook beside the paper


def collapsed(
    n: int, *, dim: int = 512, effective: tuple[int, int] = (25, 230), seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    r"""Draw embeddings of two modalities that vary in a few dimensions, each in its own.

    The first ``effective[0]`` dimensions of `x`, and the ``effective[1]`` after
    them of `y`, are standard Gaussian; all others are a constant, itself drawn
    from a standard Gaussian, anew for each dimension and each modality.

    Parameters
    ----------
    n : int
        Rows of each modality, at least 2.
    dim : int, default=512
        Width of the space.
    effective : tuple of int, default=(25, 230)
        Dimensions in which `x` and in which `y` varies; their sum is below `dim`.
    seed : int, default=0
        Of the draw.

    Returns
    -------
    x, y : ndarray of float64, shape (n, dim)
        Rows of length about ``sqrt(dim)``, not scaled to unit length.

    Raises
    ------
    ValueError
        A number is out of range.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, section 3.1.

    Examples
    --------
    >>> x, y = collapsed(100, dim=8, effective=(1, 3))
    >>> (x.std(axis=0) > 1e-9).astype(int), (y.std(axis=0) > 1e-9).astype(int)
    (array([1, 0, 0, 0, 0, 0, 0, 0]), array([0, 1, 1, 1, 0, 0, 0, 0]))
    """
    check_number(n, "n", "[2, inf)", integer=True)
    check_shape(dim, effective)
    rng = np.random.default_rng(seed)
    first, second = effective
    x, y = (np.tile(constant, (n, 1)) for constant in rng.normal(size=(2, dim)))
    x[:, :first] = rng.normal(size=(n, first))
    y[:, first : first + second] = rng.normal(size=(n, second))
    return x, y


def check_shape(dim: int, effective: tuple[int, int]) -> None:
    """Raise unless two sets of effective dimensions fit side by side into `dim` and leave some over.

    Parameters
    ----------
    dim : int
        Width of the space.
    effective : tuple of int
        How many dimensions each modality varies in.

    Raises
    ------
    ValueError
        They do not fit.

    Examples
    --------
    >>> check_shape(8, (4, 4))
    Traceback (most recent call last):
    ...
    ValueError: effective must be two whole numbers >= 1 with a sum below dim 8, got (4, 4)
    """
    check_number(dim, "dim", "[3, inf)", integer=True)
    whole = len(effective) == 2 and all(isinstance(e, int | np.integer) and e >= 1 for e in effective)
    if not (whole and sum(effective) < dim):
        raise ValueError(
            f"effective must be two whole numbers >= 1 with a sum below dim {dim}, got {tuple(effective)}"
        )


def expected_gaps(
    n: int, *, dim: int = 512, effective: tuple[int, int] = (25, 230)
) -> dict[str, tuple[float, float]]:
    r"""Mean and standard deviation over draws of the distances that :func:`initialization` measures.

    With :math:`a` and :math:`b` the effective dimensions, :math:`c = d - a - b`
    those of neither, and constants :math:`u, v`: a squared coordinate of a
    Gaussian vector is on average a share :math:`1/d` of its squared length,
    exactly, and :math:`u \cdot v` has mean 0 and variance :math:`c`. The means
    of the unit rows are 0 in their own effective dimensions, up to sampling,
    so that the squared distance of the means expects

    .. math:: \frac{a + b + 2c}{d} + \frac{a + b}{d n}
              - \frac{a (d - a) + b (d - b)}{2 d^3} \frac{n - 1}{n}

    and :math:`2c/d - (a + b) c / 2 d^3 \cdot (n-1)/n` of it over the ineffective
    dimensions. The last terms are the variances of the reciprocal lengths,
    which the mean distance of pairs over the ineffective dimensions does not
    lose: its square expects :math:`2c/d`. The variance of the first square is

    .. math:: \frac{4c}{d^2} + \frac{2 a^2 (d - a) + 2 b^2 (d - b)}{d^4}

    and of the others, with :math:`p = c / d`, the cosine of the constants and
    their shares of the squared lengths:

    .. math:: \frac{4c}{d^2} + \frac{4c (1 - p)^2 + 2 (a + b) p^2}{d^2}

    Mean and deviation of the distances follow to second order; the error is
    of the order of :math:`1/d` of the deviation.

    Parameters
    ----------
    n : int
        Rows of each modality, at least 2.
    dim, effective
        As in :func:`collapsed`.

    Returns
    -------
    dict of str to tuple of float
        Mean (in [0, 2]) and standard deviation of "gap", "ineffective gap" and
        "ineffective pair distance".

    Raises
    ------
    ValueError
        A number is out of range.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, section 3.1, which measures one draw.

    Examples
    --------
    >>> for name, (mean, spread) in expected_gaps(1000).items():
    ...     print(f"{name} {mean:.3f} +- {spread:.3f}")
    gap 1.225 +- 0.027
    ineffective gap 1.001 +- 0.037
    ineffective pair distance 1.001 +- 0.037
    """
    check_number(n, "n", "[2, inf)", integer=True)
    check_shape(dim, effective)
    d, (a, b) = dim, effective
    c, finite = d - a - b, (n - 1) / n
    p, cosine = c / d, 4 * c / d**2
    lost = (a * (d - a) + b * (d - b)) / (2 * d**3) * finite
    squares = {
        "gap": (
            (a + b + 2 * c) / d + (a + b) / (d * n) - lost,
            cosine + (2 * a**2 * (d - a) + 2 * b**2 * (d - b)) / d**4,
        )
    }
    shares = (4 * c * (1 - p) ** 2 + 2 * (a + b) * p**2) / d**2
    squares["ineffective gap"] = 2 * p - (a + b) * c / (2 * d**3) * finite, cosine + shares
    squares["ineffective pair distance"] = 2 * p, cosine + shares
    return {name: _root(mean, variance) for name, (mean, variance) in squares.items()}


def initialization(
    *,
    n: int = 1000,
    dim: int = 512,
    effective: tuple[int, int] = (25, 230),
    seeds: int = 20,
    seed: int = 0,
) -> Simulation:
    r"""Measure the gap of embeddings that nothing was trained on, beside what is expected of it.

    The embeddings are those of :func:`collapsed`, scaled to unit length. The
    "average distance" that the paper prints as 0.99 is the distance of the
    means over the last dimensions, in which neither modality varies, of rows
    of unit length in all dimensions; the mean distance of pairs over these
    dimensions is all but the same. The paper draws once: its figures are to
    be compared with the spread over draws.

    Parameters
    ----------
    n : int, default=1000
        Rows of each modality; the released notebook's 500 are shown beside them.
    dim : int, default=512
        Width of the space.
    effective : tuple of int, default=(25, 230)
        Dimensions in which each modality varies.
    seeds : int, default=20
        Draws, at least 2; means and spreads are over these.
    seed : int, default=0
        Of the first draw; the others follow.

    Returns
    -------
    Simulation
        Lines: distances, means over draws. Curves, of the first draw:
        "variance_x" and "variance_y" (dim,), of each dimension of the unit
        rows; "gap", "ineffective_gap" (seeds,), of each draw.

    Raises
    ------
    ValueError
        A number is out of range.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, section 3.1 and figure 4 (left).

    Examples
    --------
    >>> run = initialization(n=100, seeds=5)
    >>> abs(run["gap"].measured - run["gap"].predicted) < 2 * run["gap"].spread
    True
    """
    check_number(seeds, "seeds", "[2, inf)", integer=True)
    check_number(seed, "seed", "[0, inf)", integer=True)
    check_shape(dim, effective)
    printed = (dim, *effective) == (512, 25, 230)
    lines: list[Line] = []
    drawn: dict[int, list[dict[str, float]]] = {}
    for points in dict.fromkeys((n, _RELEASED_POINTS)):
        suffix = "" if points == n else f" ({points} points)"
        paper = {_PAPER_POINTS: _PAPER, _RELEASED_POINTS: _RELEASED}.get(points, {})
        draws = drawn[points] = list(_draws(points, dim, effective, range(seed, seed + seeds)))
        for name, (mean, _) in expected_gaps(points, dim=dim, effective=effective).items():
            values = np.array([draw[name] for draw in draws])
            shown = paper.get(name) if printed else None
            lines.append(Line(name + suffix, float(values.mean()), mean, float(values.std(ddof=1)), shown))
    x, y = (unit_rows(z) for z in collapsed(n, dim=dim, effective=effective, seed=seed))
    spread = expected_gaps(n, dim=dim, effective=effective)["gap"][1]
    return Simulation(
        name="initialization",
        title="Dimensions that hardly vary, each modality's own, hold the modalities apart before training",
        settings={"n": n, "dim": dim, "effective": list(effective), "seeds": seeds, "seed": seed},
        lines=tuple(lines),
        curves={
            "variance_x": x.var(axis=0),
            "variance_y": y.var(axis=0),
            "gap": np.array([draw["gap"] for draw in drawn[n]]),
            "ineffective_gap": np.array([draw["ineffective gap"] for draw in drawn[n]]),
        },
        notes=(
            "The paper and its notebook print one draw each, measured here are means over draws; "
            f"the gap of one draw lies {spread:.3f} (standard deviation, closed form) around the prediction.",
        ),
    )


def _draws(n: int, dim: int, effective: tuple[int, int], seeds: range) -> Iterator[dict[str, float]]:
    """Yield the distances of each draw."""
    for seed in seeds:
        x, y = (unit_rows(z) for z in collapsed(n, dim=dim, effective=effective, seed=seed))
        apart, rest = x.mean(axis=0) - y.mean(axis=0), slice(sum(effective), None)
        yield {
            "gap": float(np.linalg.norm(apart)),
            "ineffective gap": float(np.linalg.norm(apart[rest])),
            "ineffective pair distance": float(np.linalg.norm((x - y)[:, rest], axis=1).mean()),
        }


def _root(mean: float, variance: float) -> tuple[float, float]:
    """Mean and standard deviation of the root of what has this mean and variance, to second order."""
    root = math.sqrt(mean)
    return root * (1 - variance / (8 * mean**2)), math.sqrt(variance) / (2 * root)
