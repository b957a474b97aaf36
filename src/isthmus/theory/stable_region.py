"""How far a row may lie from its positive while its contrastive loss stays small."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.special import logsumexp

from isthmus.checks import check_matrix, check_number, check_rows, unit_rows
from isthmus.theory.simulation import Line, Simulation
from isthmus.theory.swept import check_swept, written

_TEMPERATURES = (0.01, 0.02, 0.05, 0.07, 0.1, 0.2, 0.5, 1.0)  # 0.07: CLIP's start; 0.01: where it ends
_DELTAS = "(0, 0.6931)"  # from log 2 on, a row that loses to a negative would count as done
_DIRECTIONS = 64  # along which a row is moved away from its positive, in each drawn space
_STARTS = 8  # of the search for the widest direction, where negatives surround the positive
_ROWS = 2000  # that the predicted median is over
# what a stream of random numbers is for; never 0: NumPy takes the key [seed, 0] for [seed]
_SPACE, _MOVE, _FRAME, _START, _PREDICTION = range(1, 6)


def stable_region(
    *,
    n: int = 256,
    delta: float = 0.01,
    temperatures: Sequence[float] = _TEMPERATURES,
    dim: int = 512,
    draws: int = 3,
    seed: int = 0,
) -> Simulation:
    r"""Show the region in which a row's loss is at most `delta`, against the temperature.

    The loss of a row is :math:`\log(1 + \sum_j e^{(s_j - s_+)/\tau})` over its
    n - 1 negatives. With :math:`o = \sum_j e^{(s_j - \max s)/\tau}`, between 1
    and n - 1, it is at most `delta` exactly where the margin
    :math:`r = s_+ - \max s` is at least

    .. math:: \tau \log \frac{o(\tau)}{e^\delta - 1}.

    Lemma 2 of [1]_ has o rounded up, which is enough, and asks for at most
    :math:`\tau \log 2` more than is needed; o = n - 1 is enough for any
    negatives, and needed where all of them tie; o = 1 is needed always. Below
    delta = log 2 the margin falls with the temperature, to 0: the region
    grows, as [1]_ says of its Figure 5. CLIP learns a temperature of 0.01.

    How large the region is, in degrees between a row and its positive: in a
    space of uniform unit rows, along directions drawn at random,
    :math:`\cos \theta = \tau \log (Z / (e^\delta - 1))` with Z the sum over
    the negatives of :math:`e^{s_j/\tau}`. Wherever the row is, its cosines with
    the negatives are independent coordinates of uniform unit rows: the median
    of Z over 2,000 draws of these predicts the median angle. For a positive
    and negatives that are orthogonal to each other, the largest angle of any
    direction is :math:`\arccos(r/\sqrt{1 + b^2}) + \arctan b`, with
    :math:`b = 1/\sqrt{n - 1}` and o = n - 1.

    Parameters
    ----------
    n : int, default=256
        Rows of a batch: one positive, n - 1 negatives; 2 <= n <= dim.
    delta : float, default=0.01
        Loss at which a row counts as done, below log 2.
    temperatures : sequence of float
        At which it is shown, all above 0 and different; by default eight, from 0.01 to 1.
    dim : int, default=512
        Dimensions of the space.
    draws : int, default=3
        Spaces drawn; angles along random directions are their mean.
    seed : int, default=0
        Of the draws.

    Returns
    -------
    Simulation
        Curves of shape (temperatures,): ``necessary``, ``found``, ``exact``,
        ``lemma`` and ``sufficient`` are margins, in units of cosine;
        ``angle`` and ``angle_predicted`` (random directions), ``hardest``
        (the direction that leaves the region first, of those towards a
        negative), ``widest`` (the direction that leaves it last),
        ``orthogonal`` and ``orthogonal_predicted`` (the widest among
        orthogonal rows) are in degrees, 0 to 180, and 0 where the region is
        empty or does not hold the positive itself.

    Raises
    ------
    ValueError
        An argument is out of range.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Lemma 2, Figure 5, appendix B.2.

    Examples
    --------
    >>> run = stable_region(n=16, dim=32, temperatures=(0.01, 0.1), draws=1)
    >>> [round(float(r), 3) for r in run.curves["found"]]
    [0.046, 0.569]
    >>> [round(float(angle)) for angle in run.curves["orthogonal"]]
    [100, 59]
    """
    check_number(seed, "seed", "[0, inf)", integer=True)
    taus = _checked(n, delta, temperatures, dim, draws)  # ascending
    spaces = [_uniform(n, dim, np.random.default_rng([seed, draw, _SPACE])) for draw in range(draws)]
    curves = {"temperatures": taus, **_margins(spaces[0], delta, taus)}
    angles = np.empty((draws, len(taus)))
    for draw, rows in enumerate(spaces):
        directions = np.random.default_rng([seed, draw, _MOVE]).normal(size=(_DIRECTIONS, dim))
        for k, t in enumerate(taus):
            angles[draw, k] = np.median(_angles(rows, directions, t, delta))
    orthogonal = np.linalg.qr(np.random.default_rng([seed, 0, _FRAME]).normal(size=(dim, n)))[0].T
    cosines = _independent(_ROWS, n, dim, np.random.default_rng([seed, 0, _PREDICTION]))
    search: dict[str, Any] = {"delta": delta, "seed": seed}
    curves |= {
        "angle": angles.mean(axis=0),
        "angle_predicted": np.array([_predicted_angle(cosines, t, delta) for t in taus]),
        "hardest": np.array([_angles(spaces[0], spaces[0][1:], t, delta).min() for t in taus]),
        "widest": np.array([widest_angle(spaces[0], temperature=t, **search) for t in taus]),
        "orthogonal": np.array([widest_angle(orthogonal, temperature=t, **search) for t in taus]),
        "orthogonal_predicted": np.array([_orthogonal_angle(n, t, delta) for t in taus]),
    }
    return Simulation(
        "stable_region",
        f"How far a row may lie from its positive with a loss of {written(delta)}, by temperature",
        {"n": n, "delta": delta, "temperatures": taus.tolist(), "dim": dim, "draws": draws, "seed": seed},
        _lines(curves, angles.std(axis=0)),
        curves,
        _notes(n, delta, curves),
    )


def required_margin(negatives: Any, *, temperature: float, delta: float) -> float:
    """Find the smallest margin at which a row's loss is at most `delta`, on the loss itself.

    Parameters
    ----------
    negatives : array-like of shape (m,)
        Cosines of the row and its negatives.
    temperature : float
        Of the loss, above 0.
    delta : float
        Loss allowed, in (0, log 2).

    Returns
    -------
    float
        Cosine of the positive less that of the hardest negative, above 0. It
        may ask for a cosine of the positive that no unit row has.

    Raises
    ------
    ValueError
        There are no negatives, one is not finite, or a number is out of range.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Lemma 2.

    Examples
    --------
    >>> float(np.round(required_margin([0.2, 0.2], temperature=0.1, delta=0.01), 4))
    0.5293
    """
    negatives = np.asarray(negatives, dtype=np.float64)
    check_number(temperature, "temperature", "(0, inf)")
    check_number(delta, "delta", _DELTAS)
    if negatives.ndim != 1 or not len(negatives) or not np.isfinite(negatives).all():
        raise ValueError(f"negatives must be finite cosines of shape (m,), got shape {negatives.shape}")
    below = (negatives - negatives.max()) / temperature  # (m,), at most 0

    def excess(scaled: float) -> float:  # of a margin in units of the temperature
        return float(np.log1p(np.exp(below - scaled).sum())) - delta

    # one negative at the maximum needs more than the first, all of them there no more than the second
    low, high = -np.log(np.expm1(delta)) - 1e-6, np.log(len(negatives) / np.expm1(delta)) + 1e-6
    return temperature * float(brentq(excess, low, high, xtol=1e-14, rtol=1e-14))


def widest_angle(rows: Any, *, temperature: float, delta: float, seed: int = 0) -> float:
    """Search for the row farthest from its positive whose loss is at most `delta`.

    The angle at which the least loss of any direction is `delta` is found by
    root finding. The loss is convex in the ball that the directions bound:
    where it is least at the ball's surface, as it is where some direction
    leads away from all negatives (with n <= dim, unless rows coincide), that
    least loss is found. Negatives that surround the positive may leave
    several directions of locally least loss: the best of eight searches counts.

    Parameters
    ----------
    rows : array-like of shape (n, dim)
        The positive, then the negatives; scaled to unit length.
    temperature : float
        Of the loss, above 0.
    delta : float
        Loss allowed, in (0, log 2).
    seed : int, default=0
        Of the directions that the search starts from.

    Returns
    -------
    float
        Degrees, in [0, 180]; 0 where no unit row has a loss so small.

    Raises
    ------
    ValueError
        `rows` has fewer than two rows, or three dimensions, or a number is out of range.

    Examples
    --------
    >>> float(np.round(widest_angle(np.eye(4), temperature=0.01, delta=0.01), 2))
    117.17
    """
    rows = check_matrix(rows, "rows")
    check_rows(rows, "rows")
    check_number(temperature, "temperature", "(0, inf)")
    check_number(delta, "delta", _DELTAS)
    if rows.shape[0] < 2 or rows.shape[1] < 3:
        raise ValueError(f"rows must have shape (n >= 2, dim >= 3), got {rows.shape}")
    rows = unit_rows(rows)
    across = rows - np.outer(rows @ rows[0], rows[0])  # (n, dim): without the part along the positive
    across[0] = 0.0
    towards = rows @ rows[0]  # (n,)
    starts = np.random.default_rng([seed, 0, _START]).normal(size=(_STARTS, rows.shape[1]))
    starts -= np.outer(starts @ rows[0], rows[0])
    starts = starts[np.linalg.norm(starts, axis=1) > 1e-6]  # of a multiple of the positive nothing is left
    direction = starts[0]

    def least(angle: float) -> float:
        """Least loss at an angle; the next search starts from where this one ended."""
        nonlocal direction

        def loss(v: np.ndarray) -> tuple[float, np.ndarray]:
            length = np.linalg.norm(v)
            scores = (np.cos(angle) * (towards - 1) + np.sin(angle) * (across @ v) / length) / temperature
            total = logsumexp(scores)
            slope = np.sin(angle) / temperature * (np.exp(scores - total) @ across) / length
            return float(total), slope - (slope @ v / length**2) * v

        begin = [direction]
        # with fewer rows than dimensions, some direction across is free: all of the ball is reached
        if len(rows) >= rows.shape[1]:
            # with a part along the positive, which no negative sees, a direction may lie anywhere in the ball
            lowest = _lowest(loss, direction + rows[0]).x
            inside = lowest - lowest @ rows[0] * rows[0]
            surrounded = np.linalg.norm(inside) < 0.999 * np.linalg.norm(lowest)
            begin = starts if surrounded else [inside]
        found = min((_lowest(loss, v) for v in begin), key=lambda one: one.fun)
        direction = found.x / np.linalg.norm(found.x)
        return float(found.fun) - delta

    nearest = minimize_scalar(least, bounds=(0.0, np.pi), method="bounded", options={"xatol": 1e-4})
    if nearest.fun > 0:
        return 0.0
    return float(np.degrees(brentq(least, nearest.x, np.pi, xtol=1e-9)))


def _lowest(loss: Any, start: np.ndarray) -> Any:
    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9})


def _checked(n: int, delta: float, temperatures: Sequence[float], dim: int, draws: int) -> np.ndarray:
    check_number(dim, "dim", "[3, inf)", integer=True)
    check_number(n, "n", f"[2, {dim}]", integer=True)
    check_number(delta, "delta", _DELTAS)
    check_number(draws, "draws", "[1, inf)", integer=True)
    return np.sort(check_swept(temperatures, "temperatures", "(0, inf)"))


def _uniform(n: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    return unit_rows(rng.normal(size=(n, dim)))


def _independent(count: int, n: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Cosines (count, n - 1) of rows with n - 1 uniform unit rows each, all drawn apart."""
    along = rng.normal(size=(count, n - 1))
    return along / np.sqrt(along**2 + rng.chisquare(dim - 1, size=along.shape))


