"""Calibrators of pairs: their mismatches, scores relative to a query, aligners, and what is drawn."""

import numpy as np
import pytest
from scipy.special import expit

from isthmus.align import LinearMap, MeanCollapse, SharedSpace
from isthmus.align.calibration import MatchCalibrator
from isthmus.align.matching import collect_trials, standing, unfitted
from isthmus.checks import unit_rows
from isthmus.measure import find_items


def test_pairs_are_learned_from_with_all_of_their_mismatches(pairs):
    x, y = pairs
    group = np.arange(120) // 2
    found = MatchCalibrator().fit(x, y, groups=group)
    cosine = unit_rows(x, np.float32) @ unit_rows(y, np.float32).T
    other = group[:, None] != group[None]
    scores = np.append(np.diag(cosine), cosine[other])
    expected = MatchCalibrator().fit_scores(scores, np.arange(len(scores)) < 120)
    assert (found.n_matches_, found.n_mismatches_) == (120, 120 * 118)
    at = np.linspace(-1, 1, 50)
    assert found.weigh(at) == pytest.approx(expected.weigh(at), abs=1e-3)
    rows = found.predict_proba(x, y)
    assert rows.sum(axis=1) == pytest.approx(1)
    assert rows[:, 1] == pytest.approx(expected.probability(np.diag(cosine)), abs=1e-3)
    assert found.predict_proba(x, y, prior=0.01)[:, 1].max() < rows[:, 1].max()


def test_a_picture_of_five_captions_mismatches_a_caption_once(pairs):
    x, y = np.repeat(pairs[0][:24], 5, axis=0), pairs[1]
    found = MatchCalibrator().fit(x, y)
    assert (found.n_matches_, found.n_mismatches_) == (120, 24 * 115)


def test_rows_stay_on_disk(pairs, tmp_path):
    for name, rows in zip("xy", pairs, strict=True):
        np.save(tmp_path / f"{name}.npy", rows.astype(np.float16))
    x, y = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy")
    found, wanted = MatchCalibrator().fit(x, y), MatchCalibrator().fit(np.array(x, float), np.array(y, float))
    at = np.linspace(-1, 1, 50)
    assert found.weigh(at) == pytest.approx(wanted.weigh(at), abs=1e-3)
    assert found.predict_proba(x, y) == pytest.approx(wanted.predict_proba(x, y), abs=1e-3)


def test_lengths_and_the_order_of_pairs_do_not_matter(pairs):
    x, y = pairs
    found = MatchCalibrator().fit(x, y)
    order = np.random.default_rng(1).permutation(120)
    moved = MatchCalibrator().fit(3 * x[order], y[order] * np.arange(1, 121)[:, None])
    at = np.linspace(-1, 1, 50)
    assert moved.weigh(at) == pytest.approx(found.weigh(at), abs=1e-3)


@pytest.mark.parametrize("query", ["x", "y"])
def test_a_query_is_seen_against_its_own_cosines(pairs, query):
    x, y = pairs
    found = MatchCalibrator(per_query=query, background=1000).fit(x, y)
    u, v = (unit_rows(rows, np.float32) for rows in ((x, y) if query == "x" else (y, x)))
    assert found.background_ == pytest.approx(v, abs=1e-6)
    cosine = u @ v.T
    standard = []
    for i in range(120):
        own = np.delete(cosine[i], i)
        standard.append((cosine[i] - own.mean()) / own.std())
    standard = np.array(standard)
    scores = np.append(np.diag(standard), standard[~np.eye(120, dtype=bool)])
    expected = MatchCalibrator().fit_scores(scores, np.arange(len(scores)) < 120)
    at = np.linspace(-4, 5, 50)
    assert found.weigh(at) == pytest.approx(expected.weigh(at), abs=1e-2)
    new = np.random.default_rng(5).normal(size=(3, 12))
    n = unit_rows(new, np.float32)
    mean, std = (n @ v.T).mean(axis=1), (n @ v.T).std(axis=1)
    wanted = expit(found.weigh((0.4 - mean) / std))
    assert found.probability([0.4, 0.4, 0.4], queries=new) == pytest.approx(wanted, abs=1e-6)
    assert found.probability(np.full((3, 2), 0.4), queries=new)[:, 1] == pytest.approx(wanted, abs=1e-6)
    at = found.threshold_at(probability=0.5, queries=new)
    assert at == pytest.approx(mean + std * found.threshold_at(probability=0.5), abs=1e-6)
    for probability in np.linspace(0.2, 0.9, 50):
        at = found.threshold_at(probability=probability, queries=new)
        assert (found.probability(at, queries=new) >= probability).all()
        assert (found.probability(at - 1e-12, queries=new) < probability + 1e-9).all()
    assert (found.threshold_at(probability=1e-9, queries=new) == -np.inf).all()
    proba = found.predict_proba(x[:3], y[:3])[:, 1]
    assert proba == pytest.approx(found.probability(np.diag(cosine)[:3], queries=u[:3]), abs=1e-9)


