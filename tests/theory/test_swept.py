import numpy as np
import pytest

from isthmus.theory.swept import check_swept, written


def test_numbers_keep_their_order():
    assert check_swept([0.5, 0.1, 2], "t", "(0, inf)").tolist() == [0.5, 0.1, 2.0]
    whole = check_swept((3, 0), "k", "[0, 4]", integer=True)
    assert whole.tolist() == [3, 0]
    assert whole.dtype == np.int64


def test_different_numbers_are_written_differently():
    rng = np.random.default_rng(0)
    near = np.unique(0.01 * (1 + rng.integers(0, 50, 100) * np.finfo(float).eps))
    assert len({written(value) for value in near}) == len(near) > 20
    assert all(float(written(value)) == value for value in [*near, 1e-300, -2.5, 1e6])
    assert [written(value) for value in (1.0, 0.07, 1e-6)] == ["1", "0.07", "1e-06"]


@pytest.mark.parametrize(
    "values, integer, message",
    [
        ((), False, r"t must hold at least one number in \[0, 4\], got none"),
        ((1, 5), False, r"t must be a number in \[0, 4\], got 5"),
        ((1.5,), True, r"t must be a whole number in \[0, 4\], got 1.5"),
        ((2, 1, 2.0), False, "t must be different numbers, got 2 more than once"),
    ],
)
def test_errors(values, integer, message):
    with pytest.raises(ValueError, match=message):
        check_swept(values, "t", "[0, 4]", integer=integer)
