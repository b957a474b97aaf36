"""Lists of documents are what sorting all scores gives."""

import numpy as np
import pytest

from isthmus.evaluate.mixed import make_documents, ranking
from isthmus.evaluate.mixed.documents import Space
from isthmus.evaluate.mixed.ranking import Search
from isthmus.evaluate.mixed.relevance import Judgements
from isthmus.evaluate.mixed.rules import Ranker, by_rank_fusion, by_zscore
from tests.evaluate.mixed.oracles import all_scores


@pytest.fixture(params=[(1024, 2048), (7, 3)], ids=["one tile", "many tiles"])
def tiles(request, monkeypatch):
    monkeypatch.setattr(ranking, "_QUERIES", request.param[0])
    monkeypatch.setattr(ranking, "_DOCUMENTS", request.param[1])


def sorted_by(scores, search):
    """All documents by score; of those that tie, the one that stands last in `ties` first."""
    standing = np.argsort(search.ties)
    return np.array([np.lexsort((-standing, -row.round(6)))[: search.k] for row in scores])


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_by_cosine(queries, corpus, tiles, weight):
    search = Search.of(queries.documents, corpus, k=9, seed=3)
    found = Ranker(weight=weight).rank(search)
    scores = all_scores(queries.documents, corpus, weight=weight)
    np.testing.assert_array_equal(found, sorted_by(scores, search))


def test_by_zscore_within_each_kind_of_document(queries, corpus, tiles):
    search = Search.of(queries.documents, corpus, k=9, seed=3)
    scores = all_scores(queries.documents, corpus)
    for kind in range(3):
        of = corpus.kind == kind
        scores[:, of] = (scores[:, of] - scores[:, of].mean(axis=1, keepdims=True)) / scores[:, of].std(
            axis=1, keepdims=True
        )
    np.testing.assert_array_equal(by_zscore(Ranker(), search), sorted_by(scores, search))


def fused(queries, corpus, search, k=60, depth=1000):
    scores = np.zeros((len(queries), len(corpus)))
    standing = np.argsort(search.ties)
    for part in ("image", "text"):
        has = np.flatnonzero(getattr(corpus, f"{part}_row") >= 0)
        rows = getattr(corpus, f"{part}_row")[has]
        alone = make_documents(**{part: getattr(corpus, part)[rows]})
        for i, row in enumerate(all_scores(queries, alone)):
            order = np.lexsort((-standing[has], -row.round(6)))[:depth]
            scores[i, has[order]] += 1 / (k + 1 + np.arange(len(order)))
    return scores


@pytest.mark.parametrize("k, depth", [(60, 1000), (60, 12), (1, 1000)])  # of a small k, one more tells
def test_by_rank_fusion(queries, corpus, tiles, k, depth):
    search = Search.of(queries.documents, corpus, k=9, seed=3)
    found = by_rank_fusion(Ranker(), search, k=k, depth=depth)
    expected = fused(queries.documents, corpus, search, k=k, depth=depth)
    standing = np.argsort(search.ties)
    wanted = [np.lexsort((-standing, -row.round(12)))[:9] for row in expected]
    np.testing.assert_array_equal(found, wanted)


def test_lists_that_are_fused_are_no_shorter_than_what_is_asked_for(queries, corpus):
    search = Search.of(queries.documents, corpus, k=20, seed=3)
    found = by_rank_fusion(Ranker(), search, depth=3)
    assert (found >= 0).all()
    np.testing.assert_array_equal(found, by_rank_fusion(Ranker(), search, depth=20))


@pytest.mark.parametrize("rule", [None, by_zscore, by_rank_fusion])
def test_what_is_excluded_is_not_found(queries, corpus, tiles, rule):
    n = len(queries)
    apart = Judgements.of(np.arange(n), np.arange(n), queries=n)  # each query's own item
    search = Search.of(queries.documents, corpus, k=40, seed=3, excluded=apart)
    found = (Ranker(rule=rule) if rule else Ranker()).rank(search)
    assert not (found == np.arange(n)[:, None]).any()
    np.testing.assert_array_equal(found[:, -1], -1)  # 39 documents are left
    assert all(len(set(row)) == 40 for row in found.tolist())


def test_ties_fall_to_no_kind():
    """A map to one point finds images and texts alike: as often as chance has them."""
    corpus = make_documents(np.ones((50, 4)), np.ones((50, 4)), image_row=[*range(50)] + [-1] * 50,
                            text_row=[-1] * 50 + [*range(50)])  # fmt: skip
    first = [
        Ranker().rank(Search.of(corpus.take([0]), corpus, k=10, seed=seed))[0] < 50 for seed in range(200)
    ]
    assert np.mean(first) == pytest.approx(0.5, abs=0.05)


