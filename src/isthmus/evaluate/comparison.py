"""Aligners side by side: what each gained on held-out items, and what it cost."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.checks import check_number
from isthmus.measure.bootstrap import Figure

_SHOWN = ("rmg", "alignment", "l2m", "recall_at_1_x_to_y", "recall_at_1_y_to_x")


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

    @property
    def raw_at_chance(self) -> bool:
        """Whether the raw rows find no more than chance would: there is then no retrieval to keep."""
        figures, items = self.verdicts["raw"].figures, len(np.unique(self.held_out.group))
        low = figures["recall_at_1_x_to_y"].low + figures["recall_at_1_y_to_x"].low
        return bool(low / 2 <= 1 / items)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the held-out rows, ready for JSON."""
        return {
            "pairs": self.pairs,
            "items": self.items,
            "dim": self.dim,
            "splits": self.splits,
            "keep_recall": self.protocol.keep_recall,
            "best": self.best,
            "raw_at_chance": self.raw_at_chance,
            "aligners": {name: verdict.to_dict() for name, verdict in self.verdicts.items()},
        }

    def __rich__(self):
        from rich.table import Table

        kept = f"{self.protocol.keep_recall:.0%}"
        warning = "\n[red]the raw rows find no more than chance would: there is no retrieval to keep[/red]"
        table = Table(
            title=f"{self.pairs} pairs of {self.items} items, dim {self.dim}, on held-out items",
            caption=f"[red]collapsed[/red]: keeps less than {kept} of the raw mean R@1"
            + warning * self.raw_at_chance,
        )
        for name in ("aligner", "RMG", "alignment", "L2M", "R@1 x→y", "R@1 y→x", "kept recall", ""):
            table.add_column(name, justify="left" if name in ("aligner", "") else "right")
        for name, verdict in self.verdicts.items():
            shown = [verdict.figures[key] for key in _SHOWN] + [verdict.kept_recall]
            cells = [f"{f.value:.3f} [dim]{f.low:.3f}..{f.high:.3f}[/dim]" for f in shown]
            mark = "[red]collapsed[/red]" if verdict.collapsed else ""
            table.add_row(name, *cells, "[green]best[/green]" if name == self.best else mark)
        return table
