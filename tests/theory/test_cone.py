import numpy as np
import pytest
from scipy.special import hyperu

from isthmus.theory.cone import cone, expected_cosine


@pytest.mark.parametrize(
    "dim, collapsed, constant", [(3, 1, 2.0), (10, 4, 0.5), (64, 32, 1.0), (512, 511, 0.1), (2, 1, 1e-3)]
)
def test_expectation_is_tricomis_function(dim, collapsed, constant):
    shared, free = collapsed * constant**2, dim - collapsed
    exact = shared / 2 * hyperu(0.5, (3 - free) / 2, shared / 2) ** 2
    assert expected_cosine(dim, collapsed, constant=constant) == pytest.approx(exact, rel=1e-9)


def test_expectation_by_brute_force():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 400_000, 4))
    first[:, :1] = second[:, :1] = 1.5
    cosine = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    assert expected_cosine(4, 1, constant=1.5) == pytest.approx(cosine.mean(), abs=4 * cosine.std() / 632)


def test_limits():
    assert expected_cosine(8, 0, constant=3.0) == 0
    assert expected_cosine(8, 5, constant=0.0) == 0
    assert expected_cosine(8, 8, constant=-0.1) == 1
    assert expected_cosine(8, 3, constant=1e6) == pytest.approx(1)
    # where norms hardly vary, their mean is all that counts
    assert expected_cosine(200_000, 50_000, constant=2.0) == pytest.approx(200 / 350, rel=1e-5)


def test_only_the_sum_of_squared_constants_counts():
    # 4 dimensions at 1 share what 1 dimension at 2 does, beside the same 6 free ones
    assert expected_cosine(10, 4, constant=1.0) == pytest.approx(expected_cosine(7, 1, constant=-2.0))


def test_simulation_is_as_expected():
    run = cone(dim=128, n=800, draws=4, seed=3)
    measured, predicted = run.curves["measured"], run.curves["predicted"]
    assert measured.shape == predicted.shape == (3, 12)
    assert measured == pytest.approx(predicted, abs=0.004)
    assert (np.diff(measured, axis=1) > 0).all()  # more ineffective dimensions, a narrower cone
    assert (np.diff(measured[:, 1:-1], axis=0) > 0).all()
    assert (measured[:, 0] == measured[0, 0]).all()  # without collapse the constant does not matter
    assert run["mean cosine, 64 of 128 dimensions at 1"].spread < 0.004


def test_picture_in_three_dimensions():
    run = cone(dim=8, collapsed=[2], n=10, seed=1)
    before, after = run.curves["before"], run.curves["after"]
    for points in (before, after):
        assert points.shape == (300, 3)
        assert np.linalg.norm(points, axis=1) == pytest.approx(1)
    assert before[:, 2].min() < -0.9
    assert (after[:, 2] > 0).all()
    # points keep their side: the z-axis alone is collapsed
    flat = [
        points[:, :2] / np.linalg.norm(points[:, :2], axis=1, keepdims=True) for points in (before, after)
    ]
    assert flat[0] == pytest.approx(flat[1])
    assert run["mean cosine in three dimensions"].measured == pytest.approx(0, abs=0.02)
    collapsed = run["mean cosine in three dimensions, z at 2"]
    assert collapsed.measured == pytest.approx(collapsed.predicted, abs=0.03)


@pytest.mark.parametrize("dim, counts", [(1, [0, 1]), (3, [0, 1, 2, 3]), (5, [0, 1, 2, 3, 4, 5])])
def test_few_dimensions_are_counted_once(dim, counts):
    run = cone(dim=dim, n=20, constants=(1.0, 1.0000001), draws=1)
    assert run.curves["collapsed"].tolist() == counts
    assert len({line.name for line in run.lines}) == len(run.lines) == 2 * len(counts) + 2


def test_seeds():
    small = {"dim": 8, "collapsed": (4,), "n": 20}
    first, again, other = (cone(seed=s, **small).to_dict() for s in (0, 0, 1))
    assert first == again
    assert first["curves"]["measured"] != other["curves"]["measured"]
    assert first["curves"]["predicted"] == other["curves"]["predicted"]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: cone(dim=0), r"dim must be a whole number in \[1, inf\), got 0"),
        (lambda: cone(dim=4, collapsed=(5,)), r"collapsed must be a whole number in \[0, 4\], got 5"),
        (lambda: cone(dim=4, collapsed=(1.5,)), r"collapsed must be a whole number in \[0, 4\], got 1.5"),
        (lambda: cone(dim=4, collapsed=()), r"collapsed must hold at least one number in \[0, 4\], got none"),
        (
            lambda: cone(constants=()),
            r"constants must hold at least one number in \(-inf, inf\), got none",
        ),
        (
            lambda: cone(constants=(1, 2, 1.0)),
            "constants must be different numbers, got 1 more than once",
        ),
        (
            lambda: cone(dim=4, collapsed=(2, 2)),
            "collapsed must be different numbers, got 2 more than once",
        ),
        (lambda: cone(constants=(np.nan,)), "constants must be a number"),
        (lambda: cone(n=1), r"n must be a whole number in \[2, inf\), got 1"),
        (lambda: cone(draws=0), "draws must be a whole number"),
        (
            lambda: cone(dim=4, constants=(0.0,)),
            "constants must not hold 0 where all 4 dimensions are collapsed",
        ),
        (
            lambda: expected_cosine(4, -1, constant=1.0),
            r"collapsed must be a whole number in \[0, 4\], got -1",
        ),
        (lambda: expected_cosine(4, 5, constant=1.0), r"collapsed must be a whole number in \[0, 4\], got 5"),
        (lambda: expected_cosine(4, 1, constant=np.inf), "constant must be a number"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