def test_zeros_of_either_sign_tie():
    """A cosine less its mean, times 0, may be either."""
    corpus = make_documents(np.ones((5, 4)), np.ones((5, 4)), image_row=[*range(5)] + [-1] * 5,
                            text_row=[-1] * 5 + [*range(5)])  # fmt: skip
    search = Search.of(corpus.take([0]), corpus, k=10, seed=0)
    found = ranking.top_of_block(
        search,
        slice(0, 1),
        np.ones((1, 4), dtype=np.float32),
        space=Space(),
        weight=0.5,
        scores=lambda cosine, kind: np.where(kind == 0, -0.0, 0.0)[None],
    )
    assert found[0].tolist() == search.ties[::-1].tolist()


def test_a_kind_whose_cosines_hardly_differ_is_standardised_too():
    text, image = [[1.0, 0.1], [1.0, 0.7], [1.0, 0.9]], [[0.0, 1.0], [1e-3, 1.0], [2e-3, 1.0]]
    none, rows = [-1] * 3, [0, 1, 2]
    corpus = make_documents(image, text, image_row=none + rows, text_row=rows + none)
    search = Search.of(make_documents(text=[[1.0, 0.0]]), corpus, k=6, seed=0)
    # z-scores: 1.35, -0.32, -1.04 of the texts and -1.22, 0, 1.22 of the images
    assert by_zscore(Ranker(), search).tolist() == [[0, 5, 4, 1, 2, 3]]


def test_length_of_rows_is_of_no_account(queries, corpus, rows):
    search = Search.of(queries.documents, corpus, k=9, seed=3)
    scale = np.random.default_rng(0).uniform(0.1, 10, size=(40, 1))
    longer = make_documents(
        rows[0] * scale, rows[1] / scale, image_row=corpus.image_row, text_row=corpus.text_row
    )
    again = Search.of(queries.documents, longer, k=9, seed=3)
    np.testing.assert_array_equal(Ranker().rank(search), Ranker().rank(again))


def test_a_rotation_changes_nothing(queries, corpus, rows):
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    turned = make_documents(
        rows[0] @ turn, rows[1] @ turn, image_row=corpus.image_row, text_row=corpus.text_row
    )
    asked = make_documents(
        rows[0] @ turn,
        rows[1] @ turn,
        image_row=queries.documents.image_row,
        text_row=queries.documents.text_row,
    )
    for rule in (by_zscore, by_rank_fusion):
        here = rule(Ranker(), Search.of(queries.documents, corpus, k=3, seed=3))
        there = rule(Ranker(), Search.of(asked, turned, k=3, seed=3))
        assert (here == there).mean() > 0.98  # repeated rows tie, up to rounding


def test_negative_scores_are_ordered():
    corpus = make_documents(image=[[-1.0, 0.0], [-1.0, 1.0], [-1.0, 3.0]])
    asked = make_documents(text=[[1.0, 0.0]])
    assert Ranker().rank(Search.of(asked, corpus, k=3, seed=0)).tolist() == [[2, 1, 0]]


def test_documents_say_what_is_wrong():
    with pytest.raises(ValueError, match="expected image or text embeddings, got neither"):
        make_documents()
    with pytest.raises(ValueError, match="document 1 has neither an image nor a text"):
        make_documents(np.eye(2), image_row=[0, -1])
    with pytest.raises(ValueError, match="image_row must name one of 2 rows of image or be -1, got 2"):
        make_documents(np.eye(2), image_row=[0, 2])
    with pytest.raises(ValueError, match="text_row must name one of 2 rows of text or be -1, got -2"):
        make_documents(text=np.eye(2), text_row=[0, -2])
    with pytest.raises(ValueError, match="one entry per document, got 2 and 3 entries"):
        make_documents(np.eye(2), np.eye(3, 2) + 1, image_row=[0, 1], text_row=[0, 1, 2])
    with pytest.raises(ValueError, match="text must have dim 2, got dim 3"):
        make_documents(np.eye(2), np.eye(3))


def test_lists_are_fused_to_a_depth_of_a_thousand():
    rows = np.random.default_rng(0).normal(size=(2, 1100, 4))
    corpus = make_documents(*rows)
    search = Search.of(make_documents(text=rows[1][:3]), corpus, k=600, seed=0)
    found = by_rank_fusion(Ranker(), search)
    np.testing.assert_array_equal(found, by_rank_fusion(Ranker(), search, depth=1000))
    for depth in (700, 990, 1010):
        assert (found != by_rank_fusion(Ranker(), search, depth=depth)).any()
