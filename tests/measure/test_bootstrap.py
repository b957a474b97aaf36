"""Intervals of shares, against the binomial distribution itself."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from isthmus.measure.bootstrap import Bootstrap


def shares(n, rows=1):
    """Return the interval of k of n items for every k, each item having some rows of one kind."""
    boot = Bootstrap(np.repeat(np.arange(n), rows), seed=0)
    return np.array(
        [boot.figure(boot.mean(np.repeat(np.arange(n) < k, rows)), share_of=n)[1:] for k in range(n + 1)]
    )


@pytest.mark.parametrize("n", [15, 50, 200])
def test_intervals_of_shares_hold_every_truth(n):
    low, high = shares(n).T
    truth = np.linspace(0.001, 0.999, 999)
    holds = (low[:, None] <= truth) & (truth <= high[:, None])  # (n + 1, truths)
    covered = (binom.pmf(np.arange(n + 1)[:, None], n, truth) * holds).sum(axis=0)
    assert covered.min() >= 0.91
    assert covered.mean() >= 0.95


@pytest.mark.parametrize("rows", [1, 5])
def test_few_items_on_one_side_have_the_exact_interval(rows):
    for k, (low, high) in enumerate(shares(60, rows)):
        if min(k, 60 - k) <= 8:
            exact = binomtest(k, 60).proportion_ci()
            assert (low, high) == pytest.approx((exact.low, exact.high), abs=0.02)


def test_more_found_is_never_a_lower_bound():
    low, high = shares(100)[[0, 1, 2, 4, 8, 16, 84, 92, 96, 98, 99, 100]].T
    assert (np.diff(low) > 0).all()
    assert (np.diff(high) >= 0).all()


def test_means_of_values_between_count_as_the_share_that_varies_alike():
    values = np.append(np.full(28, 1.0), [0.4, 0.6])
    boot = Bootstrap(np.arange(30), seed=0)
    value, low, high = boot.figure(boot.mean(values), share_of=30)
    assert value == pytest.approx(29 / 30)
    assert low > shares(30)[29][0]  # half as far as a whole miss
    assert low < boot.figure(boot.mean(values)).low
    assert value < high < 1
