"""What the contrastive loss and the search say as a gap is closed, or widened, by a shift."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from isthmus.checks import blocks, check_number, check_pairs, unit_rows
from isthmus.measure.discrimination import recall_at, retrieval_ranks
from isthmus.theory.geometry import sample
from isthmus.theory.simulation import Line, Simulation
from isthmus.theory.swept import check_swept, written

_SHIFTS = tuple(float(s) for s in np.linspace(-0.5, 1.5, 41).round(4))
_COLDEST = 0.005  # a colder loss of cosines would underflow
_HOTTEST = 10.0  # up to which the temperature of least loss is searched
_BLOCK = 256  # rows whose cosines with all others are held at once


def gap_shift(
    x: Any = None,
    y: Any = None,
    *,
    temperatures: Sequence[float] = (0.01, 0.02, 0.05, 0.07, 0.2, 1.0),
    shifts: Sequence[float] = _SHIFTS,
    rows: int = 500,
    seed: int = 0,
) -> Simulation:
    r"""Move both modalities along the gap between their means, and measure the contrastive loss and recall.

    Rows become ``x - shift * gap`` and ``y + shift * gap``, scaled to unit
    length again, as in the embedding shift of [1]_: shift 0 is the gap as it
    is, 1/2 closes it, 1 swaps the modalities' places, below 0 it widens. The
    loss is the symmetric one of CLIP, with all rows in one batch.

    If the gap is orthogonal to both spans, as Proposition 1 of [2]_ has it,
    a shift adds one constant to all cosines, which no softmax notices. All
    that is left is the scaling: rows have length :math:`R_x, R_y` after the
    shift, so the loss is the loss of the rows as they are at another temperature,

    .. math:: L(shift, \tau) = L(0, \tau R_x R_y), \qquad
        R_x^2 = 1 - 2 \, shift \, m_x \cdot g + shift^2 |g|^2.

    Closing the gap is to sharpen the temperature, widening is to blunt it.
    So the least loss is at gap 0 where the temperature is too high for the
    rows, at a wider gap where it is too low, and at the gap as it is where it
    was learned at that gap; and the modalities may as well swap places. This
    is the curve ``law``.

    Where rows vary in the plane of the two means after all, the moved mean of
    x favours some rows of y over others, whatever the row of x, and that of y
    some rows of x. To second order in the inverse temperature

    .. math:: L \approx \log n - \frac{tr C_{xy}}{\tau R^2}
        + \frac{tr \Sigma_x \Sigma_y + b^2}{2 \tau^2 R^4}, \quad R^2 = R_x R_y,
        \quad 2 b^2 = a^T \Sigma_y a + c^T \Sigma_x c

    with :math:`a = m_x - shift \, g` and :math:`c = m_y + shift \, g`:
    ``second_order``. The variance :math:`b^2 / R^4` is 0 if Proposition 1
    holds; its root is the curve ``bias``. Where closing raises it above the
    temperature, it keeps a gap open and takes recall. CLIP is such a case.

    Parameters
    ----------
    x, y : array-like of shape (n, dim), optional
        Paired embeddings, one caption an item; by default, rows that
        :func:`isthmus.theory.sample` draws with CLIP's constants.
    temperatures : sequence of float
        Of the loss, at least 0.005, no two the same.
    shifts : sequence of float
        In units of the gap, no two the same; must hold 0 and 0.5.
    rows : int, default=500
        At most so many pairs are used, drawn without replacement. Time grows
        with their square, to about a minute for 2,000; of their cosines, 256
        rows are held at once.
    seed : int, default=0
        Of the draw.

    Returns
    -------
    Simulation
        Curves: ``temperatures`` (t,), ``shifts`` (s,), ``gap`` and
        ``gap_predicted`` (s,), distance of the means along the gap's own
        direction, in [-2, 2], below 0 once they have passed each other;
        ``loss``, ``law`` and ``second_order`` (t, s), in nats; ``recall``
        (2, s), R@1 from x to y and from y to x, in [0, 1]; ``bias`` (s,), in
        units of cosine; ``least``, ``least_predicted`` and
        ``least_second_order`` (t,), the gap of least loss by ``loss``, ``law``
        and ``second_order``, of the shifts up to 0.5; the widest one where
        the loss still falls there.

    Raises
    ------
    ValueError
        Only one of `x` and `y` is given, they do not pair, they have no gap,
        or another argument is out of range.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap", NeurIPS 2022, section 4.2 and Figure 3.
    .. [2] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Proposition 1.

    Examples
    --------
    >>> run = gap_shift(rows=200, temperatures=(0.2,))
    >>> line = run["gap of least loss at temperature 0.2"]
    >>> round(line.measured, 1), round(line.predicted, 1)
    (0.0, 0.0)
    """
    taus, s = _checked(temperatures, shifts, rows, seed)
    x, y = _pairs(x, y, rows, seed)
    moments = _Moments.of(x, y)
    lengths = np.sqrt(np.prod(moments.square_lengths(s), axis=0))  # (s,): R_x R_y
    loss, recall = np.empty((len(taus), len(s))), np.empty((2, len(s)))
    gap = np.empty(len(s))
    for k, shift in enumerate(s):
        a, b = unit_rows(x - shift * moments.gap), unit_rows(y + shift * moments.gap)
        gap[k] = (a.mean(axis=0) - b.mean(axis=0)) @ moments.gap / moments.length
        loss[:, k] = contrastive_losses(a, b, temperatures=taus)
        recall[:, k] = [recall_at(retrieval_ranks(*pair), 1) for pair in ((a, b), (b, a))]
    law = contrastive_losses(x, y, temperatures=np.outer(taus, lengths).ravel()).reshape(loss.shape)
    curves = {
        "temperatures": taus,
        "shifts": s,
        "gap": gap,
        "gap_predicted": moments.gaps(s),
        "loss": loss,
        "law": law,
        "second_order": moments.second_order(s, taus),
        "recall": recall,
        "bias": np.sqrt(moments.bias(s)) / lengths,
    }
    curves["least"] = np.array([_least(s, gap, row) for row in loss])
    for name, values in (("least_predicted", law), ("least_second_order", curves["second_order"])):
        curves[name] = np.array([_least(s, moments.gaps(s), row) for row in values])
    best = minimize_scalar(
        lambda t: float(contrastive_losses(x, y, temperatures=[float(np.exp(t))])[0]),
        bounds=(np.log(_COLDEST), np.log(_HOTTEST)), method="bounded", options={"xatol": 1e-3},
    )  # fmt: skip
    return Simulation(
        "gap_shift",
        "Contrastive loss and recall as both modalities are moved along the gap",
        {"n": len(x), "temperatures": taus.tolist(), "shifts": s.tolist(), "rows": rows, "seed": seed},
        _lines(curves, moments, float(np.exp(best.x))),
        curves,
        _notes(curves),
    )


def contrastive_losses(x: np.ndarray, y: np.ndarray, *, temperatures: Any) -> np.ndarray:
    """Symmetric contrastive loss of all pairs as one batch, at several temperatures.

    Parameters
    ----------
    x, y : ndarray of shape (n, dim)
        Paired unit rows; cosines are held 256 rows at a time.
    temperatures : array-like of shape (t,)
        Above 0; below 0.003, rows without any near row may underflow.

    Returns
    -------
    ndarray of shape (t,)
        In nats, at least 0; log n where rows tell nothing.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Lemma 1.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> print(contrastive_losses(x, x, temperatures=[0.1]) / np.log(2))
    [1.]
    """
    temperatures = np.asarray(temperatures, dtype=np.float64)
    down = np.zeros((len(temperatures), len(y)))  # sums over x, for each row of y
    across = np.zeros(len(temperatures))
    own = 0.0
    for rows in blocks(len(x), x.shape[1], _BLOCK):
        below = x[rows] @ y.T - 1  # (block, n): no cosine exceeds 1, so no power overflows
        own += float(np.trace(below, offset=rows.start))
        for k, t in enumerate(temperatures):
            power = np.exp(below / t)
            across[k] += np.log(power.sum(axis=1)).sum()
            down[k] += power.sum(axis=0)
    return ((across + np.log(down).sum(axis=1)) / 2 - own / temperatures) / len(x)


@dataclass(frozen=True)
class _Moments:
    """Means and second moments of paired unit rows: all that the closed forms know of them."""

    n: int
    means: np.ndarray  # (2, dim): of x, of y
    covariances: np.ndarray  # (2, dim, dim): of x, of y
    shared: float  # trace of the covariance between x and y

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> "_Moments":
        means = np.stack([x.mean(axis=0), y.mean(axis=0)])
        u, v = x - means[0], y - means[1]
        if np.linalg.norm(means[0] - means[1]) < 1e-9:
            raise ValueError("x and y must have different means, got the same: there is no gap to move along")
        covariances = np.stack([u.T @ u, v.T @ v]) / len(x)
        return cls(len(x), means, covariances, float(np.einsum("nd,nd->", u, v)) / len(x))

    @property
    def gap(self) -> np.ndarray:
        return self.means[0] - self.means[1]

    @property
    def length(self) -> float:
        return float(np.linalg.norm(self.gap))

    def square_lengths(self, shifts: np.ndarray) -> np.ndarray:
        """Mean squared length (2, s) of shifted rows of x, of y."""
        along = 2 * np.outer(self.means @ self.gap * [-1, 1], shifts)
        return 1 + along + shifts**2 * self.length**2

    def gaps(self, shifts: np.ndarray) -> np.ndarray:
        """Distance (s,) of the means along the gap, if all rows of a modality are scaled alike."""
        along = (self.means @ self.gap)[:, None] / self.length + np.outer([-1, 1], shifts * self.length)
        scaled = along / np.sqrt(self.square_lengths(shifts))
        return scaled[0] - scaled[1]

    def bias(self, shifts: np.ndarray) -> np.ndarray:
        """Variance (s,) of what a shift adds to all cosines of a row, before rows are scaled."""
        total = np.zeros(len(shifts))
        for mean, covariance, sign in zip(self.means, self.covariances[::-1], (-1, 1), strict=True):
            moved = mean + sign * np.outer(shifts, self.gap)  # (s, dim)
            total += np.einsum("sd,de,se->s", moved, covariance, moved) / 2
        return total

    def second_order(self, shifts: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
        """Loss (t, s) by the first two cumulants of the cosines."""
        product = np.sqrt(np.prod(self.square_lengths(shifts), axis=0))  # (s,)
        scaled = np.outer(temperatures, product)  # (t, s)
        return np.log(self.n) - self.shared / scaled + (self.spread + self.bias(shifts)) / (2 * scaled**2)

    @property
    def spread(self) -> float:
        """Variance of the cosines of unpaired rows that no bias of a row makes."""
        return float((self.covariances[0] * self.covariances[1]).sum())

    def deviation(self, shifts: np.ndarray) -> float:
        """Largest standard deviation of the cosines of unpaired rows while the gap closes."""
        shifts = shifts[(shifts >= 0) & (shifts <= 0.5)]
        square = (self.spread + self.bias(shifts)) / np.prod(self.square_lengths(shifts), axis=0)
        return float(np.sqrt(square.max()))

    def best_temperature(self) -> float:
        """Temperature of least loss of the rows as they are, to second order."""
        return float(self.spread + self.bias(np.zeros(1))[0]) / self.shared


def _checked(
    temperatures: Sequence[float], shifts: Sequence[float], rows: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    check_number(rows, "rows", "[2, inf)", integer=True)
    check_number(seed, "seed", "[0, inf)", integer=True)
    taus = np.sort(check_swept(temperatures, "temperatures", f"[{_COLDEST}, inf)"))
    moved = np.sort(check_swept(shifts, "shifts", "(-inf, inf)"))
    if not {0.0, 0.5} <= set(moved):
        raise ValueError(f"shifts must hold 0 (as it is) and 0.5 (closed), got {list(shifts)}")
    return taus, moved


def _pairs(x: Any, y: Any, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    if (x is None) != (y is None):
        raise ValueError(f"x and y must be given together, got {'y' if x is None else 'x'} alone")
    if x is None:
        x, y, _ = sample(rows, seed=seed)
    x, y = check_pairs(x, y)
    if len(x) > rows:
        chosen = np.sort(np.random.default_rng(seed).choice(len(x), rows, replace=False))
        x, y = x[chosen], y[chosen]
    return unit_rows(x), unit_rows(y)


def _least(shifts: np.ndarray, gap: np.ndarray, loss: np.ndarray) -> float:
    """Gap of least loss before the modalities pass each other, between shifts by a parabola."""
    before = shifts <= 0.5
    k = int(loss[before].argmin())
    shift = shifts[k]
    if 0 < k < before.sum() - 1:
        near = slice(k - 1, k + 2)
        square, slope, _ = np.polyfit(shifts[near] - shift, loss[near], 2)
        shift -= slope / (2 * square) if square > 0 else 0.0
    return float(np.interp(shift, shifts, gap))


def _lines(curves: dict[str, np.ndarray], moments: _Moments, best: float) -> tuple[Line, ...]:
    s = curves["shifts"]
    start, closed = int(np.flatnonzero(s == 0)[0]), int(np.flatnonzero(s == 0.5)[0])
    added = {name: curves[name][:, closed] - curves[name][:, start] for name in ("loss", "law")}
    lines = [
        Line("gap", moments.length, paper=0.82),
        Line("temperature of least loss, gap as it is", best, moments.best_temperature(), paper=0.01),
    ]
    for k, t in enumerate(curves["temperatures"]):
        paper = 0.82 if t == 0.01 else None
        least = float(curves["least"][k]), float(curves["least_predicted"][k])
        lines.append(Line(f"gap of least loss at temperature {written(t)}", *least, paper=paper))
        if t >= moments.deviation(s):  # where two cumulants are enough
            least = least[0], float(curves["least_second_order"][k])
            lines.append(Line(f"gap of least loss at temperature {written(t)}, bias counted", *least))
        more = float(added["loss"][k]), float(added["law"][k])
        lines.append(Line(f"loss added by closing, temperature {written(t)}", *more))
    for name, values in zip(("x to y", "y to x"), curves["recall"], strict=True):
        lines.append(Line(f"R@1 {name}, gap as it is", float(values[start])))
        lines.append(Line(f"R@1 {name}, gap closed", float(values[closed]), float(values[start])))
    for name, at in (("as it is", start), ("closed", closed)):
        lines.append(Line(f"bias of cosines, gap {name}", float(curves["bias"][at]), 0.0))
    return tuple(lines)


def _notes(curves: dict[str, np.ndarray]) -> tuple[str, ...]:
    before = curves["shifts"] <= 0.5
    coldest, loss = written(curves["temperatures"][0]), curves["loss"][0]
    notes = [
        "Predicted: a gap orthogonal to both spans, which acts through the temperature alone (bias 0).",
        "Bias counted: by the first two cumulants of the cosines, right to a factor of two.",
        "Paper: CLIP on 5,000 pairs of COCO; its loss at temperature 0.01 is least at the gap as it is.",
    ]
    if not before.all():
        notes.append(
            f"At temperature {coldest} the least loss is {loss[before].min():.3g} before the modalities "
            f"pass each other, {loss[~before].min():.3g} after; by the law the two are alike."
        )
    return tuple(notes)
