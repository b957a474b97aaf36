"""Every task's figures in one table: raw, aligned, and the difference on the same items."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from isthmus.evaluate.retrieval import DIRECTIONS
from isthmus.evaluate.retrieval import FIGURES as RETRIEVAL
from isthmus.evaluate.zero_shot import FIGURES as ZERO_SHOT
from isthmus.measure.bootstrap import Bootstrap, Figure

_SHOWN = ZERO_SHOT | {
    f"{name}_{way}": f"{figure} {arrow}"
    for name, figure in RETRIEVAL.items()
    for way, arrow in DIRECTIONS.items()
}
_SHOWN |= {"ndcg": "NDCG@10", **{f"recall_at_{k}": f"R@{k}" for k in (1, 5, 10)}}
_PER_CLASS = 10  # classes that the table shows; more are in the JSON


@dataclass(frozen=True)
class Row:
    """One figure of a task.

    Examples
    --------
    >>> replicated = np.array([0.5, 0.4, 0.6])
    >>> row = Row.paired("zero-shot", "top_1", raw=replicated, aligned=replicated + 0.25)
    >>> row.difference.value, row.verdict
    (0.25, 'better')
    """

    task: str
    figure: str  # as in the task's own result
    raw: Figure
    aligned: Figure
    difference: Figure  # aligned - raw, resampled together
    of: str = ""  # what part of the task: a class, a way to ask
    lower_is_better: bool = False

    @classmethod
    def paired(
        cls,
        task: str,
        figure: str,
        *,
        raw: np.ndarray,
        aligned: np.ndarray,
        of: str = "",
        lower: bool = False,
        share_of: int | None = None,
    ) -> Self:
        """Return a row of two replicated figures, (1 + draws,) each, of the same resamples.

        `share_of` is as for :meth:`isthmus.measure.bootstrap.Bootstrap.figure`, of the two, not of their
        difference.
        """
        figures = (Bootstrap.figure(values, share_of=share_of) for values in (raw, aligned))
        return cls(task, figure, *figures, Bootstrap.figure(aligned - raw), of, lower)

    @property
    def verdict(self) -> str:
        """Either "better" or "worse" where the interval of the difference leaves out 0, else ""."""
        if self.difference.low <= 0 <= self.difference.high:
            return ""
        return "better" if (self.difference.value > 0) != self.lower_is_better else "worse"

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        told = {name: getattr(self, name) for name in ("task", "figure", "of", "lower_is_better")}
        figures = {name: getattr(self, name)._asdict() for name in ("raw", "aligned", "difference")}
        return told | figures | {"verdict": self.verdict}


@dataclass(frozen=True)
class AlignedResult:
    """What an aligner does to the tasks that were run, and why others were not.

    Examples
    --------
    >>> AlignedResult((), {"retrieval": "there is one modality only"}).to_dict()["skipped"]
    {'retrieval': 'there is one modality only'}
    """

    rows: tuple[Row, ...]
    skipped: dict[str, str]  # by task: why
    sizes: dict[str, str] = field(default_factory=dict)  # by task: of how many items, in words
    details: dict[str, Any] = field(default_factory=dict)  # by task: all that its own result has, where more
    notes: tuple[str, ...] = ()

    def row(self, task: str, figure: str, *, of: str = "") -> Row:
        """Return one row.

        Raises
        ------
        KeyError
            There is none such.
        """
        for row in self.rows:
            if (row.task, row.figure, row.of) == (task, figure, of):
                return row
        raise KeyError((task, figure, of))

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {
            "rows": [row.to_dict() for row in self.rows],
            "skipped": self.skipped,
            "sizes": self.sizes,
            "details": self.details,
            "notes": list(self.notes),
        }

    def __rich__(self):
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(
            caption="95% intervals over items; differences on the same items", caption_justify="left"
        )
        for name in ("task", "figure", "raw", "aligned", "difference", ""):
            table.add_column(name, justify="left" if name in ("task", "figure", "") else "right")
        colour = {"better": "green", "worse": "red", "": ""}
        last, many = None, self._tasks_of_many_parts()
        for row in self.rows:
            if row.of and row.task in many:
                continue
            if row.task != last:
                table.add_section()
                size = self.sizes.get(row.task)
                table.add_row(Text(row.task, style="bold"), Text(size or "", style="dim"))
            last = row.task
            name = _SHOWN.get(row.figure, row.figure)
            name = f"{row.of}: {name}" if row.of else name
            cells = [f"{f.value:.3f} [dim]{f.low:.3f}..{f.high:.3f}[/dim]" for f in (row.raw, row.aligned)]
            d = row.difference
            cells.append(f"{d.value:+.3f} [dim]{d.low:+.3f}..{d.high:+.3f}[/dim]")
            table.add_row("", Text(name), *cells, Text(row.verdict, style=colour[row.verdict]))
        told = [f"skipped {task}: {why}" for task, why in self.skipped.items()]
        told += [f"{task}: {many[task]} classes, each in --json" for task in many]
        return Group(*([table] if self.rows else []), *(Text(line) for line in (*told, *self.notes)))

    def _tasks_of_many_parts(self) -> dict[str, int]:
        count: dict[str, set[str]] = {}
        for row in self.rows:
            if row.of:
                count.setdefault(row.task, set()).add(row.of)
        return {task: len(parts) for task, parts in count.items() if len(parts) > _PER_CLASS}
