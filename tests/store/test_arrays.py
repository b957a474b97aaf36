from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.store import ShardedRows

SHARDS = st.lists(st.integers(0, 5), min_size=1, max_size=6)


def shards_of(sizes):
    starts = np.cumsum([0, *sizes])
    return [np.arange(a * 3, b * 3, dtype=np.float32).reshape(-1, 3) for a, b in pairwise(starts)]


@given(sizes=SHARDS, data=st.data())
def test_reads_as_the_concatenation_does(sizes, data):
    shards = shards_of(sizes)
    rows, whole = ShardedRows(shards), np.concatenate(shards)
    n = len(whole)
    assert (rows.shape, rows.dtype, rows.ndim, len(rows)) == (whole.shape, whole.dtype, 2, n)
    keys = [
        data.draw(st.slices(n)),
        slice(data.draw(st.integers(-9, 40)), data.draw(st.integers(-9, 40))),
        np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool),
    ]
    if n:
        numbers = st.integers(-n, n - 1)
        keys += [data.draw(numbers), np.int32(data.draw(numbers)), data.draw(st.lists(numbers))]
        keys += [np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1)), dtype=np.uint8)]
    for key in keys:
        expected = whole[np.array(key, dtype=int) if isinstance(key, list) else key]  # [] is a float array
        assert isinstance(rows[key], np.ndarray)
        assert rows[key].shape == expected.shape
        assert rows[key].dtype == whole.dtype
        assert np.array_equal(rows[key], expected)


@given(sizes=SHARDS)
def test_becomes_an_array_of_any_dtype(sizes):
    shards = shards_of(sizes)
    rows, whole = ShardedRows(shards), np.concatenate(shards)
    assert np.array_equal(np.asarray(rows), whole)
    assert np.asarray(rows).dtype == np.float32
    assert rows.__array__(np.dtype(np.float64)).dtype == np.float64
    assert np.array_equal(np.array(rows, dtype=np.int64), whole.astype(np.int64))
    assert np.array_equal(list(rows), list(whole))
    with pytest.raises(ValueError, match="always a copy"):
        np.asarray(rows, copy=False)


def test_reads_only_the_shards_asked_for():
    class Unreadable:
        shape, dtype = (4, 3), np.dtype(np.float32)

        def __getitem__(self, key):
            raise AssertionError("read")

    rows = ShardedRows([Unreadable(), np.ones((2, 3), np.float32), Unreadable()])
    assert np.array_equal(rows[4:6], np.ones((2, 3)))
    assert np.array_equal(rows[[5, 4, 4]], np.ones((3, 3)))
    assert np.array_equal(rows[-5], np.ones(3))
    with pytest.raises(AssertionError, match="read"):
        rows[3:5]


def test_rows_cannot_be_changed():
    source = np.zeros((2, 3))
    rows = ShardedRows([source])
    rows[0:2][:] = 1
    assert not source.any()
    with pytest.raises(TypeError):
        rows[0] = 1


@pytest.mark.parametrize(
    "key, message",
    [
        (6, "row 6 is out of bounds, there are 6 rows"),
        (-7, "row -7 is out of bounds"),
        ([0, 9, 12], "row 9 is out of bounds"),
        (np.array([7], dtype=np.uint64), "row 7 is out of bounds"),
        ([True, False], "mask has 2 entries, there are 6 rows"),
        ([0.5], "integers, got dtype float64"),
        ([[0]], "1-D array"),
        ("a", "an int, a slice or a 1-D array, got 'a'"),
        ((0, 1), "one key"),
    ],
)
def test_bad_keys(key, message):
    with pytest.raises(IndexError, match=message):
        ShardedRows(shards_of([2, 4]))[key]


@pytest.mark.parametrize(
    "other, message",
    [
        (np.ones((2, 4)), "a.npy has dim 3 and dtype float64, b.npy has dim 4 and dtype float64"),
        (np.ones((2, 3), np.float32), "a.npy has dim 3 and dtype float64, b.npy has dim 3 and dtype float32"),
        (np.ones(3), r"b.npy must have shape \(n, dim\), got \(3,\)"),
    ],
)
def test_unlike_shards(other, message):
    with pytest.raises(ValueError, match=message):
        ShardedRows([np.ones((2, 3)), other], ["a.npy", "b.npy"])


def test_no_shards():
    with pytest.raises(ValueError, match="at least one shard"):
        ShardedRows([])
