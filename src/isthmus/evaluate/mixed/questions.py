"""What readers ask: how much calibration, which corpora, which queries, must queries be centred apart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.evaluate.mixed.documents import KINDS
from isthmus.evaluate.mixed.methods import CENTRINGS, Method
from isthmus.evaluate.mixed.mixture import Mixture
from isthmus.evaluate.mixed.result import MixedOptions, MixedResult

SIZES = (10, 30, 100, 300)
RATIOS = ((9, 1, 0), (3, 1, 0), (1, 1, 0), (1, 3, 0), (1, 9, 0), (1, 1, 1))


@dataclass(frozen=True, eq=False)
class Varied:
    """One search under several settings.

    Examples
    --------
    >>> Varied("how many calibration items?", {}).to_dict()
    {'question': 'how many calibration items?', 'settings': {}}
    """

    question: str
    results: dict[str, MixedResult]  # by setting

    def to_dict(self) -> dict[str, Any]:
        """Return every result, ready for JSON."""
        return {
            "question": self.question,
            "settings": {name: result.to_dict() for name, result in self.results.items()},
        }

    def __rich__(self):
        from rich.table import Table

        table = Table(title=self.question, title_justify="left")
        table.add_column("")
        first = next(iter(self.results.values()))
        for name in first.answers:
            table.add_column(name, justify="right")
        for setting, result in self.results.items():
            figures = [result.figure(name) for name in result.answers]
            table.add_row(setting, *(f"{f.value:.3f} [dim]{f.low:.3f}..{f.high:.3f}[/dim]" for f in figures))
        return table


def calibration_sizes(
    search: Callable[[MixedOptions], MixedResult],
    *,
    sizes: Sequence[int] = SIZES,
    repeats: int = 3,
    options: MixedOptions | None = None,
) -> Varied:
    """Search with methods that learned from few items and from many.

    Parameters
    ----------
    search : callable
        Searches under some options, such as ``lambda options: mixed_search(..., options=options)``.
    sizes : sequence of int, default=(10, 30, 100, 300)
        Items to learn from; all come last, as "all".
    repeats : int, default=3
        Choices of the items of each size; each query's figures are averaged over them.
    options : MixedOptions, optional
        All else.

    Returns
    -------
    Varied
        By size.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.crossing import cross_search
    >>> from isthmus.theory import sample
    >>> x, y, _ = sample(100)
    >>> search = lambda options: cross_search(x, y, methods=["collapse"], options=options)
    >>> list(calibration_sizes(search, sizes=[5], repeats=1).results)
    ['5', 'all']
    """
    options = options or MixedOptions()
    results = {}
    for size in sizes:
        some = [
            search(replace(options, calibration_items=size, calibration_seed=seed)) for seed in range(repeats)
        ]
        results[str(size)] = MixedResult.averaged(some)
    return Varied("how many calibration items?", results | {"all": search(options)})


def corpus_ratios(
    search: Callable[[Mixture], MixedResult],
    *,
    ratios: Sequence[tuple[float, float, float]] = RATIOS,
    mixture: Mixture | None = None,
) -> Varied:
    """Search corpora of other shares of images, texts and both.

    Parameters
    ----------
    search : callable
        Makes a corpus of a mixture and searches it.
    ratios : sequence of tuple of 3 numbers, default=RATIOS
        Of images, texts and both.
    mixture : Mixture, optional
        All else.

    Returns
    -------
    Varied
        By ratio, such as "9:1:0".

    Examples
    --------
    >>> from isthmus.evaluate.mixed.task import mixed_task
    >>> from isthmus.theory import sample
    >>> x, y, _ = sample(100)
    >>> found = corpus_ratios(lambda mixture: mixed_task(x, y, mixture=mixture), ratios=[(9, 1, 0)])
    >>> found.results["9:1:0"].counts
    {'image': 90, 'text': 10, 'both': 0}
    """
    mixture = mixture or Mixture()
    return Varied(
        "does it hold in corpora that are not 1:1:1 (image : text : both)?",
        {":".join(f"{r:g}" for r in ratio): search(replace(mixture, ratio=ratio)) for ratio in ratios},
    )


def query_kinds(search: Callable[[Mixture], MixedResult], *, mixture: Mixture | None = None) -> Varied:
    """Search with queries that are texts, images and both, for the same items: those that are texts.

    Parameters
    ----------
    search : callable
        Makes a corpus of a mixture and searches it.
    mixture : Mixture, optional
        All but the kinds of query.

    Returns
    -------
    Varied
        By kind of query; of items that all three kinds search for.

    Raises
    ------
    ValueError
        No item is searched for by all three: items need two texts.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.task import mixed_task
    >>> rng = np.random.default_rng(0)
    >>> image, items = rng.normal(size=(30, 8)).repeat(2, axis=0), np.arange(30).repeat(2)
    >>> text = image + rng.normal(size=(60, 8))
    >>> found = query_kinds(lambda mixture: mixed_task(image, text, items=items, mixture=mixture))
    >>> {kind: len(result) for kind, result in found.results.items()}
    {'text': 10, 'image': 10, 'both': 10}
    """
    result = search(replace(mixture or Mixture(), queries=KINDS))
    asked = [set(result.group[result.kind == at].tolist()) for at in range(3)]
    common = np.array(sorted(set.intersection(*asked)), dtype=np.int64)
    if len(common) < 2:
        raise ValueError(
            f"expected at least 2 items that texts, images and both search for, got {len(common)}"
        )
    result = result.take(np.flatnonzero(np.isin(result.group, common)))
    kinds = {kind: result.of_kind(kind) for kind in ("text", "image", "both")}
    return Varied("does it hold for queries of every kind? (answers are texts)", kinds)


def query_centring(search: Callable[[Mapping[str, Method]], MixedResult]) -> Varied:
    """Search by GR-CLIP with queries as they are, less the documents' means, and less their own mean.

    Parameters
    ----------
    search : callable
        Searches by some methods.

    Returns
    -------
    Varied
        One setting; its methods are the three.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.crossing import cross_search
    >>> from isthmus.theory import sample
    >>> x, y, _ = sample(100)
    >>> found = query_centring(lambda methods: cross_search(x, y, methods=methods))
    >>> len(found.results["all"].answers)
    3
    """
    return Varied("must queries lose a mean of their own?", {"all": search(CENTRINGS)})
