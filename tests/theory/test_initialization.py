import numpy as np
import pytest

from isthmus.checks import unit_rows
from isthmus.measure import l2m
from isthmus.theory.initialization import collapsed, expected_gaps, initialization

SHAPES = [(30, 512, (25, 230)), (40, 64, (10, 20)), (25, 128, (5, 100))]


def oracle(x, y, width):
    """The three distances, row by row."""
    x, y = ([row / np.sqrt(sum(v * v for v in row)) for row in z] for z in (x, y))
    apart = sum(x) / len(x) - sum(y) / len(y)
    pairs = [np.sqrt(sum((a - b)[width:] ** 2)) for a, b in zip(x, y, strict=True)]
    return np.sqrt(sum(apart**2)), np.sqrt(sum(apart[width:] ** 2)), sum(pairs) / len(pairs)


def test_each_modality_varies_in_its_own_dimensions():
    x, y = collapsed(4000, dim=12, effective=(2, 3))
    assert np.flatnonzero(x.std(axis=0) > 1e-9).tolist() == [0, 1]
    assert np.flatnonzero(y.std(axis=0) > 1e-9).tolist() == [2, 3, 4]
    np.testing.assert_allclose(x[:, :2].std(axis=0), 1, atol=0.05)
    assert not np.isclose(x[0, 5:], y[0, 5:]).any()
    assert (collapsed(9, seed=3)[1] == collapsed(9, seed=3)[1]).all()


@pytest.mark.parametrize("n, dim, effective", SHAPES)
def test_expectation_and_spread_are_those_of_many_draws(n, dim, effective):
    width, draws = sum(effective), []
    for seed in range(600):
        x, y = (unit_rows(z) for z in collapsed(n, dim=dim, effective=effective, seed=seed))
        apart = x.mean(axis=0) - y.mean(axis=0)
        pairs = np.linalg.norm((x - y)[:, width:], axis=1).mean()
        draws.append((np.linalg.norm(apart), np.linalg.norm(apart[width:]), pairs))
    found = np.array(draws)
    for values, (mean, spread) in zip(
        found.T, expected_gaps(n, dim=dim, effective=effective).values(), strict=True
    ):
        assert abs(values.mean() - mean) < 4 * spread / np.sqrt(len(values))
        assert values.std() == pytest.approx(spread, rel=0.12)  # 4 standard errors of a deviation


def test_small_terms_of_the_expectation_are_right():
    """Of many dimensions and two rows: sampling and lengths show, the constants' luck does not."""
    n, dim, effective = 2, 4000, (1000, 1999)
    draws = [
        initialization(n=n, dim=dim, effective=effective, seeds=2, seed=s)["gap"] for s in range(0, 8, 2)
    ]
    mean, spread = expected_gaps(n, dim=dim, effective=effective)["gap"]
    assert np.mean([line.measured for line in draws]) == pytest.approx(mean, abs=4 * spread / np.sqrt(8))
    assert mean > np.sqrt((2 * dim - 2999) / dim) + 10 * spread  # what it would be without sampling


def test_measures_are_those_of_the_oracle():
    run = initialization(n=30, dim=20, effective=(3, 6), seeds=3, seed=5)
    found = [oracle(*collapsed(30, dim=20, effective=(3, 6), seed=seed), 9) for seed in (5, 6, 7)]
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    for k, name in enumerate(("gap", "ineffective gap", "ineffective pair distance")):
        assert run[name].measured == pytest.approx(mean[k], abs=1e-12)
        assert run[name].spread == pytest.approx(spread[k], abs=1e-12)
    assert run.curves["gap"][0] == pytest.approx(l2m(*collapsed(30, dim=20, effective=(3, 6), seed=5)))
    np.testing.assert_allclose(run.curves["ineffective_gap"], [f[1] for f in found])
    assert run.curves["variance_x"].shape == (20,)


def test_printed_figures_lie_within_the_spread():
    run = initialization(seeds=2)
    shown = [line for line in run.lines if line.paper is not None]
    assert [line.paper for line in shown] == [1.21, 0.99, 0.99, 1.2478, 1.0228]
    for points, lines in ((1000, shown[:3]), (500, shown[3:])):
        for line, (mean, spread) in zip(lines, expected_gaps(points).values(), strict=False):
            assert line.predicted == mean
            assert abs(line.paper - mean) < 1.5 * spread
    assert run.curves["variance_x"][:25].min() > 20 * run.curves["variance_x"][255:].max()


def test_nothing_is_printed_of_other_shapes():
    run = initialization(n=500, seeds=2)
    assert len(run.lines) == 3
    assert run["gap"].paper == 1.2478
    assert all(
        line.paper is None for line in initialization(n=1000, dim=100, effective=(5, 9), seeds=2).lines
    )


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: collapsed(1), r"n must be a whole number in \[2, inf\), got 1"),
        (lambda: initialization(seeds=1), "seeds must be a whole number"),
        (lambda: initialization(dim=255), r"sum below dim 255, got \(25, 230\)"),
        (lambda: expected_gaps(9, effective=(0, 3)), r"effective must be two whole numbers >= 1"),
        (lambda: expected_gaps(9, effective=(1, 2, 3)), r"got \(1, 2, 3\)"),
        (lambda: expected_gaps(9, dim=2), r"dim must be a whole number in \[3, inf\), got 2"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
