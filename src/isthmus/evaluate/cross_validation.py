"""Aligners fitted on some items and measured on others."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.base import clone

from isthmus.align import PairedAligner, make_aligner
from isthmus.checks import check_pairs, unit_rows
from isthmus.evaluate.comparison import Comparison, HeldOut, Protocol, Verdict
from isthmus.measure.bootstrap import Bootstrap
from isthmus.measure.items import Items, Selected, find_items
from isthmus.measure.summary import Replicated, figures_of, replicate
from isthmus.training import TrainingConfig

HELD_OUT_PAIRS = 20_000  # of a fold, at most, that figures come from
CLOSED_FORM = ("collapse", "shift", "linear", "procrustes", "cca", "shared")

Fit = Callable[[str, PairedAligner, Any, Any, np.ndarray], PairedAligner]


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
    held_out, tested = None, 0
    for k, test in enumerate(splits):
        train, rows = np.flatnonzero(~test), _some(items, test, protocol.seed)
        part = items.take(rows)
        tested += part.count
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
    verdicts = _judge(replicated, seconds, keep_recall=protocol.keep_recall, floor=floor, items=tested)
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
    items: int,
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
            figures_of(figures, items),
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
