"""What a simulation found, beside what theory predicts and what the paper printed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Line:
    """One figure of a simulation.

    Examples
    --------
    >>> Line("gap", 1.21, predicted=1.2, spread=0.02, paper=1.21).to_dict()
    {'name': 'gap', 'measured': 1.21, 'predicted': 1.2, 'spread': 0.02, 'paper': 1.21}
    """

    name: str
    measured: float
    predicted: float | None = None  # by the closed form
    spread: float | None = None  # standard deviation over seeds of what is measured
    paper: float | None = None  # as printed there

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Simulation:
    """A simulation that ran.

    Examples
    --------
    >>> run = Simulation("cone", "A cone", {"seed": 0}, (Line("cosine", 0.5),), {"x": np.arange(2)})
    >>> run.to_dict()["curves"], run["cosine"].measured
    ({'x': [0, 1]}, 0.5)
    """

    name: str  # the verb's: "initialization"
    title: str  # what it shows, in one sentence
    settings: Mapping[str, Any]  # every number that its figures depend on
    lines: tuple[Line, ...]
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)  # what its picture is drawn from
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Line:
        for line in self.lines:
            if line.name == name:
                return line
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "settings": dict(self.settings),
            "lines": [line.to_dict() for line in self.lines],
            "curves": {name: np.asarray(values).tolist() for name, values in self.curves.items()},
            "notes": list(self.notes),
        }

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        table = Table(title=self.title, title_justify="left")
        table.add_column("figure")
        for column in ("measured", "predicted", "± over seeds", "paper"):
            table.add_column(column, justify="right")
        for line in self.lines:
            values = (line.measured, line.predicted, line.spread, line.paper)
            table.add_row(line.name, *map(_short, values))
        return Group(table, *self.notes)


def _short(value: float | None) -> str:
    """Write a figure for people, to whom rounding is 0."""
    if value is None:
        return ""
    return f"{value:.4g}" if abs(value) > 1e-12 else "0"
