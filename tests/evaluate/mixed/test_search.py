"""Figures of a whole search, results put together, weights."""

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from isthmus.evaluate.mixed import (
    Calibration,
    Judgements,
    MixedOptions,
    MixedResult,
    Queries,
    Ranker,
    by_item,
    choose_weights,
    make_documents,
    mixed_search,
    split_queries,
)
from tests.evaluate.mixed.oracles import all_scores, ndcg_at


def test_figures_are_those_of_sorted_scores(queries, corpus):
    found = mixed_search(corpus, queries, methods=["raw"], options=MixedOptions(weight=0.4))
    scores = all_scores(queries.documents, corpus, weight=0.4)
    gains = np.zeros_like(scores)
    gains[np.arange(30), np.arange(30)] = 1
    for name, k in (("recall_at_1", 1), ("recall_at_5", 5)):
        ranks = (scores > scores[np.arange(30), np.arange(30)][:, None] + 1e-6).sum(axis=1)
        alone = np.array([i not in range(29, 33) for i in range(30)])  # repeated images tie
        np.testing.assert_array_equal(found.answers["raw"].figures[name][alone], (ranks < k)[alone])
    order = np.argsort(-scores, axis=1)
    loop = [ndcg_at(gains[i, order[i]], gains[i], 10) for i in range(29)]
    np.testing.assert_allclose(found.answers["raw"].figures["ndcg"][:29], loop, atol=1e-12)
    kinds = corpus.kind[order[:, :10]]
    np.testing.assert_allclose(found.answers["raw"].shares[:29, 0], (kinds == 0).mean(axis=1)[:29])


def test_the_ideal_is_of_the_corpus_and_beside_it_of_what_was_found():
    """One of two answers is found, at rank 2: GR-CLIP's code does not miss the other."""
    corpus = make_documents(text=[[1.0, 0.1], [1.0, 0.2], [-1.0, 0.0]])
    asked = make_documents(text=[[1.0, 0.0], [1.0, 0.0]])
    relevant = Judgements.of([0, 0, 1], [1, 2, 0], queries=2)
    options = MixedOptions(k=2, recall_at=(2,))
    found = mixed_search(corpus, Queries(asked, relevant, np.arange(2)), options=options).answers["raw"]
    second, both = 1 / np.log2(3), 1 + 1 / np.log2(3)
    np.testing.assert_allclose(found.figures["ndcg"], [second / both, 1])
    np.testing.assert_allclose(found.figures["ndcg_of_found"], [second, 1])
    np.testing.assert_allclose(found.figures["recall_at_2"], [0.5, 1])


def test_a_gap_hides_the_other_modality_and_its_removal_does_not(queries, corpus):
    text = queries.take(np.arange(10))
    found = mixed_search(corpus, text, methods=["raw", "rrf", "zscore"])
    assert found.bias("raw", "image").value < -1
    assert found.bias("raw", "image").high < 0  # what ten queries allow
    assert found.bias("zscore", "image").value > found.bias("raw", "image").value


def test_differences_are_paired(queries, corpus):
    found = mixed_search(corpus, queries, methods=["raw", "zscore"])
    apart = found.difference("zscore", "raw")
    assert apart.value == pytest.approx(found.figure("zscore").value - found.figure("raw").value)
    same = found.difference("raw", "raw")
    assert (same.value, same.low, same.high) == (0, 0, 0)
    told = found.to_dict()
    assert told["methods"]["zscore"]["ndcg_against"]["raw"]["low"] == apart.low
    assert told["queries"] == {"image": 10, "text": 10, "both": 10}
    assert told["documents"] == {"image": 13, "text": 13, "both": 14}


