"""Why collapsed dimensions squeeze embeddings into a cone."""

from collections.abc import Sequence

import numpy as np
from scipy.integrate import quad

from isthmus.checks import check_number, unit_rows
from isthmus.measure.gap import mean_cosine_within
from isthmus.theory.simulation import Line, Simulation
from isthmus.theory.swept import check_swept, written

_SHARES = np.array([0, 1, 2, 4, 6, 8, 10, 12, 13, 14, 15, 16]) / 16  # of all dimensions
_POINTS = 300  # of the picture in three dimensions
_HEIGHT = 2.0  # of its collapsed axis; the paper does not print its own


def cone(
    *,
    dim: int = 512,
    collapsed: Sequence[int] | None = None,
    constants: Sequence[float] = (0.5, 1.0, 2.0),
    n: int = 1000,
    draws: int = 3,
    seed: int = 0,
) -> Simulation:
    r"""Show the mean cosine between rows some of whose dimensions are constant.

    Rows are standard Gaussian, but k of their dimensions hold one constant a
    in all rows. Two rows then share :math:`k a^2`, and nothing else on
    average, so their mean cosine is exactly

    .. math:: k a^2 \left( E\left[ (k a^2 + s)^{-1/2} \right] \right)^2,
        \qquad s \sim \chi^2_{dim - k},

    near :math:`k a^2 / (k a^2 + dim - k)` in many dimensions. It depends on
    the constants through the sum of their squares alone, so constants drawn
    from N(0, 1), as in section 3.1 of [1]_, act as a = 1 does. It rises with
    k from 0 to 1: more ineffective dimensions, a narrower cone, which is how
    [1]_ accounts for the cone effect of [2]_.

    Parameters
    ----------
    dim : int, default=512
        Dimensions.
    collapsed : sequence of int, optional
        How many of them are constant, each in [0, dim], no two the same; by
        default twelve counts from none to all, fewer below 16 dimensions.
    constants : sequence of float, default=(0.5, 1.0, 2.0)
        Their value, in standard deviations of the others; no two the same.
    n : int, default=1000
        Rows drawn.
    draws : int, default=3
        Independent draws, for the spread.
    seed : int, default=0
        Of the draws.

    Returns
    -------
    Simulation
        Curves: ``collapsed`` and ``share`` (k,), ``constants`` (a,),
        ``measured`` and ``predicted`` (a, k), mean cosines in [0, 1] up to
        sampling error; ``before`` and ``after`` (300, 3), unit rows in three
        dimensions with the z-axis free and collapsed to 2, as in Figure 14.

    Raises
    ------
    ValueError
        An argument is out of range, or a row would be zero.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, appendix I.3 and Figure 14.
    .. [2] Liang et al., "Mind the Gap", NeurIPS 2022, section 2.

    Examples
    --------
    >>> run = cone(dim=64, collapsed=(0, 32, 60), constants=(1.0,), n=400)
    >>> [round(float(c), 2) for c in run.curves["predicted"][0]]
    [0.0, 0.51, 0.94]
    """
    k, a = _checked(dim, collapsed, constants, n, draws)
    check_number(seed, "seed", "[0, inf)", integer=True)
    predicted = np.array([[expected_cosine(dim, int(count), constant=float(v)) for count in k] for v in a])
    measured = np.empty((draws, len(a), len(k)))
    for draw in range(draws):
        rows = np.random.default_rng([seed, draw]).normal(size=(n, dim))
        for i, value in enumerate(a):
            for j, count in enumerate(k):
                # axes of one draw are alike: the last `count` of them stand for any
                measured[draw, i, j] = mean_cosine_within(_collapse(rows, int(count), float(value)))
    points = np.random.default_rng([seed, draws]).normal(size=(_POINTS, 3))
    before, after = unit_rows(points), unit_rows(_collapse(points, 1, _HEIGHT))
    curves = {
        "collapsed": k,
        "share": k / dim,
        "constants": a,
        "measured": measured.mean(axis=0),
        "predicted": predicted,
        "before": before,
        "after": after,
    }
    lines = [
        Line(f"mean cosine, {count} of {dim} dimensions at {written(value)}",
             float(curves["measured"][i, j]), float(predicted[i, j]), float(measured[:, i, j].std()))
        for i, value in enumerate(a) for j, count in enumerate(k)
    ]  # fmt: skip
    lines += [
        Line("mean cosine in three dimensions", mean_cosine_within(before), 0.0),
        Line(f"mean cosine in three dimensions, z at {_HEIGHT:g}",
             mean_cosine_within(after), expected_cosine(3, 1, constant=_HEIGHT)),
    ]  # fmt: skip
    return Simulation(
        "cone",
        "Mean cosine between rows, by the number of dimensions that are constant",
        {"dim": dim, "collapsed": k.tolist(), "constants": a.tolist(), "n": n, "draws": draws, "seed": seed},
        tuple(lines),
        curves,
        ("Liang et al. measured mean cosines of 0.56 (ResNet), 0.47 (vision) and 0.51 (text transformer).",),
    )


