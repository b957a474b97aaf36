"""Search a corpus of images, texts and both by several methods, and measure each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from isthmus.align import PairedAligner
from isthmus.evaluate.mixed.documents import Documents
from isthmus.evaluate.mixed.methods import Calibration, Method, fit_methods, is_known
from isthmus.evaluate.mixed.metrics import ideal_gains, kind_shares, ndcg, recall
from isthmus.evaluate.mixed.ranking import Search
from isthmus.evaluate.mixed.relevance import Queries
from isthmus.evaluate.mixed.result import Answers, MixedOptions, MixedResult
from isthmus.evaluate.mixed.rules import Ranker


def mixed_search(
    corpus: Documents,
    queries: Queries,
    *,
    methods: Sequence[str] | Mapping[str, Method | PairedAligner | Ranker] = ("raw",),
    calibration: Calibration | None = None,
    options: MixedOptions | None = None,
) -> MixedResult:
    """Let queries search a corpus whose documents are images, texts, or both.

    Parameters
    ----------
    corpus : Documents
        What is searched; read block by block, once per method and thousand queries.
    queries : Queries
        What searches, and what answers it.
    methods : sequence of str, or mapping of str to method, default=("raw",)
        As in :func:`fit_methods`.
    calibration : Calibration, optional
        What methods learn from: items that are not searched.
    options : MixedOptions, optional
        Length of the lists, weight of the image in documents of both, seed.

    Returns
    -------
    MixedResult
        By method: ``ndcg`` (its ideal over the whole corpus),
        ``ndcg_of_found`` (over what was found, as GR-CLIP's code has it) and
        ``recall_at_1`` and so on, each in [0, 1]; and the share of each kind
        of document among the first k.

    Raises
    ------
    ValueError
        A method is unknown or learns without a calibration, widths differ, judgements name documents
        that are not there, or ``options.against`` names what is neither a method nor one of these.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> from isthmus.evaluate.mixed.relevance import by_item
    >>> from isthmus.theory import sample
    >>> image, text, _ = sample(300)
    >>> corpus = make_documents(image[:100], text[50:100], text_row=[-1] * 50 + list(range(50)))
    >>> queries = by_item(make_documents(text=text[:50]), range(50), range(100))
    >>> calibration = Calibration.of(image[100:], text[100:])
    >>> found = mixed_search(corpus, queries, methods=["raw", "gr-clip"], calibration=calibration)
    >>> found.difference("gr-clip", "raw").low > 0
    True
    """
    options = options or MixedOptions()
    _check(corpus, queries)
    check_calibration(calibration, corpus)
    _check_against(options.against, methods)
    if len(queries) > options.queries:
        chosen = np.random.default_rng(options.seed).permutation(len(queries))[: options.queries]
        queries = queries.take(np.sort(chosen))
    k = min(max(options.k, *options.recall_at), len(corpus))
    search = Search.of(queries.documents, corpus, k=k, seed=options.seed, excluded=queries.excluded)
    if calibration is not None and options.calibration_items is not None:
        calibration = calibration.some(options.calibration_items, seed=options.calibration_seed)
    answers = {}
    for name, ranker in fit_methods(methods, calibration).items():
        if options.weight is not None:
            ranker = replace(ranker, weight=options.weight)
        answers[name] = answer(ranker.rank(search), corpus, queries, options=options)
    shares = np.array(list(corpus.counts.values())) / len(corpus)
    kind = queries.documents.kind
    notes = _notes(options, queries, len(corpus))
    everywhere = np.tile(shares, (len(queries), 1))
    return MixedResult(answers, queries.group, kind, everywhere, options, (corpus.counts,), notes)


def answer(found: np.ndarray, corpus: Documents, queries: Queries, *, options: MixedOptions) -> Answers:
    """Measure lists of documents.

    Parameters
    ----------
    found : ndarray of int, shape (n, m)
        Documents, the best first, -1 where there are no more.
    corpus : Documents
        That they are of.
    queries : Queries
        What was asked.
    options : MixedOptions
        Length of the lists.

    Returns
    -------
    Answers
        Query by query.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> from isthmus.evaluate.mixed.relevance import by_item
    >>> texts = make_documents(text=np.eye(2))
    >>> queries = by_item(texts, [0, 1], [0, 1])
    >>> answer(np.array([[0, 1], [0, 1]]), texts, queries, options=MixedOptions()).figures["ndcg"].round(3)
    array([1.   , 0.631])
    """
    gains = queries.relevant.lookup(found, len(corpus))
    relevant, top = queries.relevant, gains[:, : options.k]
    ideal = ideal_gains(relevant.starts, relevant.gains, k=options.k)[:, : top.shape[1]]
    figures = {"ndcg": ndcg(top, ideal), "ndcg_of_found": ndcg(top, np.sort(top, axis=1)[:, ::-1])}
    figures |= {f"recall_at_{k}": recall(gains, relevant.count, k=k) for k in options.recall_at}
    return Answers(figures, kind_shares(found, corpus.kind, k=options.k))


def _check(corpus: Documents, queries: Queries) -> None:
    if corpus.dim != queries.documents.dim:
        raise ValueError(
            f"queries must be of the corpus's space: expected dim {corpus.dim}, got {queries.documents.dim}"
        )
    for name, judged in (("relevant", queries.relevant), ("excluded", queries.excluded)):
        if judged is None:
            continue
        if len(judged.starts) != len(queries) + 1:
            raise ValueError(f"{name} is of {len(judged.starts) - 1} queries, there are {len(queries)}")
        wrong = judged.documents[(judged.documents < 0) | (judged.documents >= len(corpus))]
        if len(wrong):
            raise ValueError(f"{name} names document {wrong[0]}, the corpus has {len(corpus)} documents")


def check_calibration(calibration: Calibration | None, corpus: Documents) -> None:
    """Refuse a calibration of another width than the corpus.

    Parameters
    ----------
    calibration : Calibration, optional
        What methods would learn from.
    corpus : Documents
        What they would search.

    Raises
    ------
    ValueError
        The widths differ.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> check_calibration(Calibration.of(np.eye(3), np.eye(3)), make_documents(np.eye(2)))
    Traceback (most recent call last):
    ...
    ValueError: calibration must be of the corpus's space: expected dim 2, got 3
    """
    for rows in () if calibration is None else (calibration.x, calibration.y):
        if rows.shape[1] != corpus.dim:
            raise ValueError(
                f"calibration must be of the corpus's space: expected dim {corpus.dim}, got {rows.shape[1]}"
            )


def _check_against(against: Sequence[str], methods: Sequence[str] | Mapping[str, object]) -> None:
    """Methods that are not searched by here may be named; what is no method at all is a slip."""
    for name in against:
        if name not in methods and not is_known(name):
            raise ValueError(
                f"against must name methods, of these ({', '.join(methods)}) or others, got {name!r}"
            )


def _notes(options: MixedOptions, queries: Queries, documents: int) -> tuple[str, ...]:
    notes = []
    if (more := int((queries.relevant.count > options.k).sum())) > 0:
        notes.append(
            f"{more} of {len(queries)} queries have more than {options.k} answers: recall cannot reach 1"
        )
    if documents < options.k:
        notes.append(f"the corpus has {documents} documents, fewer than {options.k}")
    return tuple(notes)