def test_intervals_resample_items(corpus, rows):
    """Ten copies of each query are no more evidence than one."""
    item = np.repeat(np.arange(20), 10)
    asked = make_documents(text=rows[1][:20]).take(item)
    once = by_item(make_documents(text=rows[1][:20]), np.arange(20), np.arange(40))
    many = by_item(asked, item, np.arange(40))
    a, b = (mixed_search(corpus, q, methods=["raw"]).figure("raw") for q in (once, many))
    assert a.value == pytest.approx(b.value)
    assert b.high - b.low == pytest.approx(a.high - a.low, rel=0.1)


def test_pooled_is_side_by_side_and_averaged_is_query_by_query(queries, corpus):
    found = mixed_search(corpus, queries, methods=["raw"])
    first, second = found.take(np.arange(12)), found.take(np.arange(12, 30))
    pooled = MixedResult.pooled([first, second])
    assert pooled.figure("raw") == found.figure("raw")
    assert pooled.counts["text"] == 26  # of both corpora
    assert pooled.searched == "2 corpora of 13 image, 13 text, 14 both"
    assert pooled.to_dict()["corpora"] == [{"image": 13, "text": 13, "both": 14}] * 2
    noted = [replace(part, notes=notes) for part, notes in ((first, ("a",)), (second, ("b", "a")))]
    assert MixedResult.pooled(noted).notes == ("a", "b")
    fewer = replace(second, corpora=({"image": 13, "text": 12, "both": 0},))
    searched = MixedResult.pooled([first, fewer]).searched
    assert searched == "2 corpora of 13 image, 12 to 13 text, 0 to 14 both"
    other = mixed_search(corpus, queries, methods=["raw"], options=MixedOptions(weight=0.0))
    both = MixedResult.averaged([found, other])
    expected = (found.answers["raw"].figures["ndcg"] + other.answers["raw"].figures["ndcg"]) / 2
    np.testing.assert_allclose(both.answers["raw"].figures["ndcg"], expected)
    with pytest.raises(ValueError, match="same methods and the same queries"):
        MixedResult.averaged([found, second])
    with pytest.raises(ValueError, match="parts must have the same methods, raw"):
        MixedResult.pooled([found, mixed_search(corpus, queries, methods=["rrf"])])


def test_few_of_many_queries_and_a_small_corpus(queries, corpus):
    found = mixed_search(corpus, queries, methods=["raw"], options=MixedOptions(queries=7))
    assert len(found) == 7
    small = by_item(queries.documents.take(np.arange(4)), [0, 0, 1, 1], [0, 1])
    tiny = mixed_search(corpus.take([0, 1]), small, methods=["raw", "rrf"])
    assert tiny.figure("raw", "recall_at_10").value == 1
    assert "fewer than 10" in tiny.notes[0]


def test_the_same_seed_gives_the_same(queries, corpus):
    a, b = (mixed_search(corpus, queries, methods=["raw", "rrf"]).to_dict() for _ in range(2))
    assert a == b


def test_a_table_for_people(queries, corpus):
    console = Console(width=200, record=True)
    console.print(mixed_search(corpus, queries, methods=["raw", "zscore"]))
    text = console.export_text()
    assert "30 queries, documents: 13 image, 13 text, 14 both" in text
    assert "NDCG - raw" in text


def test_weights_are_chosen_where_one_part_says_nothing(rows):
    x, y = rows
    noise = np.random.default_rng(0).normal(size=y.shape)
    corpus = make_documents(x, noise)
    queries = by_item(make_documents(x + 0.1), np.arange(40), np.arange(40))
    first, second = split_queries(queries)
    assert not {*first.relevant.documents} & {*second.relevant.documents}
    rankers, chosen = choose_weights(corpus, first, methods=["raw"], weights=[0.0, 0.5, 1.0])
    assert rankers["raw"].weight == chosen["raw"].weight == 1.0
    assert chosen["raw"].ndcg[0] < chosen["raw"].ndcg[2]
    found = mixed_search(corpus, second, methods=rankers | {"half": Ranker()})
    assert found.difference("raw", "half").value >= 0
    with pytest.raises(ValueError, match="weights must be a number"):
        choose_weights(corpus, first, methods=["raw"], weights=[2.0])


