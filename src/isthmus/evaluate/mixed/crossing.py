"""Mixed search by cross-fitting: methods learn from some items, and search corpora made of the others."""

from collections.abc import Callable, Mapping, Sequence
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
    """Fit methods on all folds of the items but one, search a corpus made of that one, and pool the queries.

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
        Number of folds, how many of the other folds' items to learn from, length of the lists, seed.

    Returns
    -------
    MixedResult
        Of every query; each searched its own fold's corpus.

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
    parts = []
    for number in range(folds):
        learned, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        made = make(x[held], y[held], items=known.group[held])
        calibration = Calibration.of(x[learned], y[learned], groups=known.group[learned])
        parts.append(
            mixed_search(made.corpus, made.queries, methods=methods, calibration=calibration, options=options)
        )
    return MixedResult.pooled(parts)
