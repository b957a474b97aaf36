"""What the benchmark of arithmetic found: figures with intervals, and the tables that they are read in."""

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Self

import numpy as np

from isthmus.measure.bootstrap import Bootstrap, Figure

FIGURES = {
    "recall_at_1": "R@1",
    "recall_at_10": "R@10",
    "recall_at_1_with_operand": "R@1 with the operand among the candidates",
    "changed": "share of the changed facts that are right",
    "kept": "share of the kept facts that are right",
}
PAIRED = ("recall_at_1", "recall_at_10", "recall_at_1_with_operand")  # compared query by query
ALL = "all"  # kinds together
CHOSEN = "chosen weight"  # of the texts: the best on the queries of the other seeds
Key = tuple[str, str, str, str, str]  # modality, kind, prompt, method, answer


@dataclass
class Tally:
    """What was found for every query.

    Examples
    --------
    >>> tally = Tally()
    >>> tally.add(("image", "add", "word", "raw", "text"), 0, {"recall_at_1": 1.0})
    >>> tally.found
    {('image', 'add', 'word', 'raw', 'text'): {0: {'recall_at_1': 1.0}}}
    """

    found: dict[Key, dict[Hashable, dict[str, float]]] = field(default_factory=dict)

    def add(self, key: Key, query: Hashable, figures: dict[str, float]) -> None:
        """Keep the figures of one query."""
        self.found.setdefault(key, {})[query] = figures


@dataclass(frozen=True)
class Row:
    """The figures of some queries, answered in one way.

    Examples
    --------
    >>> half = Figure(0.5, 0.4, 0.6)
    >>> Row("image", "add", "word", "raw", "text", 9, {"recall_at_1": half}).to_dict()["recall_at_1"]
    {'value': 0.5, 'low': 0.4, 'high': 0.6}
    """

    modality: str
    kind: str  # of the queries, or "all"
    prompt: str  # how the change is put into words; "" where no words are used
    method: str  # "raw", or the aligner
    answer: str  # "arithmetic"; "weight 2" of the texts; "chosen weight"; "image" or "text" alone
    queries: int
    figures: dict[str, Figure]  # as in FIGURES, all of them shares
    gains: dict[str, Figure] = field(default_factory=dict)  # in R@1: over what, query by query
    over_raw: dict[str, Figure] = field(default_factory=dict)  # in which of PAIRED, query by query

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        nested = ("gains", "over_raw")
        told = {k: v for k, v in asdict(self).items() if k not in ("figures", *nested)}
        told |= {name: figure._asdict() for name, figure in self.figures.items()}
        return told | {
            key: {name: figure._asdict() for name, figure in getattr(self, key).items()} for key in nested
        }


@dataclass(frozen=True)
class ArithmeticResult:
    """What arithmetic finds on the world, by every aligner.

    Examples
    --------
    >>> tally = Tally()
    >>> for query in range(4):
    ...     tally.add(("image", "add", "word", "raw", "arithmetic"), query, {"recall_at_1": query % 2})
    >>> ArithmeticResult.of(tally, encoder="world", options={}).row("image", "all", "word", "raw").queries
    4
    """

    encoder: str
    options: dict[str, Any]
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, tally: Tally, *, encoder: str, options: Mapping[str, Any]) -> Self:
        """Average over queries, which are resampled for the intervals."""
        found = dict(tally.found)
        for (modality, _, prompt, method, answer), queries in tally.found.items():
            found.setdefault((modality, ALL, prompt, method, answer), {}).update(queries)
        rows = tuple(_row(key, queries, found) for key, queries in found.items())
        return cls(encoder, dict(options), rows)

    def row(self, modality: str, kind: str, prompt: str, method: str, *, answer: str = "arithmetic") -> Row:
        """Return one row.

        Raises
        ------
        KeyError
            There is none such.
        """
        wanted = (modality, kind, prompt, method, answer)
        for row in self.rows:
            if (row.modality, row.kind, row.prompt, row.method, row.answer) == wanted:
                return row
        raise KeyError(wanted)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {
            "encoder": self.encoder,
            "options": self.options,
            "rows": [row.to_dict() for row in self.rows],
        }

    def __rich__(self) -> Any:
        from rich.console import Group

        from isthmus.evaluate.arithmetic.tables import sheets

        return Group(*sheets(self), "in percent, with 95% intervals over queries")


def _row(key: Key, queries: Mapping[Hashable, Mapping[str, float]], found: Mapping[Key, Any]) -> Row:
    boot = _bootstrap(len(queries))
    names = next(iter(queries.values()))
    shares = {name: boot.mean(_values(queries, name)) for name in names}
    figures = {name: boot.figure(values, share_of=len(queries)) for name, values in shares.items()}
    return Row(*key, len(queries), figures, *_gains(key, queries, found))


def _gains(
    key: Key, queries: Mapping[Hashable, Mapping[str, float]], found: Mapping[Key, Any]
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Compare arithmetic, on the same queries, with raw arithmetic and the text alone, and all with raw."""
    modality, kind, prompt, method, answer = key
    if answer not in ("arithmetic", CHOSEN):
        return {}, {}
    raw, text = (modality, kind, prompt, "raw", answer), (modality, kind, prompt, method, "text")
    boot = _bootstrap(len(queries))

    def more(other: Key, name: str) -> Figure:
        theirs = {query: found[other][query] for query in queries}
        return boot.figure(boot.mean(_values(queries, name) - _values(theirs, name)))

    gains, over_raw = {}, {}
    if raw in found and method != "raw":
        over_raw = {name: more(raw, name) for name in PAIRED if name in next(iter(queries.values()))}
        gains["raw"] = over_raw["recall_at_1"]
    if text in found:
        gains["text"] = more(text, "recall_at_1")
    return gains, over_raw


def _values(queries: Mapping[Hashable, Mapping[str, float]], name: str) -> np.ndarray:
    return np.array([float(figures[name]) for figures in queries.values()])


@cache
def _bootstrap(n: int) -> Bootstrap:
    return Bootstrap(np.arange(n), seed=0)