def test_the_background_is_drawn_from_all_of_the_other_modality(pairs):
    x, y = pairs
    first, again, other = (
        MatchCalibrator(per_query="x", background=30, seed=seed).fit(x, y).background_ for seed in (0, 0, 1)
    )
    assert (first == again).all()
    drawn = [(background @ unit_rows(y, np.float32).T).argmax(axis=1) for background in (first, other)]
    for background, rows in zip((first, other), drawn, strict=True):
        assert background == pytest.approx(unit_rows(y[rows], np.float32), abs=1e-6)
        assert len(set(rows)) == 30
        assert max(rows) > 60  # not the first rows, which may be of one kind
    assert set(drawn[0]) != set(drawn[1])


def test_swapping_the_modalities_swaps_the_queries(pairs):
    x, y = pairs
    a, b = MatchCalibrator(per_query="x").fit(x, y), MatchCalibrator(per_query="y").fit(y, x)
    assert a.weigh([0.0, 1.0, 3.0]) == pytest.approx(b.weigh([0.0, 1.0, 3.0]), abs=1e-3)


def test_cosines_of_an_aligner_are_taken_on_pairs_it_has_not_seen():
    """A regression with nearly as many weights as pairs maps those on each other, and no others."""
    rng = np.random.default_rng(0)
    shared, noise = rng.normal(size=(2, 360, 40))
    x, y = shared + 0.3, shared + 1.5 * noise
    aligner = LinearMap(alpha=1e-6).fit(x[:60], y[:60])
    honest = MatchCalibrator("logistic").fit(x[:60], y[:60], aligner=aligner)
    fooled = MatchCalibrator("logistic").fit(x[:60], y[:60], aligner=aligner, again=False)
    u, v = aligner.transform(x[60:], y[60:])
    said = [float(found.predict_proba(u, v)[:, 1].mean()) for found in (honest, fooled)]
    on_new = MatchCalibrator("logistic").fit(u, v)
    wanted = float(on_new.predict_proba(u, v)[:, 1].mean())
    assert abs(said[0] - wanted) < 0.06
    assert abs(said[1] - wanted) > 0.15
    assert honest.n_mismatches_ == 5 * 12 * 11


def test_an_aligner_that_has_not_seen_the_pairs_is_taken_as_it_is(pairs):
    x, y = pairs
    aligner = MeanCollapse().fit(x[:60], y[:60])
    direct = MatchCalibrator(per_query="y").fit(*aligner.transform(x[60:], y[60:]))
    found = MatchCalibrator(per_query="y").fit(x[60:], y[60:], aligner=aligner, again=False)
    at = np.linspace(-3, 5, 20)
    assert found.weigh(at) == pytest.approx(direct.weigh(at), abs=1e-3)
    assert found.background_ == pytest.approx(direct.background_, abs=1e-6)


def test_copies_of_an_aligner_keep_what_it_has_settled(pairs):
    aligner = SharedSpace().fit(*pairs)
    settled = unfitted(aligner).get_params()
    assert [settled[name] for name in vars(aligner.dials_)] == [*vars(aligner.dials_).values()]
    again = unfitted(aligner).fit(*pairs)
    assert again.dials_ == aligner.dials_
    assert again.transform(pairs[0]) == pytest.approx(aligner.transform(pairs[0]), abs=1e-9)


def test_folds_never_mix_items_and_draw_the_same_mismatches_for_every_reading(pairs, monkeypatch):
    monkeypatch.setattr("isthmus.align.matching._MISMATCHES", 2000)
    x, y = pairs
    items = find_items(x, y, np.arange(120) // 3)
    plain, seen = (
        collect_trials(x, y, items, space=(None, True), query=(query, 50), seed=3) for query in (False, "x")
    )
    for a, b in zip(plain[:2], seen[:2], strict=True):
        assert (a == b).all()
    fold_of = {}
    for item, fold in [
        *zip(plain.x_item, plain.fold, strict=True),
        *zip(plain.y_item, plain.fold, strict=True),
    ]:
        assert fold_of.setdefault(item, fold) == fold
    assert plain.match.sum() == 120
    assert (plain.x_item[plain.match] == plain.y_item[plain.match]).all()
    assert (plain.x_item[~plain.match] != plain.y_item[~plain.match]).all()


def test_many_mismatches_are_drawn_at_random(pairs, monkeypatch):
    monkeypatch.setattr("isthmus.align.matching._MISMATCHES", 3000)
    monkeypatch.setattr("isthmus.align.matching.PAIRS", 100)
    found = MatchCalibrator("logistic").fit(*pairs)
    assert found.n_matches_ == 100
    assert 2900 < found.n_mismatches_ < 3000
    assert found.weigh(0.5) == MatchCalibrator("logistic").fit(*pairs).weigh(0.5)
    assert found.weigh(0.5) != MatchCalibrator("logistic", seed=1).fit(*pairs).weigh(0.5)


def test_a_background_of_one_direction_is_refused():
    with pytest.raises(
        ValueError, match=r"expected background rows that differ .* got 2 with one cosine for query 0"
    ):
        standing(np.eye(2, dtype=np.float32), np.ones((2, 2), np.float32))


def test_real_cosines_become_probabilities(clip_pairs):
    """CLIP's folk threshold of 0.25 is where a match is as likely as not, if one candidate in two matches."""
    found = MatchCalibrator().fit(*clip_pairs)
    assert found.threshold_at(probability=0.5) == pytest.approx(0.247, abs=0.003)
    assert found.threshold_at(probability=0.5, prior=0.01) == pytest.approx(0.319, abs=0.005)
