"""Ways to search a mixed corpus, by name: each a function that fits on calibration pairs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from isthmus.align import ALIGNERS, PairedAligner, make_aligner
from isthmus.checks import check_embeddings, check_groups, check_pairs
from isthmus.evaluate.mixed.documents import Documents, Space, make_documents
from isthmus.evaluate.mixed.rules import Moments, Ranker, by_cosine, by_rank_fusion, by_zscore, moments_of
from isthmus.measure.statistics import unit_parts


@dataclass(frozen=True, eq=False)
class Calibration:
    """What methods learn from: pairs of items that are not searched.

    Examples
    --------
    >>> len(Calibration.of(np.eye(3), np.eye(3)))
    3
    """

    x: Any  # (n, dim) images
    y: Any  # (n, dim) texts
    group: np.ndarray  # (n,) the item of each pair
    queries: Any = None  # (m, dim) texts as people ask, where they differ from the texts of documents

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def of(cls, x: Any, y: Any, *, groups: Any = None, queries: Any = None) -> Self:
        """Check pairs, their items and texts of queries.

        Raises
        ------
        ValueError
            Embeddings are bad, or `groups` has another length.
        """
        x, y = check_pairs(x, y)
        group = np.arange(len(x)) if groups is None else check_groups(groups, len(x))
        if queries is not None:
            queries = check_embeddings(queries, "queries", x.shape[1])
        return cls(x, y, group, queries)

    def some(self, items: int, *, seed: int) -> "Calibration":
        """Return the pairs of `items` items, chosen at random, and a like share of the queries.

        Raises
        ------
        ValueError
            There are not so many.
        """
        count = int(self.group.max()) + 1
        if not 2 <= items <= count:
            raise ValueError(f"items must be between 2 and the {count} that there are, got {items}")
        rng = np.random.default_rng(seed)
        rows = np.flatnonzero(np.isin(self.group, rng.permutation(count)[:items]))
        queries = self.queries
        if queries is not None:
            queries = queries[np.sort(rng.permutation(len(queries))[: max(2, len(queries) * items // count)])]
        return Calibration(self.x[rows], self.y[rows], check_groups(self.group[rows], len(rows)), queries)

    @property
    def documents(self) -> Documents:
        """Every image, every text and every pair as a document, each kind once."""
        n, row, none = len(self.x), np.arange(len(self.x)), np.full(len(self.x), -1)
        parts = np.concatenate([row, none, row]), np.concatenate([none, row, row])
        assert len(parts[0]) == 3 * n
        return make_documents(self.x, self.y, image_row=parts[0], text_row=parts[1])


Method = Callable[[Calibration | None], Ranker]


def raw(calibration: Calibration | None = None) -> Ranker:
    """Search the embeddings as they are, by cosine.

    Parameters
    ----------
    calibration : Calibration, optional
        Not looked at.

    Returns
    -------
    Ranker
        Nothing is learned.

    Examples
    --------
    >>> raw().weight
    0.5
    """
    return Ranker()


def gr_clip(calibration: Calibration | None, *, queries: str = "own") -> Ranker:
    """Subtract means of images, of texts and of queries: GR-CLIP [1]_.

    A document of both loses ``w * image mean + (1 - w) * text mean``. Rows
    are scaled to unit length before, and again after.

    Parameters
    ----------
    calibration : Calibration
        Means are of its rows; that of text queries is of ``calibration.queries`` where there are any.
    queries : {"own", "documents", "none"}, default="own"
        What queries lose: the mean of queries, the mean of documents of their
        kind, or nothing. Where the calibration has no queries, the first two are one.

    Returns
    -------
    Ranker
        By cosine.

    Raises
    ------
    ValueError
        There is nothing to learn from, or `queries` is unknown.

    References
    ----------
    .. [1] Li et al., "Closing the Modality Gap for Mixed Modality Search", 2025, and its released code,
       whose queries are texts; here queries of images lose the mean of images.

    Examples
    --------
    >>> calibration = Calibration.of([[1.0, 0.0], [0.8, 0.6]], [[0.0, 1.0], [0.6, 0.8]])
    >>> gr_clip(calibration).documents.image(np.array([[1.0, 0.0]])).round(3)
    array([[ 0.1, -0.3]])
    """
    learned = _needed(calibration, "gr-clip")
    if queries not in ("own", "documents", "none"):
        raise ValueError(f"queries must be own, documents or none, got {queries!r}")
    image, text = _mean(learned.x, "x"), _mean(learned.y, "y")
    documents = Space(partial(_less, mean=image), partial(_less, mean=text))
    if queries == "none":
        return Ranker(documents)
    if queries == "own" and learned.queries is not None:
        return Ranker(
            documents, Space(documents.image, partial(_less, mean=_mean(learned.queries, "queries")))
        )
    return Ranker(documents, documents)


def zscored(ranker: Ranker, calibration: Calibration | None = None) -> Ranker:
    """Standardise a ranker's cosines within each kind of document.

    Parameters
    ----------
    ranker : Ranker
        That scores by cosine.
    calibration : Calibration, optional
        Its rows stand for queries: there is then one mean and one deviation
        for each kind of query and kind of document. Without, each query has
        its own. Documents are in either case those of the corpus that is searched.

    Returns
    -------
    Ranker
        By z-score.

    Raises
    ------
    ValueError
        The ranker scores by something else.

    Examples
    --------
    >>> zscored(Ranker()).rule.__name__
    'by_zscore'
    """
    if ranker.rule is not by_cosine:
        raise ValueError("ranker must score by cosine, which is what is standardised; it has another rule")
    if calibration is None:
        return replace(ranker, rule=by_zscore)
    return replace(ranker, rule=partial(by_zscore, queries=partial(_asked, calibration, ranker.queries)))


def _asked(calibration: Calibration, space: Space, weight: float) -> Moments:
    """Moments of the calibration's rows as queries: texts of queries where there are any."""
    moments = moments_of(calibration.documents, space, weight=weight)
    if calibration.queries is not None:
        own = moments_of(make_documents(text=calibration.queries), space, weight=weight)
        moments.mean[1], moments.second[1] = own.mean[1], own.second[1]
    return moments


