"""NDCG, recall and shares by the book."""

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from isthmus.evaluate.mixed.metrics import ideal_gains, kind_shares, log_ratio, ndcg, recall
from isthmus.evaluate.mixed.relevance import Judgements
from tests.evaluate.mixed.oracles import ndcg_at


@pytest.fixture
def judged():
    """Gains of 30 documents for 20 queries, most of them 0, and the order they were found in."""
    rng = np.random.default_rng(0)
    gains = rng.integers(0, 4, size=(20, 30)) * (rng.random((20, 30)) < 0.3)
    gains[0] = 0
    return gains.astype(float), np.array([rng.permutation(30) for _ in range(20)])


def relevant_of(gains):
    query, document = np.nonzero(gains)
    return Judgements.of(query, document, gains=gains[query, document], queries=len(gains))


def test_ideal_over_the_corpus_as_scikit_learn_and_a_loop_have_it(judged):
    gains, order = judged
    relevant = relevant_of(gains)
    found = relevant.lookup(order[:, :10], 30)
    mine = ndcg(found, ideal_gains(relevant.starts, relevant.gains, k=10))
    loop = [ndcg_at(found[i], gains[i], 10) for i in range(20)]
    np.testing.assert_allclose(mine, loop, atol=1e-12)
    scores = np.empty((20, 30))
    np.put_along_axis(scores, order, np.tile(-np.arange(30.0), (20, 1)), axis=1)
    assert mine.mean() == pytest.approx(ndcg_score(gains, scores, k=10), abs=1e-12)


def test_ideal_over_what_was_found_as_gr_clips_code_has_it(judged):
    gains, order = judged
    found = np.take_along_axis(gains, order, axis=1)[:, :10]
    theirs = [ndcg_score([row], [-np.arange(10.0)], k=10) for row in found]
    mine = ndcg(found, np.sort(found, axis=1)[:, ::-1])
    np.testing.assert_allclose(mine, theirs, atol=1e-12)
    relevant = relevant_of(gains)
    assert (mine >= ndcg(found, ideal_gains(relevant.starts, relevant.gains, k=10)) - 1e-12).all()


def test_limits():
    found = np.array([[3.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(ndcg(found, np.array([[3.0, 2.0, 0.0], [1.0, 0.0, 0.0]])), [1, 0])
    np.testing.assert_allclose(recall(found, np.array([2, 0]), k=3), [1, 0])


def test_recall_is_the_share_of_all_that_answer(judged):
    gains, order = judged
    relevant = relevant_of(gains)
    found = relevant.lookup(order, 30)
    for k in (1, 5, 30):
        expected = [sum(gains[i, order[i, :k]] > 0) / max((gains[i] > 0).sum(), 1) for i in range(len(gains))]
        np.testing.assert_allclose(recall(found, relevant.count, k=k), expected)


def test_judgements_are_looked_up(judged):
    gains, order = judged
    relevant = relevant_of(gains)
    order[3, 5] = -1
    found = relevant.lookup(order, 30)
    expected = np.take_along_axis(gains, order, axis=1)
    expected[3, 5] = 0
    np.testing.assert_array_equal(found, expected)
    some = np.array([7, 3, 0, 7])
    np.testing.assert_array_equal(relevant.take(some).lookup(order[some], 30), expected[some])


def test_none_is_no_document_of_the_query_before():
    """The last document of one query, and none of the next."""
    relevant = Judgements.of([0, 1], [2, 0], queries=2)
    assert relevant.lookup(np.array([[2, -1], [-1, 0]]), 3).tolist() == [[1, 0], [0, 1]]
    assert Judgements.of([], [], queries=2).lookup(np.array([[2], [-1]]), 3).tolist() == [[0], [0]]


def test_shares_and_their_logarithm():
    kind = np.array([0, 1, 1, 2])
    found = np.array([[0, 1, 2, 3], [0, -1, -1, -1]])
    np.testing.assert_allclose(kind_shares(found, kind, k=4), [[0.25, 0.5, 0.25], [1, 0, 0]])
    assert log_ratio(np.array([0.5]), 0.5, least=0.1) == 0


def test_judgements_say_what_is_wrong():
    with pytest.raises(ValueError, match="document 2 is judged twice for query 0"):
        Judgements.of([0, 0], [2, 2], queries=1)
    for gain in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"gains must be numbers above 0, got {gain}"):
            Judgements.of([0, 0], [1, 2], gains=[1, gain], queries=1)
