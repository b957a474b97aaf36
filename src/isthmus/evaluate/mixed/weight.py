"""The share of the image in documents of both, chosen on queries that are then not measured on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.align import PairedAligner
from isthmus.checks import check_number
from isthmus.evaluate.mixed.documents import Documents
from isthmus.evaluate.mixed.methods import Calibration, Method, fit_methods
from isthmus.evaluate.mixed.relevance import Queries
from isthmus.evaluate.mixed.result import Answers, MixedOptions
from isthmus.evaluate.mixed.rules import Ranker
from isthmus.evaluate.mixed.search import check_calibration, mixed_search

WEIGHTS = tuple(np.linspace(0, 1, 11).round(1).tolist())


@dataclass(frozen=True, eq=False)
class Weight:
    """The weight that one method's documents of both are fused with.

    Examples
    --------
    >>> Weight(0.3, np.array([0.0, 0.3]), np.array([0.5, 0.6])).to_dict()["weight"]
    0.3
    """

    weight: float
    weights: np.ndarray  # (w,) that were tried
    ndcg: np.ndarray  # (w,) mean over the queries that chose

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {"weight": self.weight, "weights": self.weights.tolist(), "ndcg": self.ndcg.tolist()}


def choose_weights(
    corpus: Documents,
    queries: Queries,
    *,
    methods: Sequence[str] | Mapping[str, Method | PairedAligner | Ranker],
    calibration: Calibration | None = None,
    weights: Sequence[float] = WEIGHTS,
    options: MixedOptions | None = None,
) -> tuple[dict[str, Ranker], dict[str, Weight]]:
    """Fit methods, and give each the weight of the highest NDCG on some queries.

    The queries that choose should search for documents as the queries do that
    are measured afterwards, and be others: :func:`split_queries` cuts them by item.

    Parameters
    ----------
    corpus : Documents
        What is searched.
    queries : Queries
        That choose.
    methods : sequence of str, or mapping of str to method
        As in :func:`mixed_search`.
    calibration : Calibration, optional
        What methods learn from.
    weights : sequence of float, default=0, 0.1, ..., 1
        To try. Of weights whose NDCG is the same, the one nearest 0.5 is taken.
    options : MixedOptions, optional
        Length of the lists, seed; its weight is of no account.

    Returns
    -------
    rankers : dict of str to Ranker
        Fitted, with their weights, for :func:`mixed_search`.
    chosen : dict of str to Weight
        The weights, and what each that was tried gave.

    Raises
    ------
    ValueError
        There is no weight or one is not in [0, 1], or a method cannot be fitted.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> from isthmus.evaluate.mixed.relevance import by_item
    >>> corpus = make_documents(np.eye(3), np.eye(3)[::-1])  # images say what texts get wrong
    >>> queries = by_item(make_documents(np.eye(3)), range(3), range(3))
    >>> choose_weights(corpus, queries, methods=["raw"], weights=[0.0, 0.5, 1.0])[1]["raw"].weight
    1.0
    """
    if not len(weights):
        raise ValueError("weights must hold at least one number in [0, 1], got none")
    for weight in weights:
        check_number(weight, "weights", "[0, 1]")
    check_calibration(calibration, corpus)
    options = options or MixedOptions()
    rankers = fit_methods(methods, calibration)
    tried = [
        mixed_search(corpus, queries, methods=rankers, options=replace(options, weight=float(weight))).answers
        for weight in weights
    ]
    chosen = {name: _best(weights, [found[name] for found in tried]) for name in rankers}
    return {name: replace(rankers[name], weight=chosen[name].weight) for name in rankers}, chosen


def split_queries(queries: Queries, *, seed: int = 0) -> tuple[Queries, Queries]:
    """Cut queries into two halves, item by item.

    Parameters
    ----------
    queries : Queries
        Of two items or more.
    seed : int, default=0
        Of the cut.

    Returns
    -------
    first, second : Queries
        No item has queries in both.

    Raises
    ------
    ValueError
        All queries are of one item.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> from isthmus.evaluate.mixed.relevance import by_item
    >>> queries = by_item(make_documents(text=np.eye(4)), ["a", "a", "b", "b"], ["a", "b"])
    >>> [len(half) for half in split_queries(queries)]
    [2, 2]
    """
    count = int(queries.group.max()) + 1
    if count < 2:
        raise ValueError(f"expected queries of at least 2 items, got {len(queries)} of 1")
    first = np.random.default_rng(seed).permutation(count)[queries.group] < count / 2
    return queries.take(np.flatnonzero(first)), queries.take(np.flatnonzero(~first))


def _best(weights: Sequence[float], found: Sequence[Answers]) -> Weight:
    ndcg = np.array([answers.figures["ndcg"].mean() for answers in found])
    tried = np.array(weights, dtype=np.float64)
    best = np.flatnonzero(ndcg >= ndcg.max() - 1e-12)
    return Weight(float(tried[best[np.argmin(np.abs(tried[best] - 0.5))]]), tried, ndcg)