def test_some_of_the_queries_are_of_so_many_items(queries, corpus):
    some = queries.take(np.array([25, 7, 25]))
    assert some.group.tolist() == [0, 1, 0]
    assert mixed_search(corpus, some).items == 2


def test_a_query_that_is_no_document_excludes_none(corpus, rows):
    asked = make_documents(text=rows[1][20:22])
    made = by_item(asked, ["a", "b"], ["a"] * 20 + ["b"] * 20, excluded=[-1, 21])
    assert made.excluded.count.tolist() == [0, 1]
    assert made.relevant.count.tolist() == [20, 19]
    assert (mixed_search(corpus, made).figure("raw", "recall_at_10").value) > 0


def test_queries_are_cut_in_two_item_by_item(queries):
    many = queries.take(np.repeat(np.arange(20), 3))
    halves = split_queries(many)
    documents = [set(half.relevant.documents.tolist()) for half in halves]  # one of each item
    assert [len(half) for half in halves] == [30, 30]
    assert [len(part) for part in documents] == [10, 10]
    assert documents[0] | documents[1] == set(range(20))
    assert [len(half) for half in split_queries(queries.take(np.arange(5)))] == [3, 2]
    other = split_queries(many, seed=1)[0].relevant.documents
    assert set(other.tolist()) not in documents
    assert documents[0] != set(range(10))


def test_search_says_what_is_wrong(queries, corpus):
    with pytest.raises(ValueError, match="queries must be of the corpus's space: expected dim 8, got 3"):
        mixed_search(corpus, by_item(make_documents(np.eye(3)), range(3), range(40)))
    far = Queries(queries.documents, Judgements.of([0], [40], queries=30), queries.group)
    with pytest.raises(ValueError, match="relevant names document 40, the corpus has 40 documents"):
        mixed_search(corpus, far)
    none = Queries(queries.documents, Judgements.of([0], [-1], queries=30), queries.group)
    with pytest.raises(ValueError, match="relevant names document -1, the corpus has 40 documents"):
        mixed_search(corpus, none)
    few = Queries(queries.documents, Judgements.of([0], [4], queries=3), queries.group)
    with pytest.raises(ValueError, match="relevant is of 3 queries, there are 30"):
        mixed_search(corpus, few)
    with pytest.raises(ValueError, match="query 1 has no document that answers it"):
        by_item(make_documents(np.eye(2)), ["a", "b"], ["a"])
    with pytest.raises(ValueError, match="expected queries of at least 2 items, got 1 of 1"):
        mixed_search(corpus, queries.take(np.array([0])), methods=["raw"]).figure("raw")
    with pytest.raises(ValueError, match="expected queries of at least 2 items"):
        split_queries(queries.take(np.array([0])))


def test_of_weights_that_do_the_same_the_one_nearest_to_half_is_taken(queries, corpus):
    alone = np.flatnonzero(corpus.kind < 2)  # nothing is fused
    some = by_item(queries.documents.take(np.arange(20)), np.arange(20), alone)
    assert choose_weights(corpus.take(alone), some, methods=["raw"])[1]["raw"].weight == 0.5
    for weights, nearest in (([0.0, 0.4, 1.0], 0.4), ([1.0, 0.7, 0.2], 0.7)):
        chosen = choose_weights(corpus.take(alone), some, methods=["raw"], weights=weights)[1]
        assert chosen["raw"].weight == nearest


def test_a_weight_that_does_a_little_better_is_taken(queries, corpus):
    found = choose_weights(corpus, queries, methods=["zscore"])[1]["zscore"]
    assert 0 < found.ndcg.max() - found.ndcg[5] < 0.03  # half is nearly as good
    assert found.weight == found.weights[found.ndcg.argmax()] == 0.4


