"""Exact relevance on the world: a document answers a caption if it shows or tells what that tells."""

from collections.abc import Sequence
from dataclasses import astuple
from itertools import permutations

import numpy as np

from isthmus.checks import check_number
from isthmus.evaluate.mixed.documents import Documents
from isthmus.evaluate.mixed.relevance import Judgements
from isthmus.evaluate.world import shown
from isthmus.sources.world import Facts, read_caption

_NOT_TOLD = -1


def agreement_shares(told: Sequence[Facts], truths: Sequence[Facts]) -> np.ndarray:
    """Share of the facts that captions tell which hold in scenes, or in other captions.

    Parameters
    ----------
    told : sequence of Facts, length m
        Each tells something.
    truths : sequence of Facts, length n
        Of scenes, or what other captions tell.

    Returns
    -------
    ndarray of float32, shape (m, n)
        ``told.agreement(truth) / len(told)``, in [0, 1].

    Raises
    ------
    ValueError
        A caption tells nothing.

    Examples
    --------
    >>> told = [read_caption("a red ring")]
    >>> agreement_shares(told, [read_caption("a red cross"), read_caption("a ring in the dark")])
    array([[0.5, 0.5]], dtype=float32)
    """
    codes: dict[str, int] = {}
    background, things = _coded(truths, codes)  # (n, 2), (n, most, kinds)
    out = np.empty((len(told), len(truths)), dtype=np.float32)
    for i, (row, facts) in enumerate(zip(out, told, strict=True)):
        if not len(facts):
            raise ValueError(f"told must tell something: caption {i} tells nothing")
        row[:] = _agreement(facts, background, things, codes) / len(facts)
    return out


def by_facts(
    captions: Sequence[str],
    corpus: Documents,
    *,
    shows: Sequence[Facts],
    tells: Sequence[str],
    least: float = 1.0,
) -> Judgements:
    """Judge documents of the world by what they show or tell of what a caption tells.

    Parameters
    ----------
    captions : sequence of str, length n
        The queries.
    corpus : Documents
        What is searched.
    shows : sequence of Facts
        All facts of the scene of each row of ``corpus.image``. Motions, which
        images do not show, are of no account.
    tells : sequence of str
        The caption of each row of ``corpus.text``.
    least : float, default=1.0
        Share of the caption's facts that must hold for a document to answer
        at all; its gain is the share. 1 asks for all of them.

    Returns
    -------
    Judgements
        A document of both holds what either part does.

    Raises
    ------
    ValueError
        Lengths do not agree, or a query tells nothing.

    Examples
    --------
    >>> from isthmus.evaluate.mixed.documents import make_documents
    >>> corpus = make_documents(text=np.eye(2))
    >>> judged = by_facts(["a ring"], corpus, shows=[], tells=["a red ring", "a red cross"])
    >>> judged.documents, judged.gains
    (array([0]), array([1.]))
    """
    check_number(least, "least", "(0, 1]")
    for name, given, rows in (("shows", shows, corpus.image), ("tells", tells, corpus.text)):
        expected = 0 if rows is None else len(rows)
        if len(given) != expected:
            raise ValueError(f"{name} must have one entry per row: expected {expected}, got {len(given)}")
    seen, read = corpus.image_row, corpus.text_row
    documents = [shows[i] if i >= 0 else read_caption(tells[t]) for i, t in zip(seen, read, strict=True)]
    told = [shown(read_caption(caption), "image") for caption in captions]  # without motions
    shares = agreement_shares(told, documents)
    query, document = np.nonzero(shares >= least - 1e-6)
    return Judgements.of(query, document, gains=shares[query, document], queries=len(captions))


def _coded(truths: Sequence[Facts], codes: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    most = max((len(t.things) for t in truths), default=0)
    background = np.array([[_code(t.texture, codes), _code(t.light, codes)] for t in truths])
    things = np.full((len(truths), most, 5), _NOT_TOLD)
    for i, truth in enumerate(truths):
        for j, thing in enumerate(truth.things):
            things[i, j] = [_code(value, codes) for value in astuple(thing)]
    return background, things


def _code(value: str | None, codes: dict[str, int]) -> int:
    return _NOT_TOLD if value is None else codes.setdefault(value, len(codes))


def _agreement(facts: Facts, background: np.ndarray, things: np.ndarray, codes: dict[str, int]) -> np.ndarray:
    """As `Facts.agreement` with each of the truths: (n,)."""
    mine, mentions = _coded([facts], codes)
    agreed = ((background == mine[0]) & (mine[0] >= 0)).sum(axis=1)
    wanted = mentions[0][:, None, None, :]  # (mentions, 1, 1, kinds)
    matches = ((things[None] == wanted) & (wanted >= 0)).sum(axis=3)  # (mentions, n, things)
    few, many = len(matches), things.shape[1]
    best = np.zeros(len(things), dtype=np.int64)
    slots = range(max(few, many))
    for chosen in permutations(slots, few):  # a mention may also stay without a thing
        found = [matches[i, :, j] for i, j in enumerate(chosen) if j < many]
        best = np.maximum(best, sum(found) if found else 0)
    return agreed + best
