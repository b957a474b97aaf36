"""Errors speak of the second modality by its own name."""

import numpy as np
import pytest
from sklearn.base import clone

from isthmus.align import LinearMap, MeanCollapse, RegularizedCCA, SharedSpace
from isthmus.align.calibration import MatchCalibrator

LEARNERS = [LinearMap(), RegularizedCCA(components=2), SharedSpace(noise="none"), MatchCalibrator()]
WITH_NAN = np.where(np.arange(12) == 3, np.nan, 1.0)


@pytest.mark.parametrize("learner", LEARNERS, ids=str)
@pytest.mark.parametrize(
    "change, message",
    [
        (lambda y: y[:, :5], "X and Y must share one embedding space: X has dim 12, Y has dim 5"),
        (lambda y: y * WITH_NAN, "Input Y contains NaN"),
        (lambda y: y[:50], "X and Y must pair row by row: X has 120 rows, Y has 50"),
        (lambda y: y * (np.arange(120) != 7)[:, None], "Y has 1 zero row, the first is row 7"),
    ],
)
def test_fit_names_y(pairs, learner, change, message):
    x, y = pairs
    for second in (change(y), change(y).astype(np.float32)):
        with pytest.raises(ValueError, match=message):
            clone(learner).fit(x, second)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda y: y[:, :5], "Y must have dim 12, got dim 5"),
        (lambda y: y * WITH_NAN, "Input Y contains NaN"),
        (lambda y: y[:1], "Y must have at least 2 rows, got 1"),
        (lambda y: y[0], "Expected 2D array, got 1D array instead"),
        (lambda y: y * (np.arange(120) != 7)[:, None], "Y has 1 zero row, the first is row 7"),
    ],
)
def test_fit_without_pairs_names_y(pairs, change, message):
    x, y = pairs
    for dtype in (np.float64, np.float32):
        with pytest.raises(ValueError, match=message):
            MeanCollapse().fit(x, change(y).astype(dtype))


def test_fit_names_x_where_x_is_at_fault(pairs):
    x, y = pairs
    for learner in LEARNERS:
        with pytest.raises(ValueError, match="Input X contains NaN"):
            clone(learner).fit(x * WITH_NAN, y)


@pytest.mark.parametrize("learner", LEARNERS[:3], ids=str)
def test_transform_names_y(pairs, learner):
    x, y = pairs
    fitted = clone(learner).fit(x, y)
    for call in (fitted.transform_y, lambda rows: fitted.transform(x, rows)):
        for dtype in (np.float64, np.float16):
            with pytest.raises(ValueError, match="Y must have dim 12, got dim 3"):
                call(y[:, :3].astype(dtype))
        with pytest.raises(ValueError, match="Input Y contains NaN"):
            call(y * WITH_NAN)
    with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 12"):
        fitted.transform(x[:, :3])


def test_calibrated_pairs_name_y(pairs):
    x, y = pairs
    fitted = MatchCalibrator().fit(x, y)
    with pytest.raises(ValueError, match="Y must have dim 12, got dim 3"):
        fitted.predict_proba(x, y[:, :3])
    with pytest.raises(ValueError, match="Input Y contains NaN"):
        fitted.predict_proba(x, y * WITH_NAN)
