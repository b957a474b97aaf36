"""Captions of the world scored by what they tell: what of it is so, and what of what is so they told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.evaluate.captions.scores import check_ids
from isthmus.evaluate.world import shown
from isthmus.measure.bootstrap import Bootstrap, Figure
from isthmus.sources.world import Facts, read_caption


@dataclass(frozen=True)
class FactScores:
    """How well captions tell the facts of their scenes, with 95% bootstrap intervals over scenes.

    Examples
    --------
    >>> half = Figure(0.5, 0.4, 0.6)
    >>> FactScores(("a",), half, half, half, np.array([[1, 2, 2]])).to_dict()["f1"]
    {'value': 0.5, 'low': 0.4, 'high': 0.6}
    """

    ids: tuple[Any, ...]
    precision: Figure  # share of the facts told that are so
    recall: Figure  # share of the facts that are so that were told
    f1: Figure  # harmonic mean of both
    counts: np.ndarray = field(repr=False)  # (n, 3) of each caption: told and so, told, so

    @property
    def per_caption(self) -> dict[str, np.ndarray]:
        """Precision, recall and F1 of each caption, 0 where nothing was told."""
        precision, recall, f1 = _ratios(self.counts)
        return {"precision": precision, "recall": recall, "f1": f1}

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        figures = {name: getattr(self, name)._asdict() for name in ("precision", "recall", "f1")}
        each = {name: values.tolist() for name, values in self.per_caption.items()}
        return {"ids": list(self.ids)} | figures | {"per_caption": each}

    def __rich__(self):
        from rich.table import Table

        count = len(self.ids)
        table = Table(title=f"facts of {count} caption{'s' * (count != 1)}")
        for name in ("", "value", "95% interval"):
            table.add_column(name, justify="right" if name else "left")
        for name in ("precision", "recall", "f1"):
            figure = getattr(self, name)
            table.add_row(name, f"{figure.value:.4f}", f"[dim]{figure.low:.4f}..{figure.high:.4f}[/dim]")
        return table


def score_facts(
    candidates: Mapping[Any, str],
    truths: Mapping[Any, Facts],
    *,
    modality: str | None = None,
    seed: int = 0,
) -> FactScores:
    """Score captions of the world's scenes by the facts that they tell.

    Facts are added up over all captions before they are divided, so that a
    caption that tells much weighs more. What a caption tells of things is
    held against the scene under the assignment that favours it most
    (`Facts.agreement`); words outside the world's grammar tell nothing.

    Parameters
    ----------
    candidates : mapping of id to str
        A caption of each scene; an empty one tells nothing.
    truths : mapping of id to Facts
        All facts of each scene.
    modality : str, optional
        "image", "audio" or "video": leave out of account, on both sides, what
        that does not show. By default everything counts.
    seed : int, default=0
        Of the resamples.

    Returns
    -------
    FactScores
        Precision, recall and F1 between 0 and 1.

    Raises
    ------
    ValueError
        Ids differ, a caption is not a string, or the modality is unknown.

    Examples
    --------
    >>> truth = read_caption("a small red ring at the top")
    >>> found = score_facts({0: "a red circle"}, {0: truth})
    >>> found.precision.value, found.recall.value
    (0.5, 0.25)
    """
    ids = check_ids(candidates, truths, ("candidates", "truths"))
    counts = np.zeros((len(ids), 3))
    for row, i in zip(counts, ids, strict=True):
        told, truth = read_caption(candidates[i]), truths[i]
        if modality is not None:
            told, truth = shown(told, modality), shown(truth, modality)
        row[:] = told.agreement(truth), len(told), len(truth)
    boot = Bootstrap(np.arange(len(ids)), seed)
    sums = boot.weights @ boot.sums_by_bin(np.arange(len(ids)), counts)  # (1 + draws, 3)
    return FactScores(tuple(ids), *map(boot.figure, _ratios(sums)), counts)


def _ratios(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision, recall and F1 of counts (..., 3); 0 where nothing is told, or nothing is so."""
    right, told, so = np.moveaxis(counts, -1, 0)

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)

    return share(right, told), share(right, so), share(2 * right, told + so)
