"""Mixed search by cross-fitting: methods learn from some items, and search corpora made of the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from isthmus.align import PairedAligner
from isthmus.checks import check_pairs
from isthmus.evaluate.mixed.methods import Calibration, Method
from isthmus.evaluate.mixed.mixture import Mixed, mix
from isthmus.evaluate.mixed.result import MixedOptions, MixedResult
from isthmus.evaluate.mixed.rules import Ranker
from isthmus.evaluate.mixed.search import mixed_search
from isthmus.measure.items import find_items

Make = Callable[..., Mixed]  # (x, y, items=...) -> corpus and queries


def cross_search(
    x: Any,
    y: Any,
    *,
    items: Any = None,
    methods: Sequence[str] | Mapping[str, Method | PairedAligner | Ranker],
    make: Make = mix,
    options: MixedOptions | None = None,
) -> MixedResult:
    """Fit methods on all folds of the items but one, let that one's queries search, and pool the queries.

    What they search is made of their own fold's items, so that nothing in it
    was learned from; or, with ``options.whole``, of all items, most of which were.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Paired embeddings of images and texts.
    items : array-like of shape (n,), optional
        The item of each pair; by default pairs that share a row are one.
    methods : sequence of str, or mapping of str to method
        As in :func:`mixed_search`.
    make : callable, default=mix
        Makes corpus and queries of ``(x, y, items=...)``.
    options : MixedOptions, optional
        Number of folds, what is searched, how many of the other folds' items to learn from, length of the
        lists, seed.

    Returns
    -------
    MixedResult
        Of every query.

    Raises
    ------
    ValueError
        There are fewer than two items per fold.

    Examples
    --------
    >>> from isthmus.theory import sample
    >>> found = cross_search(*sample(200)[:2], methods=["raw", "collapse"])
    >>> found.difference("collapse", "raw").low > 0
    True
    """
    options = options or MixedOptions()
    x, y = check_pairs(x, y)
    known = find_items(x, y, items)
    folds = options.folds
    if folds > known.count // 2:
        raise ValueError(
            f"folds must be at most half the {known.count} items, so that each holds 2, got {folds}"
        )
    fold = (np.random.default_rng(options.seed).permutation(known.count) % folds)[known.group]
    every = make(x, y, items=known.group) if options.whole else None
    parts = []
    for number in range(folds):
        learned, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if every is None:
            made = make(x[held], y[held], items=known.group[held])
        else:
            made = _asked_by(every, np.unique(known.group[held]))
        calibration = Calibration.of(x[learned], y[learned], groups=known.group[learned])
        parts.append(
            mixed_search(made.corpus, made.queries, methods=methods, calibration=calibration, options=options)
        )
    pooled = MixedResult.pooled(parts)
    return pooled if every is None else replace(pooled, corpora=parts[0].corpora)


def _asked_by(made: Mixed, items: np.ndarray) -> Mixed:
    """Leave the queries that documents of some items answer."""
    relevant = made.queries.relevant
    owner = made.items[relevant.documents[relevant.starts[:-1]]]  # each query has an answer
    return replace(made, queries=made.queries.take(np.flatnonzero(np.isin(owner, items))))
