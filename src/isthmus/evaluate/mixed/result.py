"""What a mixed search found: figures by method with intervals, and paired differences between methods."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from isthmus.checks import check_groups, check_number
from isthmus.evaluate.mixed.documents import KINDS
from isthmus.evaluate.mixed.metrics import log_ratio
from isthmus.measure.bootstrap import Bootstrap, Figure

_SHOWN = ("ndcg", "recall_at_1", "recall_at_10")


@dataclass(frozen=True)
class MixedOptions:
    """How a mixed search is made and measured."""

    k: int = 10  # length of the lists that NDCG, and the shares of kinds, are of
    recall_at: tuple[int, ...] = (1, 5, 10)
    weight: float | None = None  # of the image in documents of both; None leaves each method its own, 0.5
    against: tuple[str, ...] = ("raw", "gr-clip")  # methods that all others are compared with, query by query
    queries: int = 20_000  # at most, chosen at random
    folds: int = 5  # of the items, where methods learn from some of those that are searched
    calibration_items: int | None = None  # that methods learn from, chosen at random; None takes all
    calibration_seed: int = 0  # of that choice
    whole: bool = False  # with folds: each query searches the documents of all items, not of its fold alone
    seed: int = 0  # of the folds, the order of ties, the choice of queries and the resamples

    def __post_init__(self):
        check_number(self.k, "k", "[1, inf)", integer=True)
        if not isinstance(self.recall_at, list | tuple) or not self.recall_at:
            raise ValueError(f"recall_at must hold at least one length of list, got {self.recall_at!r}")
        for k in self.recall_at:
            check_number(k, "recall_at", "[1, inf)", integer=True)
        if isinstance(self.against, str):
            raise ValueError(f"against must be a list of names, got {self.against!r}")
        if self.weight is not None:
            check_number(self.weight, "weight", "[0, 1]")
        check_number(self.queries, "queries", "[2, inf)", integer=True)
        check_number(self.folds, "folds", "[2, inf)", integer=True)
        if self.calibration_items is not None:
            check_number(self.calibration_items, "calibration_items", "[2, inf)", integer=True)
        check_number(self.calibration_seed, "calibration_seed", "[0, inf)", integer=True)
        check_number(self.seed, "seed", "[0, inf)", integer=True)


@dataclass(frozen=True, eq=False)
class Answers:
    """What one method found, query by query.

    Examples
    --------
    >>> Answers({"ndcg": np.ones(2)}, np.full((2, 3), 1 / 3)).figures["ndcg"]
    array([1., 1.])
    """

    figures: dict[str, np.ndarray]  # (n,) each
    shares: np.ndarray  # (n, 3) of each kind among the first k


@dataclass(frozen=True, eq=False)
class MixedResult:
    """What methods found in one corpus, or, pooled, in several.

    Examples
    --------
    >>> found = Answers({"ndcg": np.array([0.0, 1.0])}, np.tile([1.0, 0.0, 0.0], (2, 1)))
    >>> shares = np.tile([0.5, 0.5, 0.0], (2, 1))
    >>> result = MixedResult({"raw": found}, np.arange(2), np.zeros(2, dtype=int), shares, MixedOptions())
    >>> result.figure("raw").value, result.bias("raw", "image").value
    (0.5, 1.0)
    """

    answers: dict[str, Answers]  # by method
    group: np.ndarray  # (n,) the item of each query
    kind: np.ndarray  # (n,) of each query, a position in KINDS
    corpus: np.ndarray  # (n, 3) share of each kind in the corpus that a query searches
    options: MixedOptions
    corpora: tuple[dict[str, int], ...] = ()  # documents by kind, of each corpus
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.group)

    def take(self, queries: np.ndarray) -> Self:
        """Return what was found for some of the queries, by number or by a mask (n,)."""
        answers = {
            name: Answers({f: v[queries] for f, v in found.figures.items()}, found.shares[queries])
            for name, found in self.answers.items()
        }
        group = check_groups(self.group[queries], len(self.group[queries]))
        parts = self.kind[queries], self.corpus[queries]
        return type(self)(answers, group, *parts, self.options, self.corpora, self.notes)

    def of_kind(self, kind: str) -> Self:
        """Return what was found for queries of one kind."""
        return self.take(np.flatnonzero(self.kind == _number_of(kind)))

    def figure(self, method: str, name: str = "ndcg") -> Figure:
        """Return a figure of a method, the mean over queries, with its interval over items.

        All figures lie in [0, 1]: where nearly every query has 0, or 1, the interval is the binomial one of a
        share of so many items.
        """
        return self._share(self._values(method, name))

    def difference(self, method: str, other: str, name: str = "ndcg") -> Figure:
        """Return by how much a method's figure is above another's, on the same queries."""
        boot = self._bootstrap
        apart = self._values(method, name) - self._values(other, name, "other")
        return boot.figure(boot.mean(apart))

    def share(self, method: str, kind: str) -> Figure:
        """Return the share of a kind of document among the first k, with its interval as that of a figure."""
        return self._share(self._answers(method).shares[:, _number_of(kind)])

    def bias(self, method: str, kind: str) -> Figure:
        """Return the log-ratio (base 2) of a kind's share among the first k and in the corpus."""
        share = np.array(self.share(method, kind))  # (3,) value and bounds
        expected = float(self.corpus[:, _number_of(kind)].mean())
        least = 0.5 / (len(self) * self.options.k)
        return Figure(*log_ratio(share, expected, least=least).tolist())

    @property
    def kinds(self) -> list[str]:
        """Kinds of document that the corpus has."""
        return [kind for at, kind in enumerate(KINDS) if self.corpus[:, at].any()]

    @property
    def counts(self) -> dict[str, int]:
        """Documents by kind, of all corpora together."""
        return {kind: sum(corpus[kind] for corpus in self.corpora) for kind in KINDS}

    @property
    def searched(self) -> str:
        """What was searched, in words: "5 corpora of 20 image, 100 text"."""
        parts = []
        for kind in KINDS:
            least, most = (of(corpus[kind] for corpus in self.corpora) for of in (min, max))
            if most:
                parts.append(f"{least} {kind}" if least == most else f"{least} to {most} {kind}")
        each = ", ".join(parts)
        return each if len(self.corpora) == 1 else f"{len(self.corpora)} corpora of {each}"

    def _answers(self, method: str, name: str = "method") -> Answers:
        if method not in self.answers:
            raise ValueError(f"{name} must be one of {', '.join(self.answers)}, got {method!r}")
        return self.answers[method]

    def _values(self, method: str, name: str, which: str = "method") -> np.ndarray:
        figures = self._answers(method, which).figures
        if name not in figures:
            raise ValueError(f"name must be one of {', '.join(figures)}, got {name!r}")
        return figures[name]

    @property
    def items(self) -> int:
        """How many items have queries."""
        return int(self.group.max()) + 1

    @property
    def _bootstrap(self) -> Bootstrap:
        if self.items < 2:
            raise ValueError(f"expected queries of at least 2 items, got {len(self)} of 1")
        return Bootstrap(self.group, self.options.seed)

    def _share(self, values: np.ndarray) -> Figure:
        boot = self._bootstrap
        return boot.figure(boot.mean(values), share_of=self.items)

    @classmethod
    def pooled(cls, parts: Sequence[Self]) -> Self:
        """Return several results of the same methods as one: their queries side by side.

        Each part has searched a corpus of its own. Items are told apart by
        their part: no item may have queries in two.

        Raises
        ------
        ValueError
            The methods are not the same.
        """
        first = parts[0]
        if any(list(part.answers) != list(first.answers) for part in parts):
            raise ValueError(f"parts must have the same methods, {', '.join(first.answers)}")
        answers = {
            name: Answers(
                {f: np.concatenate([p.answers[name].figures[f] for p in parts]) for f in found.figures},
                np.concatenate([p.answers[name].shares for p in parts]),
            )
            for name, found in first.answers.items()
        }
        offsets = np.cumsum([0, *(int(part.group.max()) + 1 for part in parts[:-1])])
        group = np.concatenate([part.group + at for part, at in zip(parts, offsets, strict=True)])
        kind, corpus = (np.concatenate([getattr(p, name) for p in parts]) for name in ("kind", "corpus"))
        corpora = tuple(counts for part in parts for counts in part.corpora)
        notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
        return cls(answers, group, kind, corpus, first.options, corpora, notes)

    @classmethod
    def averaged(cls, parts: Sequence[Self]) -> Self:
        """Return several results of the same queries as one: each query's figures averaged.

        Raises
        ------
        ValueError
            Methods or queries are not the same.
        """
        first = parts[0]
        for part in parts:
            if list(part.answers) != list(first.answers) or not np.array_equal(part.group, first.group):
                raise ValueError("parts must have the same methods and the same queries")
        answers = {
            name: Answers(
                {f: np.mean([p.answers[name].figures[f] for p in parts], axis=0) for f in found.figures},
                np.mean([p.answers[name].shares for p in parts], axis=0),
            )
            for name, found in first.answers.items()
        }
        return replace(first, answers=answers)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, ready for JSON."""
        return {
            "documents": self.counts,
            "corpora": list(self.corpora),
            "queries": {k: int((self.kind == at).sum()) for at, k in enumerate(KINDS)},
            "items": self.items,
            "options": asdict(self.options),
            "methods": {name: self._method(name) for name in self.answers},
            "notes": list(self.notes),
        }

    def _method(self, name: str) -> Mapping[str, Any]:
        against = [o for o in self.options.against if o in self.answers and o != name]
        return {
            "figures": {f: self.figure(name, f)._asdict() for f in self.answers[name].figures},
            "share": {kind: self.share(name, kind)._asdict() for kind in self.kinds},
            "log2_ratio": {kind: self.bias(name, kind)._asdict() for kind in self.kinds},
            "ndcg_against": {other: self.difference(name, other)._asdict() for other in against},
        }

    def __rich__(self):
        from rich.console import Group
        from rich.table import Table

        table = Table(title=f"{len(self)} queries, documents: {self.searched}", title_justify="left")
        against = [o for o in self.options.against if o in self.answers]
        shown = [f for f in _SHOWN if f in next(iter(self.answers.values())).figures]
        table.add_column("method")
        heads = (f"NDCG@{self.options.k}", "R@1", "R@10")
        heads_shown = [h for f, h in zip(_SHOWN, heads, strict=True) if f in shown]
        for head in (
            *heads_shown,
            *(f"NDCG - {o}" for o in against),
            *(f"log2 {kind}" for kind in self.kinds),
        ):
            table.add_column(head, justify="right")
        for name in self.answers:
            cells = [self.figure(name, f) for f in shown]
            cells += [self.difference(name, other) for other in against]
            cells += [self.bias(name, kind) for kind in self.kinds]
            table.add_row(name, *(f"{c.value:.3f} [dim]{c.low:.3f}..{c.high:.3f}[/dim]" for c in cells))
        return Group(table, *self.notes)


def _number_of(kind: str) -> int:
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    return KINDS.index(kind)