def _margins(rows: np.ndarray, delta: float, temperatures: np.ndarray) -> dict[str, np.ndarray]:
    """Margins by temperature, for a row whose negatives have the cosines of the first row here."""
    negatives = rows[1:] @ rows[0]
    scaled = (negatives - negatives.max()) / temperatures[:, None]  # (temperatures, n - 1)
    o = np.exp(scaled).sum(axis=1)
    allowed = np.expm1(delta)
    found = [required_margin(negatives, temperature=t, delta=delta) for t in temperatures]
    return {
        "necessary": temperatures * np.log(1 / allowed),
        "found": np.array(found),
        "exact": temperatures * np.log(o / allowed),
        "lemma": temperatures * np.log(np.ceil(o) / allowed),
        "sufficient": temperatures * np.log(len(negatives) / allowed),
    }


def _angles(rows: np.ndarray, directions: np.ndarray, temperature: float, delta: float) -> np.ndarray:
    """Degrees (k,) at which the loss first exceeds `delta`, moved from the positive to a direction."""
    directions = unit_rows(directions - np.outer(directions @ rows[0], rows[0]))  # (k, dim)
    towards, across = rows[1:] @ rows[0], rows[1:] @ directions.T  # (n - 1,), (n - 1, k)

    def inside(angle: np.ndarray) -> np.ndarray:
        scores = np.cos(angle) * (towards[:, None] - 1) + np.sin(angle) * across
        return logsumexp(scores / temperature, axis=0) <= np.log(np.expm1(delta))

    # the least angle outside, on a grid first: the loss may fall on the way to where it grows
    grid = np.linspace(0, np.pi, 361)
    outside = np.array([~inside(np.full(len(directions), a)) for a in grid])  # (361, k), True in the last
    first = outside.argmax(axis=0)
    low, high = grid[np.maximum(first - 1, 0)], grid[first]
    for _ in range(40):
        middle = (low + high) / 2
        within = inside(middle)
        low, high = np.where(within, middle, low), np.where(within, high, middle)
    return np.degrees(high)


