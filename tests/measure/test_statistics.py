import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.checks import unit_rows
from isthmus.measure import GapStatistics, alignment, l2m, mean_cosine_within
from tests.measure import oracles


def figures(s):
    return np.array([s.alignment, s.l2m, s.rmg_cosine, *s.cone, s.gap_share(3)])


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 299), max_size=6), seed=st.integers(0, 1000))
def test_any_sharding_and_order_gives_the_same_figures(cuts, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 300, 8)) * 1e-3 + rng.normal(size=(2, 1, 8))  # a narrow cone: the hard case
    whole = GapStatistics(covariance=True).update(x, y)
    edges = [0, *sorted(set(cuts)), 300]
    parts = [GapStatistics(covariance=True).update(x[a:b], y[a:b]) for a, b in itertools.pairwise(edges)]
    rng.shuffle(parts)
    merged = GapStatistics(covariance=True)
    for part in parts:
        merged.merge(part)
    assert merged.pairs == 300
    assert figures(merged) == pytest.approx(figures(whole), rel=1e-9)
    assert merged.covariances == pytest.approx(whole.covariances, abs=1e-9 * whole.covariances.max())


def test_agrees_with_the_functions_and_numpy(pairs):
    x, y = pairs
    s = GapStatistics(covariance=True)
    for rows in (slice(0, 1), slice(1, 50), slice(50, None)):
        s.update(x[rows], y[rows])
    assert s.alignment == pytest.approx(alignment(x, y), rel=1e-12)
    assert s.l2m == pytest.approx(l2m(x, y), rel=1e-12)
    assert s.cone == pytest.approx((mean_cosine_within(x), mean_cosine_within(y)), rel=1e-12)
    u, v = oracles.unit(x), oracles.unit(y)
    both = np.cov(u, v, rowvar=False, bias=True)
    assert s.covariances[0] == pytest.approx(both[:12, :12], abs=1e-14)
    assert s.covariances[1] == pytest.approx(both[12:, 12:], abs=1e-14)
    assert s.covariances[2] == pytest.approx(both[:12, 12:], abs=1e-14)


def test_single_precision_costs_covariances_no_more_than_its_own_digits():
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(2, 5000, 16)) * 0.01 + rng.normal(size=(2, 1, 16))).astype(np.float32)
    exact = GapStatistics(covariance=True).update(x.astype(np.float64), y.astype(np.float64))
    single = GapStatistics(covariance=True).update(x, y)
    assert single.covariances == pytest.approx(exact.covariances, abs=1e-6 * exact.covariances.max())
    assert figures(single) == pytest.approx(figures(exact), rel=1e-12)


def test_blocks_do_not_show(monkeypatch, pairs):
    whole = figures(GapStatistics().update(*pairs))
    monkeypatch.setattr("isthmus.measure.statistics._BLOCK_ROWS", 7)
    monkeypatch.setattr("isthmus.measure.statistics._PART_ROWS", 25)
    assert figures(GapStatistics().update(*pairs)) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_reads_every_precision(pairs, dtype):
    x, y = (a.astype(dtype) for a in pairs)
    exact = GapStatistics().update(x.astype(np.float64), y.astype(np.float64))
    assert figures(GapStatistics().update(x, y)) == pytest.approx(figures(exact), rel=1e-12)


def test_bad_rows_leave_the_accumulator_as_it_was(pairs):
    x, y = pairs
    s = GapStatistics().update(x, y)
    before = figures(s)
    broken = x.copy()
    broken[3] = np.nan
    with pytest.raises(ValueError, match="x has 1 NaN or infinite row, the first is row 3"):
        s.update(broken, y)
    with pytest.raises(ValueError, match=r"one shape, got \(120, 12\) and \(119, 12\)"):
        s.update(x, y[1:])
    with pytest.raises(ValueError, match="expected dim 12 as before, got dim 5"):
        s.update(x[:, :5], y[:, :5])
    with pytest.raises(ValueError, match="with and without covariance"):
        s.merge(GapStatistics(covariance=True))
    with pytest.raises(ValueError, match="expected dim 12, got dim 2"):
        s.merge(GapStatistics().update([[1.0, 0.0]], [[1.0, 0.0]]))
    assert (figures(s) == before).all()
    assert s.pairs == 120


def test_figures_need_pairs():
    with pytest.raises(ValueError, match="no pairs seen yet"):
        _ = GapStatistics().means
    with pytest.raises(ValueError, match="at least 2 pairs, got 1"):
        _ = GapStatistics().update([[1.0, 0.0]], [[1.0, 0.0]]).cone
    with pytest.raises(ValueError, match="no covariances here"):
        _ = GapStatistics().update([[1.0, 0.0]], [[1.0, 0.0]]).covariances


def test_long_rows_do_not_overflow_where_they_are_scaled():
    x = np.array([[3e200, 4e200], [0.0, 1e-200]])
    assert unit_rows(x, np.float32) == pytest.approx(np.array([[0.6, 0.8], [0.0, 1.0]]))


def test_overflowing_and_tiny_rows_count_like_others():
    x = np.array([[3e200, 4e200], [1e-200, 0.0], [1.0, 1.0]])
    assert GapStatistics().update(x, x).alignment == pytest.approx(1)
