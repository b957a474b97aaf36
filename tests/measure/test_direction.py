"""The direction of the gap, by all pairs of groups."""

from itertools import combinations

import numpy as np
import pytest

from isthmus.measure import gap_direction_cosine
from tests.measure.oracles import unit


def by_pairs(x, y, groups_of, seed):
    """By definition: the cosine of every pair of groups, one at a time."""
    order = np.random.default_rng(seed).permutation(len(x))
    groups = [order[i : i + groups_of] for i in range(0, len(x) - groups_of + 1, groups_of)]
    gaps = [unit(x[rows]).mean(axis=0) - unit(y[rows]).mean(axis=0) for rows in groups]
    cosines = [a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in combinations(gaps, 2)]
    return np.mean(cosines)


@pytest.mark.parametrize("n, groups_of, dim", [(10, 5, 3), (47, 6, 4), (300, 100, 16), (8, 1, 2)])
@pytest.mark.parametrize("seed", [0, 3])
def test_agrees_with_definition(n, groups_of, dim, seed):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, dim)) + 0.5, rng.normal(size=(n, dim)) * rng.uniform(0.1, 9, size=(n, 1))
    found = gap_direction_cosine(x, y, groups_of=groups_of, seed=seed)
    assert found == pytest.approx(by_pairs(x, y, groups_of, seed), abs=1e-12)


def test_limits():
    rng = np.random.default_rng(0)
    x, other = rng.normal(size=(2, 4000, 64))
    gap = np.eye(64)[0]
    assert gap_direction_cosine(x + 100 * gap, x - 100 * gap) == pytest.approx(1, abs=1e-4)
    assert gap_direction_cosine(x, other) == pytest.approx(0, abs=0.05)  # noise has no direction
    assert gap_direction_cosine(x, x) == 0
    turned = x + np.sign(np.arange(4000) % 2 - 0.5)[:, None] * 100 * gap  # half one way, half the other
    assert gap_direction_cosine(turned, -turned, groups_of=1) == pytest.approx(0, abs=0.01)
    apart = np.array([[1.0, 0], [-1, 0]])
    assert gap_direction_cosine(apart, -apart, groups_of=1) == pytest.approx(-1)


def test_does_not_change_under_scaling_and_rotation(pairs):
    x, y = pairs
    rng = np.random.default_rng(1)
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    scale = rng.uniform(0.1, 10, size=(len(x), 1))
    value = gap_direction_cosine(x, y, groups_of=20)
    assert 0.5 < value < 1
    assert gap_direction_cosine(y, x, groups_of=20) == pytest.approx(value)
    assert gap_direction_cosine(x * scale, y / scale, groups_of=20) == pytest.approx(value)
    assert gap_direction_cosine(x @ rotation, y @ rotation, groups_of=20) == pytest.approx(value)
    assert gap_direction_cosine(x.astype(np.float32), y.tolist(), groups_of=20) == pytest.approx(
        value, rel=1e-5
    )


def test_order_of_rows_matters_no_more_than_the_seed(pairs):
    x, y = pairs
    order = np.random.default_rng(1).permutation(len(x))
    drawn = [gap_direction_cosine(x, y, groups_of=20, seed=seed) for seed in range(40)]
    shuffled = [gap_direction_cosine(x[order], y[order], groups_of=20, seed=seed) for seed in range(40)]
    assert len(set(drawn)) == 40
    assert np.mean(shuffled) == pytest.approx(np.mean(drawn), abs=5 * np.std(drawn) / np.sqrt(40))
    one = gap_direction_cosine(
        x[order], y[order], groups_of=1
    )  # where groups are rows, it matters not at all
    assert one == pytest.approx(gap_direction_cosine(x, y, groups_of=1))


def test_errors(pairs):
    x, y = pairs
    with pytest.raises(ValueError, match="at least 2 groups of 100 pairs, got 120 pairs"):
        gap_direction_cosine(x, y)
    with pytest.raises(ValueError, match=r"groups_of must be a whole number in \[1, inf\), got 0"):
        gap_direction_cosine(x, y, groups_of=0)
    with pytest.raises(ValueError, match="x has 120 rows, y has 119"):
        gap_direction_cosine(x, y[1:], groups_of=10)
    with pytest.raises(ValueError, match="y has 1 zero row, the first is row 3"):
        gap_direction_cosine(x, np.where(np.arange(120)[:, None] == 3, 0, y), groups_of=10)