def rank_fusion(calibration: Calibration | None = None) -> Ranker:
    """Rank images and texts apart, and fuse the two lists by reciprocal ranks.

    Parameters
    ----------
    calibration : Calibration, optional
        Not looked at.

    Returns
    -------
    Ranker
        By fused ranks.

    Examples
    --------
    >>> rank_fusion().rule.__name__
    'by_rank_fusion'
    """
    return Ranker(rule=by_rank_fusion)


def aligned(aligner: PairedAligner, calibration: Calibration | None = None) -> Ranker:
    """Search where a fitted aligner maps images (x) and texts (y); two parts are fused after it.

    Parameters
    ----------
    aligner : PairedAligner
        Fitted on images and texts.
    calibration : Calibration, optional
        Where it has texts of queries, queries that are texts are first moved by the difference of the
        means: from that of such texts to that of the documents' texts.

    Returns
    -------
    Ranker
        By cosine; queries go, but for that, where documents of their kind go.

    Examples
    --------
    >>> from isthmus.align import MeanCollapse
    >>> x, y = [[1.0, 0.0], [0.8, 0.6]], [[0.0, 1.0], [0.6, 0.8]]
    >>> aligned(MeanCollapse().fit(x, y)).documents.image(np.array([[1.0, 0.0]])).round(3)
    array([[ 0.316, -0.949]])
    """
    space = Space(aligner.transform, aligner.transform_y)
    if calibration is None or calibration.queries is None:
        return Ranker(space, space)
    apart = _mean(calibration.queries, "queries") - _mean(calibration.y, "y")
    return Ranker(space, Space(space.image, lambda unit: space.text(_less(unit, apart))))


def _shared_for_mixed(calibration: Calibration | None) -> Ranker:
    from isthmus.evaluate.mixed.choosing import shared_for_mixed  # which searches, and so imports this

    return shared_for_mixed(calibration)


