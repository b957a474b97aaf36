"""Where expressions of paired embeddings lead: into empty space, as is said, or among the items?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from isthmus.align import PairedAligner
from isthmus.checks import check_pairs, unit_rows
from isthmus.evaluate.comparison import Protocol
from isthmus.evaluate.cross_validation import CLOSED_FORM, configured
from isthmus.measure.bootstrap import Bootstrap, Figure
from isthmus.measure.items import Items, find_items

POINTS = {  # x and y are of one item, x' and y' of another, x'' of a third
    "x": "an item of x itself",
    "y'": "an item of y itself",
    "x - y + y'": "an exchange: what is left of x without its text, and another's text",
    "x + y'": "a sum",
    "x - x' + x''": "an exchange without a gap in it, for comparison",
}
_SHARES = ("secluded", "among_x", "to_x", "to_y")  # of the figures of a point; the others are cosines
_SECLUDED = 0.05  # share of the items whose nearest neighbours are the farthest: what is farther is secluded


@dataclass(frozen=True)
class PointFigures:
    """Where points of one kind lie.

    Examples
    --------
    >>> half = Figure(0.5, 0.4, 0.6)
    >>> PointFigures(half, half, half, half, None, None).to_dict()["to_y"]
    """

    nearest_x: Figure  # cosine to the nearest item of x, the three items of the expressions left out
    nearest_y: Figure  # the same of y
    secluded: Figure  # share that is farther from both than 95% of the items are from their own kind
    among_x: Figure  # share whose nearest item is of x
    to_x: Figure | None  # R@1: whether the nearest of x is the item of y'
    to_y: Figure | None  # R@1: whether the nearest of y is another text of that item, where there are such

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {name: None if value is None else value._asdict() for name, value in vars(self).items()}


@dataclass(frozen=True)
class PairArithmetic:
    """Where expressions of held-out pairs lead, raw and under each aligner.

    Examples
    --------
    >>> PairArithmetic(5, 5, Protocol(), 1, {}, {}).to_dict()["items"]
    5
    """

    pairs: int
    items: int
    protocol: Protocol
    gallery: int  # items that are held out at a time, at least
    matched: dict[str, Figure]  # cosine of the two of a pair, by aligner
    points: dict[str, dict[str, PointFigures]]  # by aligner, and as in POINTS

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        points = {n: {p: f.to_dict() for p, f in found.items()} for n, found in self.points.items()}
        matched = {name: figure._asdict() for name, figure in self.matched.items()}
        return asdict(self) | {"matched": matched, "points": points}

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(
            title=f"{self.pairs} pairs of {self.items} items, {self.gallery} or more held out at a time",
            title_justify="left",
        )
        table.add_column("aligner")
        table.add_column("point")
        for name in ("nearest x", "nearest y", "secluded", "among x", "R@1 to x", "R@1 to y", "pairs"):
            table.add_column(name, justify="right")
        for name, found in self.points.items():
            for point, figures in found.items():
                cells = [
                    "-" if f is None else f"{f.value:.2f} [dim]{f.low:.2f}..{f.high:.2f}[/dim]"
                    for f in vars(figures).values()
                ]
                table.add_row(name, point, *cells, f"{self.matched[name].value:.2f}" if point == "x" else "")
        return table


def pair_arithmetic(
    x: Any,
    y: Any,
    *,
    groups: Any = None,
    aligners: Sequence[str] | Mapping[str, PairedAligner] = CLOSED_FORM,
    protocol: Protocol | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> PairArithmetic:
    """Calculate with held-out pairs, and look how far from both modalities the results lie.

    Every item is exchanged with another: x - y + y' should lead to the item
    of y'. Fitted and calculated on different items, fold by fold.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Paired embeddings, such as of images and of their captions.
    groups : array-like of shape (n,), optional
        The item of each pair. By default, pairs that share an identical row are one item.
    aligners : sequence of str, or mapping of str to estimator
        Which; "raw", the embeddings as they are, comes along.
    protocol : Protocol, optional
        Folds and seed.
    progress : callable, optional
        Called with fits done, fits in all, and what is being fitted.

    Returns
    -------
    PairArithmetic
        With 95% intervals over items, given the fits.

    Raises
    ------
    ValueError
        The pairs are bad, an aligner is unknown, or a fold would hold fewer than 4 items.

    References
    ----------
    .. [1] Vu et al., "Closing the Gap of Latent Spaces for Image-Text Arithmetic", section 3.3: "performing
       arithmetic using their vectors would just result in an empty, secluded space".

    Examples
    --------
    >>> from isthmus.theory import sample
    >>> found = pair_arithmetic(*sample(100)[:2], aligners=["collapse"])
    >>> list(found.points), list(found.points["raw"])
    (['raw', 'collapse'], ['x', "y'", "x - y + y'", "x + y'", "x - x' + x''"])
    """
    protocol = protocol or Protocol()
    x, y = check_pairs(x, y)
    items = find_items(x, y, groups)
    if items.count // protocol.folds < 4:
        raise ValueError(
            f"expected at least 4 items in each of {protocol.folds} folds, got {items.count} items in all"
        )
    given = aligners if isinstance(aligners, Mapping) else {n: configured(n, protocol) for n in aligners}
    estimators: dict[str, PairedAligner | None] = {"raw": None, **given}
    fold = np.random.default_rng(protocol.seed).permutation(items.count) % protocol.folds
    found: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in estimators}
    for k in range(protocol.folds):
        test = np.flatnonzero(fold[items.group] == k)
        train = np.flatnonzero(fold[items.group] != k)
        part = items.take(test)
        for number, (name, aligner) in enumerate(estimators.items()):
            if progress is not None:
                progress(k * len(estimators) + number, protocol.folds * len(estimators), name)
            x_test, y_test = unit_rows(x[test]), unit_rows(y[test])
            if aligner is not None:
                fitted = clone(aligner).fit(x[train], y[train], groups=items.group[train])
                x_test, y_test = fitted.transform(x_test, y_test)
            rng = np.random.default_rng([protocol.seed, k])  # the same exchanges for every aligner
            found[name].append(_walk(x_test, y_test, part, rng))
    boot = Bootstrap(np.arange(items.count), protocol.seed)
    means: dict[str, dict[str, Figure]] = {}
    for name, folds in found.items():
        joined = {key: np.concatenate([f[key] for f in folds]) for key in folds[0]}
        known = {key: np.flatnonzero(np.isfinite(values)) for key, values in joined.items()}
        means[name] = {
            key: boot.figure(
                boot.mean(joined[key][rows], rows), share_of=len(rows) if key.endswith(_SHARES) else None
            )
            for key, rows in known.items()
            if len(rows)
        }
    return PairArithmetic(
        len(x),
        items.count,
        protocol,
        items.count // protocol.folds,
        {name: figures["pair"] for name, figures in means.items()},
        {name: {point: _of_point(figures, point) for point in POINTS} for name, figures in means.items()},
    )


def _of_point(figures: Mapping[str, Figure], point: str) -> PointFigures:
    named = {name: figures.get(f"{point} {name}") for name in PointFigures.__dataclass_fields__}
    return PointFigures(**named)  # ty: ignore[invalid-argument-type]


def _walk(x: np.ndarray, y: np.ndarray, items: Items, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Calculate with every item of a fold; each figure has one value per item, NaN where there is none."""
    n, group = items.count, items.group
    order = rng.permutation(n)
    partner = np.empty(n, int)
    partner[order] = np.roll(order, 1)  # no item is its own
    third = partner[partner]
    rows = np.array([rng.choice(np.flatnonzero(group == i)) for i in range(n)])  # of x and y
    others = np.array([rng.choice(np.flatnonzero(group == j)) for j in partner])  # of y'
    galleries = {"x": (x[items.x_rows], group[items.x_rows]), "y": (y[items.y_rows], group[items.y_rows])}
    points = {
        "x": x[rows],
        "y'": y[others],
        "x - y + y'": x[rows] - y[rows] + y[others],
        "x + y'": x[rows] + y[others],
        "x - x' + x''": x[rows] - x[others] + x[rows[third]],
    }
    found = {"pair": np.einsum("nd,nd->n", x[rows], y[rows])}
    mine = np.arange(n)[:, None]
    for point, at in points.items():
        at = unit_rows(at)
        for name, (gallery, owner) in galleries.items():
            cosines = at @ gallery.T  # (n, gallery)
            stranger = (owner != mine) & (owner != partner[:, None]) & (owner != third[:, None])
            found[f"{point} nearest_{name}"] = np.where(stranger, cosines, -np.inf).max(axis=1)
            if point in ("y'", "x - y + y'"):
                found[f"{point} to_{name}"] = _recall(
                    cosines, owner, partner, _operands(name, rows, others, items)
                )
    limits = {
        name: np.quantile(found[f"{p} nearest_{name}"], _SECLUDED) for name, p in (("x", "x"), ("y", "y'"))
    }
    for point in points:
        near = {name: found[f"{point} nearest_{name}"] for name in galleries}
        found[f"{point} secluded"] = ((near["x"] < limits["x"]) & (near["y"] < limits["y"])).astype(float)
        found[f"{point} among_x"] = (near["x"] > near["y"]).astype(float)
    return found


def _operands(name: str, rows: np.ndarray, others: np.ndarray, items: Items) -> np.ndarray:
    """Return what of a gallery is hidden, of shape (n, gallery): x itself, or the texts calculated with."""
    if name == "x":
        return items.group[items.x_rows] == items.group[rows][:, None]
    return (items.y_rows == rows[:, None]) | (items.y_rows == others[:, None])


def _recall(cosines: np.ndarray, owner: np.ndarray, partner: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return whether what is nearest and not hidden is the partner's; NaN where that has nothing left."""
    right = (owner == partner[:, None]) & ~hidden
    best = np.where(right, cosines, -np.inf).max(axis=1)
    wrong = np.where(~right & ~hidden, cosines, -np.inf).max(axis=1)
    return np.where(right.any(axis=1), (best > wrong).astype(float), np.nan)
