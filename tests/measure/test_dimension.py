import numpy as np
import pytest

from isthmus.measure import effective_dimension, measure
from tests.measure.oracles import unit


@pytest.mark.parametrize("n, dim, share", [(300, 20, 0.99), (300, 20, 0.5), (10, 30, 0.9), (2, 5, 0.99)])
def test_agrees_with_definition(n, dim, share):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, dim)) * np.linspace(3, 0.1, dim) + 1
    values = np.linalg.svd(np.cov(unit(x), rowvar=False), compute_uv=False)
    held, k = 0.0, 0
    while held < share * values.sum() * (1 - 1e-12):
        held += values[k]
        k += 1
    assert effective_dimension(x, share) == k


def test_does_not_change_under_scaling_rotation_and_order():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 12)) * np.linspace(3, 0.1, 12)
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    value = effective_dimension(x)
    assert effective_dimension((x @ rotation)[::-1] * rng.uniform(1, 5, size=(200, 1))) == value


def test_limits():
    rng = np.random.default_rng(0)
    assert effective_dimension(rng.normal(size=(5000, 16)), 1.0) == 16
    assert effective_dimension(np.eye(2)) == 1
    assert effective_dimension(rng.normal(size=(5, 100)), 1.0) == 4  # n - 1


def test_published_value_of_an_untrained_clip(realdata):
    x, y = np.load(realdata / "liang2022" / "features_clip_random.npy")
    assert (effective_dimension(x), effective_dimension(y)) == (25, 230)
    gap = measure(x, y)
    assert (gap.effective_dimension_x, gap.effective_dimension_y) == (25, 230)


@pytest.mark.parametrize(
    "x, share, message",
    [
        (np.eye(3)[:1], 0.99, "at least 2 rows, got 1"),
        (np.eye(3), 0, r"share must be in \(0, 1\], got 0"),
        (np.ones((3, 3)), 0.99, "undefined: all rows are one direction"),
        ([[1.0, np.inf]], 0.99, "1 NaN or infinite row"),
    ],
)
def test_errors(x, share, message):
    with pytest.raises(ValueError, match=message):
        effective_dimension(x, share)
