"""Aligners side by side on held-out items: what each gained, and what it cost."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.base import clone

from isthmus.align import PairedAligner, make_aligner
from isthmus.checks import check_number, check_pairs, unit_rows
from isthmus.measure.bootstrap import Bootstrap, Figure
from isthmus.measure.items import Items, Selected, find_items
from isthmus.measure.summary import Replicated, replicate
from isthmus.training import TrainingConfig

HELD_OUT_PAIRS = 20_000  # of a fold, at most, that figures come from
CLOSED_FORM = ("collapse", "shift", "linear", "procrustes", "cca", "shared")

_SHOWN = ("rmg", "alignment", "l2m", "recall_at_1_x_to_y", "recall_at_1_y_to_x")

Fit = Callable[[str, PairedAligner, Any, Any, np.ndarray], PairedAligner]


@dataclass(frozen=True)
class Protocol:
    """How aligners are held to account."""

    folds: int = 5  # of the items; each is held out once
    held_out: float = 0.2  # share of the items held out where there is a single split
    keep_recall: float = 0.99  # share of the raw mean R@1 below which an aligner counts as collapsed
    seed: int = 0  # of the folds and the resamples

    def __post_init__(self):
        check_number(self.folds, "folds", "[2, inf)", integer=True)
        check_number(self.held_out, "held_out", "(0, 1)")
        check_number(self.keep_recall, "keep_recall", "(0, 1]")
        check_number(self.seed, "seed", "[0, inf)", integer=True)


@dataclass(frozen=True)
class Verdict:
    """What one aligner did to the held-out pairs."""

    figures: dict[str, Figure]  # as in GapSummary, averaged over the folds
    kept_recall: Figure  # mean R@1 of both directions, as a share of the raw one
    collapsed: bool  # whether kept_recall is below what had to be kept
    seconds: float  # to fit, mean over the folds

    def to_dict(self) -> dict[str, Any]:
        """Return figures as ``{"value", "low", "high"}``, and `collapsed`, ready for JSON."""
        figures = self.figures | {"kept_recall": self.kept_recall}
        return {name: figure._asdict() for name, figure in figures.items()} | {
            "collapsed": self.collapsed,
            "fit_seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class HeldOut:
    """Held-out pairs of the first fold, raw and under each aligner, for pictures."""

    rows: np.ndarray  # (n,) rows of the input
    group: np.ndarray  # (n,) item of each
    mapped: dict[str, tuple[np.ndarray, np.ndarray]]  # unit rows of x and y by aligner, and "raw"


@dataclass(frozen=True)
class Comparison:
    """Verdicts on several aligners, the best first: by RMG, those that collapsed last."""

    pairs: int
    items: int
    dim: int
    protocol: Protocol
    splits: int  # times that items were held out: the folds, or 1
    verdicts: dict[str, Verdict]  # "raw" among them
    held_out: HeldOut = field(repr=False)

    @property
    def best(self) -> str:
        """Name of the aligner with the lowest RMG that did not collapse; "raw" if all others did."""
        return next(name for name, verdict in self.verdicts.items() if not verdict.collapsed)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the held-out rows, ready for JSON."""
        return {
            "pairs": self.pairs,
            "items": self.items,
            "dim": self.dim,
            "splits": self.splits,
            "keep_recall": self.protocol.keep_recall,
            "best": self.best,
            "aligners": {name: verdict.to_dict() for name, verdict in self.verdicts.items()},
        }

    def __rich__(self):
        from rich.table import Table

        kept = f"{self.protocol.keep_recall:.0%}"
        table = Table(
            title=f"{self.pairs} pairs of {self.items} items, dim {self.dim}, on held-out items",
            caption=f"[red]collapsed[/red]: keeps less than {kept} of the raw mean R@1",
        )
        for name in ("aligner", "RMG", "alignment", "L2M", "R@1 x→y", "R@1 y→x", "kept recall", ""):
            table.add_column(name, justify="left" if name in ("aligner", "") else "right")
        for name, verdict in self.verdicts.items():
            shown = [verdict.figures[key] for key in _SHOWN] + [verdict.kept_recall]
            cells = [f"{f.value:.3f} [dim]{f.low:.3f}..{f.high:.3f}[/dim]" for f in shown]
            mark = "[red]collapsed[/red]" if verdict.collapsed else ""
            table.add_row(name, *cells, "[green]best[/green]" if name == self.best else mark)
        return table