def expected_cosine(dim: int, collapsed: int, *, constant: float) -> float:
    r"""Mean cosine of two independent Gaussian rows that share constant dimensions, exactly.

    With :math:`A = k a^2` and :math:`m = dim - k`,
    :math:`E[(A + s)^{-1/2}] = \frac{2}{\sqrt\pi} \int_0^\infty e^{-A v^2} (1 + 2 v^2)^{-m/2} dv`,
    which is :math:`U(\frac12, \frac{3 - m}{2}, \frac A2) / \sqrt 2` with Tricomi's function U.

    Parameters
    ----------
    dim : int
        Dimensions.
    collapsed : int
        How many of them are constant, in [0, dim].
    constant : float
        Their value; the others have mean 0 and standard deviation 1.

    Returns
    -------
    float
        In [0, 1]; 0 where nothing is shared, 1 where nothing varies.

    Raises
    ------
    ValueError
        An argument is out of range, or rows would be zero.

    Examples
    --------
    >>> round(expected_cosine(3, 1, constant=2.0), 4)
    0.7102
    """
    check_number(dim, "dim", "[1, inf)", integer=True)
    check_number(collapsed, "collapsed", f"[0, {dim}]", integer=True)
    check_number(constant, "constant", "(-inf, inf)")
    shared, free = collapsed * constant**2, dim - collapsed
    if shared == 0 and free == 0:
        raise ValueError(f"constant must not be 0 where all {dim} dimensions are collapsed: rows are zero")
    if shared == 0 or free == 0:
        return float(free == 0)

    # the integrand is 1 at 0 and falls on this scale: integrated in units of it, it is never a needle
    scale = 1 / np.sqrt(shared + free)

    def integrand(v: float) -> float:
        square = (v * scale) ** 2
        return float(np.exp(-shared * square - free / 2 * np.log1p(2 * square)))

    value = quad(integrand, 0, np.inf, epsabs=1e-14, epsrel=1e-12)[0] * scale * 2 / np.sqrt(np.pi)
    return float(shared * value**2)


def _checked(
    dim: int, collapsed: Sequence[int] | None, constants: Sequence[float], n: int, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    check_number(dim, "dim", "[1, inf)", integer=True)
    check_number(n, "n", "[2, inf)", integer=True)
    check_number(draws, "draws", "[1, inf)", integer=True)
    if collapsed is None:  # of few dimensions, several shares are the same count
        k = np.unique(np.round(_SHARES * dim).astype(int))
    else:
        k = check_swept(collapsed, "collapsed", f"[0, {dim}]", integer=True)
    a = check_swept(constants, "constants", "(-inf, inf)")
    if 0 in a and dim in k:
        raise ValueError(f"constants must not hold 0 where all {dim} dimensions are collapsed")
    return k, a


def _collapse(rows: np.ndarray, collapsed: int, constant: float) -> np.ndarray:
    """Rows (n, dim) whose last dimensions all hold one constant."""
    rows = rows.copy()
    rows[:, rows.shape[1] - collapsed :] = constant
    return rows
