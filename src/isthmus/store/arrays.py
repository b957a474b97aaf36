"""Rows that lie in several arrays, read as one."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np


class ShardedRows:
    """Rows of several arrays as one read-only array of shape (n, dim).

    Nothing is read until it is asked for, and then only the shards that hold
    the rows asked for.

    Parameters
    ----------
    shards : sequence of array of shape (n_i, dim)
        NumPy arrays, memory maps, or anything with ``shape``, ``dtype`` and
        row indexing. All have the same dim and dtype.
    names : sequence of str, optional
        What to call each shard in an error; by default its number.

    Attributes
    ----------
    shape : tuple of int
        (n, dim), n being the rows of all shards together.
    dtype : numpy.dtype
        The dtype of every shard.
    ndim : int
        2.

    Raises
    ------
    ValueError
        No shards, a shard that is not two-dimensional, or two shards of
        different dim or dtype.

    Examples
    --------
    >>> rows = ShardedRows([np.zeros((2, 3)), np.ones((4, 3))])
    >>> rows.shape
    (6, 3)
    >>> rows[[5, 0, 5]]
    array([[1., 1., 1.],
           [0., 0., 0.],
           [1., 1., 1.]])
    >>> rows[1:3]
    array([[0., 0., 0.],
           [1., 1., 1.]])
    """

    ndim = 2

    def __init__(self, shards: Sequence[Any], names: Sequence[str] | None = None) -> None:
        names = names or [f"shard {i}" for i in range(len(shards))]
        if not shards:
            raise ValueError("expected at least one shard, got none")
        first = shards[0]
        for shard, name in zip(shards, names, strict=True):
            if len(shard.shape) != 2:
                raise ValueError(f"{name} must have shape (n, dim), got {tuple(shard.shape)}")
            if (shard.shape[1], shard.dtype) != (first.shape[1], first.dtype):
                raise ValueError(
                    f"all shards must have one dim and dtype: {names[0]} has dim {first.shape[1]} and "
                    f"dtype {first.dtype}, {name} has dim {shard.shape[1]} and dtype {shard.dtype}"
                )
        self._shards = list(shards)
        self._starts = [0, *np.cumsum([shard.shape[0] for shard in shards]).tolist()]
        self.shape: tuple[int, int] = (self._starts[-1], int(first.shape[1]))
        self.dtype: np.dtype = np.dtype(first.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"ShardedRows(shape={self.shape}, dtype={self.dtype}, shards={len(self._shards)})"

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return one row (int), or a new array of rows (slice, integer array or boolean mask).

        Raises
        ------
        IndexError
            A row that is not there, a mask of another length, or another kind of key.
        """
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            return self._read(start, stop) if step == 1 else self._gather(np.arange(start, stop, step))
        if isinstance(key, tuple):
            raise IndexError("rows are indexed by one key; take columns from the rows it returns")
        rows = np.asarray(key)
        if rows.ndim == 0 and rows.dtype.kind in "iu":
            return self._gather(self._positions(rows[None]))[0]
        if rows.ndim != 1:
            raise IndexError(f"rows are indexed by an int, a slice or a 1-D array, got {key!r}")
        if rows.dtype.kind == "b":
            if len(rows) != len(self):
                raise IndexError(f"the boolean mask has {len(rows)} entries, there are {len(self)} rows")
            return self._gather(np.flatnonzero(rows))
        if rows.size == 0:  # [] is a float array to NumPy
            return np.empty((0, self.shape[1]), dtype=self.dtype)
        if rows.dtype.kind not in "iu":
            raise IndexError(f"row numbers must be integers, got dtype {rows.dtype}")
        return self._gather(self._positions(rows))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return every row as one array, in memory."""
        if copy is False:
            raise ValueError("ShardedRows lie in several arrays, one array of them is always a copy")
        return self._read(0, len(self), dtype=dtype)

    def _read(self, start: int, stop: int, *, dtype: Any = None) -> np.ndarray:
        out = np.empty((max(0, stop - start), self.shape[1]), dtype=dtype or self.dtype)
        row, shard = start, bisect_right(self._starts, start) - 1
        while row < stop:
            first, end = self._starts[shard], min(stop, self._starts[shard + 1])
            out[row - start : end - start] = self._shards[shard][row - first : end - first]
            row, shard = end, shard + 1
        return out

    def _positions(self, rows: np.ndarray) -> np.ndarray:
        n = len(self)
        outside = (rows >= n) | (rows < -n if rows.dtype.kind == "i" else False)
        if outside.any():
            raise IndexError(f"row {rows[outside.argmax()]} is out of bounds, there are {n} rows")
        rows = rows.astype(np.int64)
        return np.where(rows < 0, rows + n, rows)

    def _gather(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), self.shape[1]), dtype=self.dtype)
        order = np.argsort(rows, kind="stable")  # each shard is read once, in the order it lies on disk
        ascending = rows[order]
        bounds = np.searchsorted(ascending, self._starts)
        for shard, (a, b) in enumerate(pairwise(bounds)):
            if a < b:
                out[order[a:b]] = self._shards[shard][ascending[a:b] - self._starts[shard]]
        return out
