"""Nearest rows, against all of them sorted."""

import numpy as np
import pytest

from isthmus import checks
from isthmus.checks import unit_rows
from isthmus.evaluate.arithmetic.nearest import nearest

RNG = np.random.default_rng(0)
ROWS, POINT = RNG.normal(size=(50, 5)), RNG.normal(size=5)


def test_sorted_cosines(monkeypatch):
    monkeypatch.setattr(checks, "BLOCK_BYTES", 4 * 5 * 7)  # blocks of 7 rows
    cosines = unit_rows(ROWS) @ POINT / np.linalg.norm(POINT)
    at, found = nearest(POINT, ROWS, top=8, excluded=[int(cosines.argmax())])
    expected = np.argsort(-cosines)[1:9]
    assert at.tolist() == expected.tolist()
    np.testing.assert_allclose(found, cosines[expected])


def test_length_and_rotation_do_not_matter():
    turn = np.linalg.qr(RNG.normal(size=(5, 5)))[0]
    a, b = nearest(POINT, ROWS, top=50), nearest(3 * POINT @ turn, ROWS @ turn * 7, top=50)
    assert a[0].tolist() == b[0].tolist()
    np.testing.assert_allclose(a[1], b[1])


def test_mapping_comes_first():
    at, _ = nearest(np.array([1.0, 0.0]), ROWS, top=1, mapping=lambda rows: rows[:, :2] * [1, -1])
    assert at[0] == unit_rows(ROWS[:, :2])[:, 0].argmax()


def test_of_rows_equally_near_the_first_comes_first():
    rows = np.tile([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], (100, 1))
    at, _ = nearest(np.array([1.0, 0.0]), rows, top=250)
    assert at.tolist() == [*range(0, 300, 3), *range(2, 300, 3), *range(1, 150, 3)]


def test_rounding_makes_no_cosine_above_one():
    rows = np.random.default_rng(1).normal(size=(200, 5))
    assert max(row @ row for row in unit_rows(rows)) > 1
    assert max(nearest(row, rows, top=1)[1][0] for row in rows) == 1


def test_limits_and_errors():
    at, cosines = nearest(ROWS[3], ROWS, top=99, excluded=[0, 0, 1])
    assert (len(at), at[0], cosines[0]) == (48, 3, 1.0)
    assert len(nearest(POINT, np.ones((1, 5)), top=3, excluded=[0])[0]) == 0
    with pytest.raises(ValueError, match=r"top must be a whole number in \[1, inf\), got 0"):
        nearest(POINT, ROWS, top=0)
    with pytest.raises(ValueError, match="point must have the rows' dim 5, got dim 4"):
        nearest(POINT[:4], ROWS, top=1)
