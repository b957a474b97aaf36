"""Probabilities of a match: evidence against brute force and closed forms, thresholds, files."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from scipy.special import expit, logit
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from isthmus.align import LinearMap, MeanCollapse, SharedSpace, save_aligner
from isthmus.align.calibration import MatchCalibrator
from isthmus.align.calibration_files import (
    CalibratedOn,
    load_calibrator,
    read_calibrated_on,
    save_calibrator,
)
from isthmus.align.matching import collect_trials, standing, unfitted
from isthmus.align.provenance import FittedOn
from isthmus.checks import unit_rows
from isthmus.measure import find_items

METHODS = ("isotonic", "logistic")


def scores_of(seed=0, matches=40, mismatches=300, apart=1.5, decimals=8):
    rng = np.random.default_rng(seed)
    scores = np.append(rng.normal(apart, 1, matches), rng.normal(0, 1, mismatches)) / 10
    return scores.round(decimals), np.arange(matches + mismatches) < matches


def brute_force_evidence(scores, match):
    """Isotonic regression by its min-max formula, with one match and one mismatch more at both ends."""
    ends = [scores.min(), scores.max()]
    s, m = np.concatenate([scores, ends, ends]), np.concatenate([match, [True] * 2, [False] * 2])
    levels = np.unique(s)
    right = np.array([(m & (s == level)).sum() / m.sum() for level in levels])
    wrong = np.array([(~m & (s == level)).sum() / (~m).sum() for level in levels])
    out = []
    for i in range(len(levels)):
        best = max(
            min(right[j : k + 1].sum() / (right + wrong)[j : k + 1].sum() for k in range(i, len(levels)))
            for j in range(i + 1)
        )
        out.append(logit(best))
    return levels, np.array(out)


@pytest.mark.parametrize("decimals", [8, 2])  # hardly any ties, and many
def test_isotonic_evidence_is_that_of_brute_force(decimals):
    scores, match = scores_of(decimals=decimals, matches=20, mismatches=60)
    levels, expected = brute_force_evidence(scores, match)
    found = MatchCalibrator().fit_scores(scores, match)
    assert found.weigh(levels) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_evidence_of_gaussian_scores_is_a_line(method):
    """Matches of N(d, 1) and mismatches of N(0, 1): the log likelihood ratio is d s - d^2 / 2."""
    d = 2.0
    rng = np.random.default_rng(0)
    scores = np.append(rng.normal(d, 1, 40_000), rng.normal(0, 1, 40_000))
    found = MatchCalibrator(method).fit_scores(scores, np.arange(80_000) < 40_000)
    at = np.linspace(-1, 3, 9)
    error = np.abs(found.weigh(at) - (d * at - d**2 / 2)).max()
    assert error < {"isotonic": 0.3, "logistic": 0.06}[method]
    assert found.threshold_at(probability=0.5) == pytest.approx(d / 2, abs=0.08)


def test_logistic_is_where_the_loss_is_lowest():
    scores, match = scores_of()
    found = MatchCalibrator("logistic", prior=0.1).fit_scores(scores, match)
    m, u = match.sum(), (~match).sum()

    def loss(intercept, slope):
        p = expit(intercept + slope * scores + logit(0.1))
        target = np.where(match, (m + 1) / (m + 2), 1 / (u + 2))
        return np.where(match, 0.1 / m, 0.9 / u) @ -(target * np.log(p) + (1 - target) * np.log1p(-p))

    least = loss(found.intercept_, found.slope_)
    for moved in ((1e-2, 0), (-1e-2, 0), (0, 1e-1), (0, -1e-1)):
        assert loss(found.intercept_ + moved[0], found.slope_ + moved[1]) > least


def test_prior_does_not_change_isotonic_evidence_and_enters_by_bayes():
    scores, match = scores_of()
    even, rare = (MatchCalibrator(prior=prior).fit_scores(scores, match) for prior in (0.5, 0.001))
    assert (even.evidence_ == rare.evidence_).all()
    p = even.probability([0.1, 0.2])
    by_bayes = 0.001 * p / (0.001 * p + 0.999 * (1 - p))
    assert rare.probability([0.1, 0.2]) == pytest.approx(by_bayes, rel=1e-12)
    assert even.probability([0.1, 0.2], prior=0.001) == pytest.approx(by_bayes, rel=1e-12)


def test_prior_does_not_depend_on_how_many_mismatches_there_are():
    scores, match = scores_of(matches=2000, mismatches=2000)
    more = np.append(scores, np.tile(scores[~match], 9)), np.append(match, np.zeros(9 * 2000, bool))
    few, many = (MatchCalibrator().fit_scores(*data).probability(0.08) for data in ((scores, match), more))
    assert few == pytest.approx(many, abs=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_probabilities_rise_and_are_never_certain(method):
    """Also where matches and mismatches do not overlap at all."""
    for apart in (1.5, 8):
        found = MatchCalibrator(method).fit_scores(*scores_of(apart=apart))
        p = found.probability(np.linspace(-1, 1, 500))
        assert (np.diff(p) >= 0).all()
        assert p[-1] > 0.9
        assert p[0] < 0.1
        low, high = 1 / (42 + 1), 302 / 303  # what 40 matches and 300 mismatches, and two of each, can tell
        assert p[0] >= low - 1e-9
        assert p[-1] <= high + 1e-9


def test_scores_that_tell_nothing_leave_the_prior():
    rng = np.random.default_rng(0)
    scores, match = rng.uniform(0, 0.5, 40_000), np.arange(40_000) < 20_000
    p = MatchCalibrator(prior=0.2).fit_scores(scores, match).probability([0.1, 0.25, 0.4])
    assert p == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_threshold_is_the_inverse_of_the_probability(method):
    found = MatchCalibrator(method).fit_scores(*scores_of())
    for prior in (0.5, 0.1):
        for probability in (0.3, 0.5, 0.6):
            at = found.threshold_at(probability=probability, prior=prior)
            assert found.probability(at + 1e-9, prior=prior) >= probability - 1e-6
            assert found.probability(at - 1e-6, prior=prior) < probability
    assert found.threshold_at(probability=0.001) == -np.inf
    with pytest.raises(
        ValueError, match=r"probability of at most 0\.0\d+ is reached at a prior of 0\.0001, got 0\.5"
    ):
        found.threshold_at(probability=0.5, prior=0.0001)


def test_threshold_of_a_precision_is_the_lowest_that_has_it():
    scores, match = scores_of()
    found = MatchCalibrator(prior=0.2).fit_scores(scores, match)

    def precision(t):
        right, wrong = (scores[match] >= t).mean(), ((scores[~match] >= t).sum() + 1) / (300 + 1)
        return 0.2 * right / (0.2 * right + 0.8 * wrong)

    for asked in (0.4, 0.7):
        at = found.threshold_at(precision=asked)
        assert precision(at) >= asked
        assert all(precision(t) < asked for t in scores[match] if t < at)
    with pytest.raises(
        ValueError, match=r"precision of at most 0\.\d+ is reached at a prior of 0\.001, got 0.9"
    ):
        found.threshold_at(precision=0.9, prior=0.001)


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
    proba = found.predict_proba(x[:3], y[:3])[:, 1]
    assert proba == pytest.approx(found.probability(np.diag(cosine)[:3], queries=u[:3]), abs=1e-9)


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


@pytest.mark.parametrize("query", [False, "x"])
@pytest.mark.parametrize("method", METHODS)
def test_a_file_gives_the_same_probabilities(pairs, tmp_path, method, query):
    found = MatchCalibrator(method, query, prior=0.1, seed=4).fit(*pairs)
    told = CalibratedOn(
        FittedOn("image", "clip:b32"), FittedOn("text"), aligner="ab12", held_out={"ece": 0.1}
    )
    save_calibrator(found, tmp_path / "c.safetensors", calibrated_on=told)
    loaded = load_calibrator(tmp_path / "c.safetensors")
    assert loaded.get_params() == found.get_params()
    assert (loaded.predict_proba(*pairs) == found.predict_proba(*pairs)).all()
    assert loaded.threshold_at(precision=0.5) == found.threshold_at(precision=0.5)
    assert read_calibrated_on(tmp_path / "c.safetensors") == told
    with safe_open(tmp_path / "c.safetensors", framework="numpy") as file:
        assert json.loads(file.metadata()["isthmus.calibrator"])["format"] == 1
    save_calibrator(loaded, tmp_path / "again.safetensors", calibrated_on=told)
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_foreign_files_are_refused(pairs, tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(NotFittedError):
        save_calibrator(MatchCalibrator(), path)
    assert not path.exists()
    save_aligner(MeanCollapse().fit(*pairs), path)
    with pytest.raises(
        ValueError, match=r"a\.safetensors holds no calibrator: expected one that `isthmus cal"
    ):
        load_calibrator(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_calibrator(tmp_path / "none")
    save_calibrator(MatchCalibrator().fit(*pairs), path)
    tensors = load_file(path)
    for change, message in (
        ({"format": 2}, "written by a later isthmus: format 2, known 1"),
        ({"learned": {"fit": 1}}, "unknown learned attribute 'fit'"),
    ):
        story = {"format": 1, "params": {}, "learned": {}, "calibrated_on": {}} | change
        save_file(tensors, path, {"isthmus.calibrator": json.dumps(story)})
        with pytest.raises(ValueError, match=message):
            load_calibrator(path)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"method": "platt"}, "method must be isotonic or logistic, got 'platt'"),
        ({"per_query": True}, "per_query must be False, x or y, got True"),
        ({"prior": 0}, r"prior must be a number in \(0, 1\), got 0"),
        ({"background": 1}, r"background must be a whole number in \[2, inf\), got 1"),
        ({"seed": -1}, r"seed must be a whole number in \[0, inf\), got -1"),
    ],
)
def test_options_out_of_range_are_named(pairs, options, message):
    with pytest.raises(ValueError, match=message):
        MatchCalibrator(**options).fit(*pairs)


def test_bad_input_is_named(pairs):
    x, y = pairs
    found, seen = MatchCalibrator().fit(x, y), MatchCalibrator(per_query="x").fit(x, y)
    for call, message in (
        (lambda: MatchCalibrator().fit(x, y[:5]), "X has 120 rows, Y has 5"),
        (lambda: MatchCalibrator("logistic").fit_scores([1.0, 0.0], [False, True]), "got means of 0 and 1"),
        (lambda: MatchCalibrator().fit_scores([1.0, 0.0], [True, True]), "got 2 and 0"),
        (lambda: MatchCalibrator().fit_scores([1.0], [1]), r"one bool per score, shape \(1,\), got int64"),
        (lambda: found.probability([np.nan]), "cosines must be finite, got 1 that are not"),
        (lambda: found.probability(["a"]), "cosines must be numbers, got <U1"),
        (lambda: found.probability(2.0), r"cosines must be in \[-1, 1\], got one of 2.0"),
        (lambda: found.probability(0.2, prior=1), r"prior must be a number in \(0, 1\), got 1"),
        (lambda: found.threshold_at(), "expected one of probability and precision"),
        (lambda: found.threshold_at(probability=0.5, precision=0.5), "expected one of probability and"),
        (lambda: found.predict_proba(x, y[:1]), "X and Y must pair row by row: X has 120 rows, Y has 1"),
        (
            lambda: found.predict_proba(x[:, :5], y),
            "X has 5 features, but MatchCalibrator is expecting 12 features",
        ),
        (lambda: seen.probability([0.1]), "queries must be given, .* got none"),
        (lambda: seen.probability([0.1], queries=x[:2]), r"shape \(2,\) or \(2, k\), got \(1,\)"),
        (lambda: seen.probability([0.1], queries=x[:1, :3]), "queries must have dim 12, got dim 3"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(NotFittedError):
        MatchCalibrator().probability([0.1])
    with pytest.raises(NotFittedError):
        MatchCalibrator().fit(x, y, aligner=MeanCollapse())


class Paired(MatchCalibrator):
    """scikit-learn's checks pass labels where ours takes the other modality: pair X with itself there."""

    def fit(self, X, y=None):
        return super().fit(X, X)

    def predict_proba(self, X):
        return super().predict_proba(X, X)


@parametrize_with_checks(
    [Paired(), Paired("logistic")],
    expected_failed_checks=lambda _: {
        "check_estimators_dtypes": "its integer data has rows of zeros: no direction, so refused"
    },
)
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)
