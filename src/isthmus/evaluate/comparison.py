"""Aligners side by side on held-out items: what each gained, and what it cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.base import clone

from isthmus.align import PairedAligner, make_aligner
from isthmus.checks import check_pairs, unit_rows
from isthmus.measure.bootstrap import Bootstrap, Figure
from isthmus.measure.items import Items, Selected, find_items
from isthmus.measure.summary import Replicated, replicate

HELD_OUT_PAIRS = 20_000  # of a fold, at most, that figures come from
CLOSED_FORM = ("collapse", "shift", "linear", "procrustes", "cca", "shared")

Fit = Callable[[str, PairedAligner, Any, Any, np.ndarray], PairedAligner]


@dataclass(frozen=True)
class Protocol:
    """How aligners are held to account."""

    folds: int = 5  # of the items; each is held out once
    held_out: float = 0.2  # share of the items held out where there is a single split
    keep_recall: float = 0.99  # share of the raw mean R@1 below which an aligner counts as collapsed
    seed: int = 0  # of the folds and the resamples


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
            f = verdict.figures
            table.add_row(
                name,
                *(
                    f"{f[k].value:.3f} ±{(f[k].high - f[k].low) / 2:.3f}"
                    for k in ("rmg", "alignment", "l2m", "recall_at_1_x_to_y", "recall_at_1_y_to_x")
                ),
                f"{verdict.kept_recall.value:.3f} ±{(verdict.kept_recall.high - verdict.kept_recall.low) / 2:.3f}",
                "[red]collapsed[/red]" if verdict.collapsed else "[green]best[/green]" if name == self.best else "",
            )
        return table


def compare(
    x: Any,
    y: Any,
    *,
    groups: Any = None,
    aligners: Sequence[str] | Mapping[str, PairedAligner] | None = None,
    protocol: Protocol | None = None,
    progress: Callable[[str], None] | None = None,
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
        Told what is being fitted.

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
        x, y, items, estimators=estimators, splits=_folds(items, protocol), protocol=protocol, progress=progress
    )