def compare(
    x: Any,
    y: Any,
    *,
    groups: Any = None,
    aligners: Sequence[str] | Mapping[str, PairedAligner] | None = None,
    protocol: Protocol | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Comparison:
    """Cross-validate aligners over items, and say what each gains and what it costs.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Paired embeddings of two modalities.
    groups : array-like of shape (n,), optional
        The item of each pair: an item is never split between training and
        test. By default, pairs that share an identical row are one item.
    aligners : sequence of str, or mapping of str to estimator, optional
        Which; "raw", the embeddings as they are, always comes along. By
        default every closed-form one, and "nonlinear" where torch is installed.
    protocol : Protocol, optional
        Folds, the recall to keep, seed.
    progress : callable, optional
        Called with fits done, fits in all, and what is being fitted.

    Returns
    -------
    Comparison
        Figures are averages over the folds with 95% intervals over items,
        given the fits; each fold's gallery is its own held-out items.

    Raises
    ------
    ValueError
        The pairs are bad, an aligner is unknown, or there are fewer than 2 items per fold.

    Examples
    --------
    >>> from isthmus.theory import sample
    >>> comparison = compare(*sample(200)[:2], aligners=["collapse"])
    >>> [name for name in comparison.verdicts]
    ['collapse', 'raw']
    """
    protocol = protocol or Protocol()
    x, y = check_pairs(x, y)
    items = find_items(x, y, groups)
    estimators = _estimators(aligners, protocol)
    return cross_validate(
        x,
        y,
        items,
        estimators=estimators,
        splits=_folds(items, protocol),
        protocol=protocol,
        progress=progress,
    )


def cross_validate(
    x: Any,
    y: Any,
    items: Items,
    *,
    estimators: Mapping[str, PairedAligner],
    splits: Sequence[np.ndarray],
    protocol: Protocol,
    fit: Fit | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Comparison:
    """Fit every aligner on each split's training rows, and measure it on the others.

    Parameters
    ----------
    x, y : array of shape (n, dim)
        Checked pairs.
    items : Items
        Of the raw pairs.
    estimators : mapping of str to PairedAligner
        Unfitted aligners by name.
    splits : sequence of ndarray of bool, shape (n,)
        Which rows each split holds out: whole items.
    protocol : Protocol
        The recall to keep, and the seed.
    fit : callable, optional
        Fits ``(name, aligner, x, y, group)`` in place of ``aligner.fit``, to checkpoint it.
    progress : callable, optional
        Called with fits done, fits in all, and what is being fitted.

    Returns
    -------
    Comparison
        Verdicts, and the held-out rows of the first split.

    Examples
    --------
    >>> from isthmus.theory import sample
    >>> x, y, _ = sample(100)
    >>> items, protocol = find_items(x, y), Protocol()
    >>> found = cross_validate(
    ...     x, y, items, estimators={}, splits=[hold_out(items, protocol)], protocol=protocol
    ... )
    >>> len(found.held_out.rows)
    20
    """
    fit = fit or _fit
    replicated: dict[str, list[Replicated]] = {name: [] for name in ("raw", *estimators)}
    seconds: dict[str, list[float]] = {name: [] for name in replicated}
    held_out: HeldOut | None = None
    for k, test in enumerate(splits):
        train, rows = np.flatnonzero(~test), _some(items, test, protocol.seed)
        part = items.take(rows)
        x_test, y_test = (unit_rows(z[rows], np.float32) for z in (x, y))  # as an index would hold them
        mapped = {}
        for name in replicated:
            start = perf_counter()
            if name == "raw":
                mapped[name] = x_test, y_test
            else:
                if progress is not None:
                    done = k * len(estimators) + len(mapped) - 1
                    progress(done, len(splits) * len(estimators), f"{name}, fold {k + 1} of {len(splits)}")
                pairs = _rows(x, train), _rows(y, train)
                aligner = _named(fit)(name, clone(estimators[name]), *pairs, items.group[train])
                seconds[name].append(perf_counter() - start)
                mapped[name] = aligner.transform(x_test, y_test)
            replicated[name].append(replicate(*mapped[name], part, seed=protocol.seed + k))
        held_out = held_out or HeldOut(rows, items.group[rows], mapped)
    assert held_out is not None
    floor = 1 / len(held_out.rows)
    verdicts = _judge(replicated, seconds, keep_recall=protocol.keep_recall, floor=floor)
    return Comparison(len(x), items.count, x.shape[1], protocol, len(splits), verdicts, held_out)


def hold_out(items: Items, protocol: Protocol) -> np.ndarray:
    """Return which rows a single split holds out: about ``protocol.held_out`` of the items.

    Parameters
    ----------
    items : Items
        Of the pairs.
    protocol : Protocol
        Share to hold out, and seed.

    Returns
    -------
    ndarray of bool, shape (n,)
        True for held-out rows: whole items.

    Raises
    ------
    ValueError
        There are fewer than 2 items on either side.

    Examples
    --------
    >>> items = find_items(np.eye(10), np.eye(10))
    >>> int(hold_out(items, Protocol(held_out=0.3)).sum())
    3
    """
    held = round(protocol.held_out * items.count)
    if held < 2 or items.count - held < 2:
        raise ValueError(
            f"holding out {protocol.held_out:.0%} of {items.count} items leaves {items.count - held} to "
            f"learn from and {held} to verify on: expected at least 2 of each"
        )
    order = np.random.default_rng(protocol.seed).permutation(items.count)
    return order[items.group] < held


def _folds(items: Items, protocol: Protocol) -> list[np.ndarray]:
    if not 2 <= protocol.folds <= items.count // 2:
        raise ValueError(
            f"folds must be between 2 and half the {items.count} items, so that each holds 2, "
            f"got {protocol.folds}"
        )
    fold = np.random.default_rng(protocol.seed).permutation(items.count) % protocol.folds
    return [fold[items.group] == k for k in range(protocol.folds)]


def _some(items: Items, test: np.ndarray, seed: int) -> np.ndarray:
    """Held-out rows, whole items, about `HELD_OUT_PAIRS` at most."""
    held = np.unique(items.group[test])
    size = np.bincount(items.group)[held]
    order = np.random.default_rng(seed).permutation(len(held))
    enough = int(np.searchsorted(np.cumsum(size[order]), HELD_OUT_PAIRS)) + 1
    return np.flatnonzero(np.isin(items.group, held[order[:enough]]))


def _rows(array: Any, rows: np.ndarray) -> Any:
    """Rows of an array: copied where it is in memory, left where they are where it is on disk."""
    return array[rows] if type(array) is np.ndarray else Selected(array, rows)


def _fit(name: str, aligner: PairedAligner, x: Any, y: Any, group: np.ndarray) -> PairedAligner:
    return aligner.fit(x, y, groups=group)


def _named(fit: Fit) -> Fit:
    """Say in an error which aligner could not be fitted."""

    def named(name: str, *rest: Any) -> PairedAligner:
        try:
            return fit(name, *rest)
        except ValueError as error:
            raise ValueError(f"{name} cannot be fitted: {error}") from error

    return named


def _judge(
    replicated: dict[str, list[Replicated]],
    seconds: dict[str, list[float]],
    *,
    keep_recall: float,
    floor: float,
) -> dict[str, Verdict]:
    mean = {
        name: {figure: np.mean([fold[figure] for fold in folds], axis=0) for figure in folds[0]}
        for name, folds in replicated.items()
    }
    raw = _recall(mean["raw"])
    verdicts = {}
    for name, figures in mean.items():
        # resamples pair up, having one seed; where raw finds next to nothing, it counts as one row found
        kept = np.ones_like(raw) if name == "raw" else _recall(figures) / np.maximum(raw, floor)
        verdicts[name] = Verdict(
            {figure: Bootstrap.figure(value) for figure, value in figures.items()},
            kept_recall=Bootstrap.figure(kept),
            collapsed=bool(kept[0] < keep_recall),
            seconds=float(np.mean(seconds[name])) if seconds[name] else 0.0,
        )
    order = sorted(verdicts, key=lambda name: (verdicts[name].collapsed, verdicts[name].figures["rmg"].value))
    return {name: verdicts[name] for name in order}


def _recall(figures: Replicated) -> np.ndarray:
    return (figures["recall_at_1_x_to_y"] + figures["recall_at_1_y_to_x"]) / 2


def _estimators(
    aligners: Sequence[str] | Mapping[str, PairedAligner] | None, protocol: Protocol
) -> dict[str, PairedAligner]:
    if isinstance(aligners, Mapping):
        return dict(aligners)
    if aligners is None:
        has_torch = importlib.util.find_spec("torch") is not None
        aligners = (*CLOSED_FORM, "nonlinear") if has_torch else CLOSED_FORM
    return {name: configured(name, protocol) for name in aligners if name != "raw"}


def configured(name: str, protocol: Protocol) -> PairedAligner:
    """Return an unfitted aligner by name, told what the protocol asks for.

    Parameters
    ----------
    name : str
        As on the command line.
    protocol : Protocol
        The recall to keep, and the seed.

    Returns
    -------
    PairedAligner
        Unfitted.

    Raises
    ------
    ValueError
        The name is unknown.

    Examples
    --------
    >>> configured("shared", Protocol(keep_recall=0.9))
    SharedSpace(keep_recall=0.9)
    """
    if name == "shared":
        return make_aligner(name, keep_recall=protocol.keep_recall, seed=protocol.seed)
    if name == "nonlinear":
        return make_aligner(name, training=TrainingConfig(seed=protocol.seed))
    return make_aligner(name)
