"""Methods put rows where their papers say."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from isthmus.align import ALIGNERS, MeanCollapse, SharedSpace, load_aligner, save_aligner
from isthmus.evaluate.mixed import (
    METHODS,
    Calibration,
    MixedOptions,
    Mixture,
    choose_dials,
    cross_search,
    mix,
    mixed_search,
    shared_for_mixed_search,
)
from isthmus.evaluate.mixed.choosing import DIALS
from isthmus.evaluate.mixed.methods import CENTRINGS, fit_methods, zscored
from isthmus.evaluate.mixed.ranking import Search
from isthmus.evaluate.mixed.rules import Ranker, moments_of
from isthmus.theory import sample
from tests.evaluate.mixed.oracles import all_scores, unit

CLOSED_FORM = [name for name in ALIGNERS if name != "nonlinear"]


@pytest.fixture
def learned():
    """60 calibration pairs in the same 8 dimensions, and texts of queries about another mean."""
    rng = np.random.default_rng(5)
    shared, noise, other, asked = rng.normal(size=(4, 60, 8))
    return Calibration.of(shared + 0.5 * noise + 1, shared + 0.5 * other - 1, queries=asked + 2)


def units(rows):
    return np.array([unit(row) for row in np.asarray(rows, dtype=float)])


def expected(queries, corpus, **maps):
    scores = all_scores(queries, corpus, **maps)
    search = Search.of(queries, corpus, k=5, seed=0)
    standing = np.argsort(search.ties)
    return np.array([np.lexsort((-standing, -row.round(5)))[:5] for row in scores]), search


def test_gr_clip_is_three_means(queries, corpus, learned):
    image, text, asked = (units(z).mean(axis=0) for z in (learned.x, learned.y, learned.queries))
    less = {"image": lambda u: u - image, "text": lambda u: u - text, "query_text": lambda u: u - asked}
    wanted, search = expected(queries.documents, corpus, **less, weight=0.3)
    ranker = fit_methods({"gr": lambda c: METHODS["gr-clip"](c)}, learned)["gr"]
    found = Ranker(ranker.documents, ranker.queries, 0.3).rank(search)
    np.testing.assert_array_equal(found, wanted)


def test_gr_clip_fused_is_the_difference_of_fused_and_the_fused_mean(corpus, learned):
    """Their code subtracts alpha * text mean + (1 - alpha) * image mean from the sum: it is the same."""
    ranker = METHODS["gr-clip"](learned)
    a, b = units(corpus.image[39:]), units(corpus.text[39:])
    image, text = units(learned.x).mean(axis=0), units(learned.y).mean(axis=0)
    theirs = unit((0.3 * a + 0.7 * b - (0.3 * image + 0.7 * text))[0])
    from isthmus.evaluate.mixed.documents import place

    mine = place(corpus, ranker.documents, rows=[39], weight=0.3)[0]
    np.testing.assert_allclose(mine, theirs, atol=1e-6)


@pytest.mark.parametrize("how", CENTRINGS)
def test_centrings_differ_in_queries_alone(queries, corpus, learned, how):
    image, text, asked = (units(z).mean(axis=0) for z in (learned.x, learned.y, learned.queries))
    ranker = CENTRINGS[how](learned)
    row = units(corpus.text[:1])
    off = {"are": 0 * text, "means": text, "mean": asked}[how.split()[-1]]
    np.testing.assert_allclose(ranker.queries.text(row), row - off, atol=1e-6)
    np.testing.assert_allclose(ranker.documents.text(row), row - text, atol=1e-6)
    np.testing.assert_allclose(ranker.documents.image(row), row - image, atol=1e-6)


@pytest.mark.parametrize("name", CLOSED_FORM)
def test_aligners_map_each_part_before_it_is_fused(queries, corpus, learned, name):
    ranker = fit_methods([name], learned)[name]
    fitted = ALIGNERS[name]().fit(learned.x, learned.y)
    maps = {"image": lambda u: fitted.transform(u[None])[0], "text": lambda u: fitted.transform_y(u[None])[0]}
    apart = units(learned.queries).mean(axis=0) - units(learned.y).mean(axis=0)
    maps["query_text"] = lambda u: maps["text"](u - apart)  # as if queries had the documents' mean
    wanted, search = expected(queries.documents, corpus, **maps)
    assert (ranker.rank(search) == wanted).mean() > 0.98  # repeated rows tie, up to rounding


def test_a_fitted_aligner_is_not_fitted_again(corpus, queries, learned):
    fitted = SharedSpace(noise="none").fit(learned.x, learned.y)
    found = mixed_search(corpus, queries, methods={"a": fitted})
    assert set(found.answers) == {"a"}


def test_collapse_without_a_mean_of_queries_differs_from_gr_clip_in_fused_documents_alone(
    queries, corpus, learned
):
    single = np.flatnonzero(corpus.kind < 2)
    calibration = Calibration.of(learned.x, learned.y)
    ones = queries.documents.take(np.arange(20))
    ranked = [
        ranker.rank(Search.of(ones, corpus.take(single), k=9, seed=0))
        for ranker in fit_methods(["gr-clip", "collapse"], calibration).values()
    ]
    assert (ranked[0] == ranked[1]).mean() > 0.98


@pytest.mark.parametrize("weight", [0.5, 0.2])
def test_zscore_over_the_corpus_has_one_mean_per_kind_of_query_and_document(queries, corpus, learned, weight):
    ranker = replace(fit_methods(["zscore-corpus"], learned)["zscore-corpus"], weight=weight)
    search = Search.of(queries.documents, corpus, k=5, seed=0)
    scores = all_scores(queries.documents, corpus, weight=weight)
    texts, images = units(learned.queries), units(learned.x)
    both = units(weight * images + (1 - weight) * units(learned.y))
    for at, asked in enumerate((images, texts, both)):
        for kind in range(3):
            of = np.ix_(queries.documents.kind == at, corpus.kind == kind)
            some = all_scores_of(asked, corpus.take(corpus.kind == kind), weight)
            scores[of] = (scores[of] - some.mean()) / some.std()
    standing = np.argsort(search.ties)
    wanted = [np.lexsort((-standing, -row.round(5)))[:5] for row in scores]
    assert (ranker.rank(search) == wanted).mean() > 0.98


def all_scores_of(unit_queries, corpus, weight):
    from isthmus.evaluate.mixed.documents import Space, place

    return unit_queries @ place(corpus, Space(), weight=weight).T.astype(float)


def test_standardising_comes_after_the_map(queries, corpus, learned):
    search = Search.of(queries.documents, corpus, k=5, seed=0)
    fitted = MeanCollapse().fit(learned.x, learned.y)
    maps = {"image": lambda u: fitted.transform(u[None])[0], "text": lambda u: fitted.transform_y(u[None])[0]}
    apart = units(learned.queries).mean(axis=0) - units(learned.y).mean(axis=0)
    maps["query_text"] = lambda u: maps["text"](u - apart)
    scores = all_scores(queries.documents, corpus, **maps)
    for kind in range(3):
        of = corpus.kind == kind
        scores[:, of] -= scores[:, of].mean(axis=1, keepdims=True)
        scores[:, of] /= scores[:, of].std(axis=1, keepdims=True)
    found = fit_methods(["collapse+zscore"], learned)["collapse+zscore"].rank(search)
    standing = np.argsort(search.ties)
    assert (found == [np.lexsort((-standing, -row.round(5)))[:5] for row in scores]).mean() > 0.98


def test_moments_in_blocks(corpus, monkeypatch):
    whole = moments_of(corpus, Ranker().documents, weight=0.5)
    monkeypatch.setattr("isthmus.evaluate.mixed.rules._BLOCK", 7)
    parts = moments_of(corpus, Ranker().documents, weight=0.5)
    np.testing.assert_allclose(whole.mean, parts.mean, atol=1e-6)
    np.testing.assert_allclose(whole.second, parts.second, atol=1e-6)


def test_shared_for_mixed_takes_the_dials_of_the_highest_ndcg():
    choice = choose_dials(Calibration.of(*sample(150)[:2]))
    assert choice.ndcg[choice.taken] == max(choice.ndcg.values())
    few = choose_dials(Calibration.of(*sample(11)[:2]))
    assert (few.taken.noise, few.ndcg) == ("none", {})
    assert len(choose_dials(Calibration.of(*sample(12)[:2])).ndcg) == len(DIALS)


def test_dials_are_tried_in_three_folds_of_items():
    """Items of two photographs and two captions, none of which repeats: rows do not tell which is whose."""
    rng = np.random.default_rng(2)
    item = np.arange(30).repeat(2)
    seen = rng.normal(size=(30, 6))[item]
    x, y = seen + 0.4 * rng.normal(size=(60, 6)) + 1, seen + 0.4 * rng.normal(size=(60, 6)) - 1
    choice = choose_dials(Calibration.of(x, y, groups=item))
    tried = {
        str(dials): SharedSpace(noise="none")
        if dials.noise == "none"
        else SharedSpace(noise=dials.noise, shrinkage=dials.shrinkage, strength=dials.strength)
        for dials in DIALS
    }
    made = partial(mix, mixture=Mixture(queries=("text", "image")))
    found = cross_search(x, y, items=item, methods=tried, make=made, options=MixedOptions(folds=3))
    assert len(found) == 39  # a caption for each item, and the image of those 9 that are captions
    for dials, ndcg in choice.ndcg.items():
        assert ndcg == pytest.approx(found.answers[str(dials)].figures["ndcg"].mean(), abs=1e-6)


def test_the_aligner_of_shared_mixed_may_be_saved(corpus, queries, rows, tmp_path):
    """What is saved, and opened again, finds what the method by its name does."""
    rng = np.random.default_rng(7)
    shared, noise, other = rng.normal(size=(3, 90, 8))
    learned = Calibration.of(shared + 0.5 * noise + 1, shared + 0.5 * other - 1)
    aligner = shared_for_mixed_search(learned)
    assert aligner.dials_ == choose_dials(learned).taken
    assert aligner.dials_.noise != "none"
    save_aligner(aligner, tmp_path / "mixed.safetensors")
    opened = {"saved": load_aligner(tmp_path / "mixed.safetensors")}
    saved = mixed_search(corpus, queries, methods=opened).answers["saved"]
    named = mixed_search(corpus, queries, methods=["shared-mixed"], calibration=learned)
    for name, values in named.answers["shared-mixed"].figures.items():
        np.testing.assert_array_equal(saved.figures[name], values)
    aligner.x_matrix_ = aligner.x_matrix_ * 0  # theirs to change
    again = mixed_search(corpus, queries, methods=["shared-mixed"], calibration=learned)
    assert again.figure("shared-mixed") == named.figure("shared-mixed")
    with pytest.raises(ValueError, match="shared-mixed learns from pairs: calibration is missing"):
        shared_for_mixed_search(None)


def test_some_items_bring_a_like_share_of_the_queries(learned):
    assert [len(learned.some(items, seed=0).queries) for items in (2, 15, 30, 60)] == [2, 15, 30, 60]
    more = replace(learned, queries=np.tile(learned.queries, (3, 1)))
    assert len(more.some(20, seed=0).queries) == 60


def test_methods_say_what_is_wrong(corpus, queries, learned):
    with pytest.raises(
        ValueError, match="unknown method 'grclip': expected one of zscore, zscore-corpus, raw"
    ):
        mixed_search(corpus, queries, methods=["grclip"])
    for name in ("raw+rrf", "rrf+zscore", "rrf+zscore-corpus", "gr-clip+", "+zscore", "zscore+zscore"):
        with pytest.raises(ValueError, match=f"unknown method '{re.escape(name)}'"):
            mixed_search(corpus, queries, methods=[name], calibration=learned)
    with pytest.raises(ValueError, match="ranker must score by cosine, which is what is standardised"):
        zscored(METHODS["rrf"](None))
    for methods in ("raw", [], {}):
        with pytest.raises(ValueError, match="methods must be a list of names, or a mapping, of one or more"):
            mixed_search(corpus, queries, methods=methods)
    for name in ("gr-clip", "zscore-corpus", "shared", "shared-mixed", "shared+zscore"):
        with pytest.raises(ValueError, match="learns from pairs: calibration is missing"):
            mixed_search(corpus, queries, methods=[name])
    with pytest.raises(ValueError, match="queries must be own, documents or none, got 'all'"):
        METHODS["gr-clip"](learned, queries="all")
    with pytest.raises(ValueError, match="items must be between 2 and the 60 that there are, got 61"):
        learned.some(61, seed=0)
    bad = {"shared": SharedSpace(keep_recall=2)}
    with pytest.raises(ValueError, match="shared cannot be fitted: keep_recall"):
        mixed_search(corpus, queries, methods=bad, calibration=learned)
    with pytest.raises(ValueError, match=r"weight must be a number in \[0, 1\], got 2"):
        MixedOptions(weight=2)