def _predicted_angle(cosines: np.ndarray, temperature: float, delta: float) -> float:
    """Degrees at which the median row, of cosines (k, n - 1) with its negatives, has a loss of `delta`."""
    needed = temperature * (logsumexp(cosines / temperature, axis=1) - np.log(np.expm1(delta)))
    return float(np.degrees(np.arccos(min(np.median(needed), 1.0))))


def _orthogonal_angle(n: int, temperature: float, delta: float) -> float:
    """Degrees of the row farthest from its positive, where all rows are orthogonal.

    At an angle, the loss is least where the rest of the row points away from
    all negatives alike: cosines ``-b sin``. What is left is
    ``cos + b sin >= margin``.
    """
    margin, b = temperature * np.log((n - 1) / np.expm1(delta)), 1 / np.sqrt(n - 1)
    if margin > np.hypot(1, b):
        return 0.0
    return float(np.degrees(np.arccos(margin / np.hypot(1, b)) + np.arctan(b)))


def _lines(curves: dict[str, np.ndarray], spread: np.ndarray) -> tuple[Line, ...]:
    at = [written(t) for t in curves["temperatures"]]
    rows = [
        *(Line(f"margin at temperature {t}", float(curves["found"][k]), float(curves["exact"][k]))
          for k, t in enumerate(at)),
        *(Line(f"angle at temperature {t}", float(curves["angle"][k]), float(curves["angle_predicted"][k]),
               float(spread[k])) for k, t in enumerate(at)),
        *(Line(f"widest angle among orthogonal rows at temperature {t}", float(curves["orthogonal"][k]),
               float(curves["orthogonal_predicted"][k])) for k, t in enumerate(at)),
    ]  # fmt: skip
    return tuple(rows)


def _notes(n: int, delta: float, curves: dict[str, np.ndarray]) -> tuple[str, ...]:
    most = 1 / np.log((n - 1) / np.expm1(delta))
    excess = float((curves["lemma"] - curves["found"]).max())
    return (
        "Angles are in degrees between a row and its positive; 0: no room at all.",
        f"Lemma 2 as printed asks for up to {excess:.2g} more margin than the loss does, as it rounds up.",
        f"Measured angles are medians over {_DIRECTIONS} random directions, on average over draws; predicted "
        "is the median over rows whose cosines with their negatives are independent.",
        f"Above a temperature of {most:.3g}, a row that equals its positive, with orthogonal negatives, "
        f"has a loss above {written(delta)}.",
    )
