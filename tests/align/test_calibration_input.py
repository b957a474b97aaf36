"""What calibrators refuse, and that they are scikit-learn estimators."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from isthmus.align import MeanCollapse
from isthmus.align.calibration import MatchCalibrator


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
        (lambda: found.probability([0.1, -1.5]), r"cosines must be in \[-1, 1\], got one of -1.5"),
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
