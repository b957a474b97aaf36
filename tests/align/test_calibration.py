"""Probabilities of a match learned from scores: evidence against brute force and closed forms, thresholds."""

import numpy as np
import pytest
from scipy.special import expit, logit

from isthmus.align.calibration import MatchCalibrator

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
            assert found.probability(at, prior=prior) >= probability
            assert found.probability(at - 1e-6, prior=prior) < probability
    assert found.threshold_at(probability=0.001) == -np.inf
    with pytest.raises(
        ValueError, match=r"probability of at most 0\.0\d+ is reached at a prior of 0\.0001, got 0\.5"
    ):
        found.threshold_at(probability=0.5, prior=0.0001)


@pytest.mark.parametrize("method", METHODS)
def test_a_threshold_has_the_probability_and_the_float_before_it_hardly_has(method):
    """To the last digit: what is accepted from the threshold on is no less probable than was asked."""
    found = MatchCalibrator(method).fit_scores(*scores_of())
    asked = np.concatenate([np.linspace(0.02, 0.9, 500), found.probability(np.linspace(0, 0.6, 200))])
    asked = asked[(asked > found.probability(-1.0)) & (asked <= found.probability(1.0))]
    at = np.array([found.threshold_at(probability=q) for q in asked])
    assert len(asked) > 500
    assert (found.probability(at) >= asked).all()
    assert (found.probability(at - 1e-12) < asked + 1e-9).all()
    for q in found.probability([-1.0, 1.0]):
        assert found.probability(max(-1.0, found.threshold_at(probability=float(q)))) == q


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