def test_a_kind_that_is_never_found_counts_as_half_a_document(queries, corpus):
    found = mixed_search(corpus, queries.take(np.arange(10)), methods=["raw"], options=MixedOptions(k=5))
    assert found.share("raw", "image").value == 0
    expected = np.log2(0.5 / (10 * 5) / (13 / 40))
    assert found.bias("raw", "image").value == pytest.approx(expected)


def test_shares_of_nothing_and_all_reach_to_what_so_many_items_allow(queries, corpus):
    """The exact bounds of 0 of n items: 1 - 0.025^(1/n), however many queries an item has."""
    text = queries.take(np.repeat(np.arange(10), 3))  # 30 queries of 10 items
    options = MixedOptions(k=5, recall_at=(1, 40))
    found = mixed_search(corpus, text, methods=["raw"], options=options)
    bound = 1 - 0.025 ** (1 / 10)
    assert found.figure("raw", "recall_at_1") == pytest.approx((0, 0, bound))
    assert found.figure("raw", "recall_at_40") == pytest.approx((1, 1 - bound, 1))
    assert found.share("raw", "image") == pytest.approx((0, 0, bound))
    assert found.bias("raw", "image").high == pytest.approx(np.log2(bound / (13 / 40)))
    assert found.difference("raw", "raw", "recall_at_1") == (0, 0, 0)


@pytest.mark.parametrize("method", ["gr-clip", "zscore-corpus", "cca", "shared-mixed"])
def test_a_calibration_of_another_width_is_refused(queries, corpus, method):
    narrow = Calibration.of(*np.random.default_rng(0).normal(size=(2, 40, 7)))
    message = "calibration must be of the corpus's space: expected dim 8, got 7"
    with pytest.raises(ValueError, match=message):
        mixed_search(corpus, queries, methods=[method], calibration=narrow)
    with pytest.raises(ValueError, match=message):
        choose_weights(corpus, queries, methods=[method], calibration=narrow)


def test_options_say_what_is_wrong(queries, corpus):
    for recall_at in ((), 5):
        with pytest.raises(ValueError, match="recall_at must hold at least one length of list, got"):
            MixedOptions(recall_at=recall_at)
    with pytest.raises(ValueError, match=r"weights must hold at least one number in \[0, 1\], got none"):
        choose_weights(corpus, queries, methods=["raw"], weights=[])
    with pytest.raises(ValueError, match="against must be a list of names, got 'raw'"):
        MixedOptions(against="raw")
    for against in (("fooo",), ("raw", "gr-clip+")):
        options = MixedOptions(against=against)
        with pytest.raises(ValueError, match=r"against must name methods, of these \(raw\) or others, got"):
            mixed_search(corpus, queries, methods=["raw"], options=options)
    options = MixedOptions(against=("mine", "cca+zscore"))  # one that is here, one that could be
    told = mixed_search(corpus, queries, methods={"mine": Ranker(), "b": Ranker()}, options=options)
    assert list(told.to_dict()["methods"]["b"]["ndcg_against"]) == ["mine"]


def test_results_say_what_they_do_not_have(queries, corpus):
    found = mixed_search(corpus, queries, methods=["raw", "rrf"])
    for ask in (
        lambda: found.figure("foo"),
        lambda: found.difference("foo", "raw"),
        lambda: found.share("foo", "image"),
        lambda: found.bias("foo", "image"),
    ):
        with pytest.raises(ValueError, match="method must be one of raw, rrf, got 'foo'"):
            ask()
    with pytest.raises(ValueError, match="other must be one of raw, rrf, got 'foo'"):
        found.difference("raw", "foo")
    with pytest.raises(ValueError, match="name must be one of ndcg, ndcg_of_found, recall_at_1"):
        found.figure("raw", "foo")
    for ask in (
        lambda: found.share("raw", "foo"),
        lambda: found.bias("raw", "foo"),
        lambda: found.of_kind("foo"),
    ):
        with pytest.raises(ValueError, match="kind must be one of image, text, both, got 'foo'"):
            ask()