METHODS: dict[str, Method] = {
    "raw": raw,
    "rrf": rank_fusion,
    "gr-clip": gr_clip,
    "shared-mixed": _shared_for_mixed,
}
STANDARDISED = {  # after a "+": what becomes of the cosines of the method before it
    "zscore": lambda ranker, calibration: zscored(ranker),
    "zscore-corpus": lambda ranker, calibration: zscored(ranker, _needed(calibration, "zscore-corpus")),
}
CENTRINGS: dict[str, Method] = {  # the question whether queries need a mean of their own
    "queries as they are": partial(gr_clip, queries="none"),
    "queries less the documents' means": partial(gr_clip, queries="documents"),
    "queries less their own mean": partial(gr_clip, queries="own"),
}


def fit_methods(
    methods: Sequence[str] | Mapping[str, Method | PairedAligner | Ranker], calibration: Calibration | None
) -> dict[str, Ranker]:
    """Fit methods by name.

    Parameters
    ----------
    methods : sequence of str, or mapping of str to method
        Keys of `METHODS` and of `isthmus.align.ALIGNERS`, with "+zscore" or "+zscore-corpus" behind them
        or not ("zscore" is "raw+zscore"); or what is meant by each name: a function of a calibration, an
        aligner (one that is not fitted yet is fitted), or a ranker.
    calibration : Calibration, optional
        What they learn from; those that learn raise without.

    Returns
    -------
    dict of str to Ranker
        In the order given.

    Raises
    ------
    ValueError
        A name is unknown, or a method needs pairs to learn from.

    Examples
    --------
    >>> list(fit_methods(["raw", "collapse"], Calibration.of(np.eye(3), np.eye(3))))
    ['raw', 'collapse']
    """
    if isinstance(methods, str) or not methods:
        raise ValueError(f"methods must be a list of names, or a mapping, of one or more, got {methods!r}")
    if not isinstance(methods, Mapping):
        methods = {name: _by_name(name) for name in methods}
    return {name: _fitted(name, method, calibration) for name, method in methods.items()}


def is_known(name: str) -> bool:
    """Whether methods can be asked for by this name.

    Parameters
    ----------
    name : str
        As :func:`fit_methods` takes it.

    Returns
    -------
    bool
        Fused ranks are not standardised.

    Examples
    --------
    >>> [is_known(name) for name in ("zscore", "cca+zscore", "cca+", "rrf+zscore")]
    [True, True, False, False]
    """
    base, plus, then = name.partition("+")
    if not plus and base in STANDARDISED:
        return True
    known = base in METHODS or base in ALIGNERS
    return known and (not plus or (then in STANDARDISED and base != "rrf"))


def _by_name(name: str) -> Method | PairedAligner:
    if not is_known(name):
        known = ", ".join((*STANDARDISED, *METHODS, *ALIGNERS))
        raise ValueError(
            f"unknown method {name!r}: expected one of {known}, or one of them that scores by cosine (not "
            "rrf) and +zscore or +zscore-corpus"
        )
    base, _, then = name.partition("+")
    if base in STANDARDISED:
        base, then = "raw", base
    method = METHODS.get(base) or make_aligner(base)
    if not then:
        return method
    return lambda calibration: STANDARDISED[then](_fitted(base, method, calibration), calibration)


def _fitted(name: str, method: Any, calibration: Calibration | None) -> Ranker:
    if isinstance(method, Ranker):
        return method
    if not isinstance(method, PairedAligner):
        return method(calibration)
    try:
        check_is_fitted(method)
    except NotFittedError:
        learned = _needed(calibration, name)
        try:
            method = clone(method).fit(learned.x, learned.y, groups=learned.group)
        except ValueError as error:
            raise ValueError(f"{name} cannot be fitted: {error}") from error
    return aligned(method, calibration)


def _needed(calibration: Calibration | None, name: str) -> Calibration:
    if calibration is None:
        raise ValueError(f"{name} learns from pairs: calibration is missing")
    return calibration


def _mean(rows: Any, name: str) -> np.ndarray:
    """Mean of unit rows (n, dim)."""
    total = sum(part.sum(axis=0, dtype=np.float64) for part in unit_parts(rows, name))
    return np.asarray(total) / len(rows)


def _less(unit: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return unit - mean.astype(unit.dtype)
