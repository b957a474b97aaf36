"""Mapping in place, block by block and in threads, against mapping all rows at once in float64."""

import numpy as np
import pytest

from isthmus.align import LinearMap, MeanCollapse, RegularizedCCA
from isthmus.align import blockwise as module
from isthmus.align.blockwise import map_blocks
from tests.measure.oracles import unit


def add_one(part, scale, to):
    np.add(part * scale, 1, out=to)


def never():
    raise AssertionError("no row is at fault")


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", 7 * 3 * 8)  # 7 rows of 3 in float64


@pytest.mark.parametrize("n", [1, 6, 7, 8, 27, 28, 29, 200])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_blocks_make_no_difference(small_blocks, n, dtype):
    rows = np.random.default_rng(0).normal(size=(n, 3))
    out = np.full((n, 3), np.nan, dtype=dtype)
    map_blocks(rows.astype(dtype), out, add_one, refuse=never)
    assert out == pytest.approx(unit(unit(rows) + 1), abs=1e-12 if dtype == np.float64 else 1e-6)


def test_threads_are_used_for_many_blocks_only(small_blocks, monkeypatch):
    asked = []
    monkeypatch.setattr(
        module, "in_threads", lambda work, parts: asked.append(len(parts)) or map(work, parts)
    )
    for n, expected in ((21, []), (28, [4])):
        map_blocks(np.ones((n, 3)), np.empty((n, 3)), add_one, refuse=never)
        assert asked == expected


@pytest.mark.parametrize(
    "dtype, size", [(np.float32, 1e30), (np.float32, 1e-38), (np.float32, 3e38), (np.float64, 1e300)]
)
@pytest.mark.parametrize("n", [1, 50])
def test_rows_whose_squares_do_not_fit_are_mapped_like_others(n, dtype, size):
    rows = unit(np.random.default_rng(0).normal(size=(n, 3)))
    scaled = rows.copy()
    scaled[n // 2] *= size
    out, asked = np.empty((n, 3), dtype=dtype), []
    map_blocks(scaled.astype(dtype), out, add_one, refuse=lambda: asked.append(1))
    assert out == pytest.approx(unit(rows + 1), abs=1e-6)
    assert asked == [1]


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("n", [1, 50])
def test_rows_without_a_direction_are_asked_about(small_blocks, n, bad):
    rows = np.ones((n, 3))
    rows[-1] = bad

    def refuse():
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        map_blocks(rows, np.empty((n, 3)), add_one, refuse=refuse)


def test_a_row_at_the_origin_stays_there():
    collapse = MeanCollapse().fit([[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]])
    assert collapse.transform([[7.0, 0.0], [0.0, 3.0]]) == pytest.approx(
        np.array([[0, 0], [-(0.5**0.5), 0.5**0.5]])
    )


def test_input_is_left_alone(pairs):
    x, y = pairs
    before = x.copy()
    LinearMap().fit(x, y).transform(x, y)
    assert (x == before).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_refitting_forgets_the_matrix_that_was_cast(pairs, dtype):
    x, y = (a.astype(dtype) for a in pairs)
    aligner = RegularizedCCA(components=3).fit(x, y)
    first = aligner.transform(x)
    aligner.set_params(components=5).fit(y, x)
    assert aligner.transform(x) == pytest.approx(
        RegularizedCCA(components=5).fit(y, x).transform(x), abs=1e-12
    )
    assert aligner.transform(x).shape != first.shape
    tolerance = 1e-2 if dtype == np.float16 else 1e-6
    offset = aligner.x_offset_ = np.ones(5)
    assert aligner.transform(x) == pytest.approx(
        unit(unit(pairs[0]) @ aligner.x_matrix_ + offset), abs=tolerance
    )
    aligner.x_matrix_ = np.eye(12)[:, :5]
    assert aligner.transform(x) == pytest.approx(unit(unit(pairs[0])[:, :5] + offset), abs=tolerance)


@pytest.mark.parametrize("n", [1, 5000])
def test_errors_are_those_of_scikit_learn_and_ours(n, pairs):
    fitted = LinearMap().fit(*pairs)
    rows = np.ones((n, 12))
    with pytest.raises(ValueError, match="X has 11 features, but LinearMap is expecting 12"):
        fitted.transform(rows[:, 1:])
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        fitted.transform(rows[0])
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        fitted.transform(rows[:0])
    rows[-1] = 0
    with pytest.raises(ValueError, match=f"Y has 1 zero row, the first is row {n - 1}"):
        fitted.transform_y(rows)
    rows[-1] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        fitted.transform(rows)
