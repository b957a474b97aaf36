"""Rows mapped block by block into the array that is returned, without copies, on all processors."""

from collections.abc import Callable
from typing import Any

import numpy as np

from isthmus.checks import blocks, unit_rows
from isthmus.measure.threads import in_threads

_BLOCK_BYTES = 4 * 2**20  # in and out lie in the cache together, and products are large enough to be fast
_IN_THREADS = 4  # blocks from which on threads are worth starting
_SQUARES = {4: (1e-30, 1e30), 8: (1e-250, 1e250)}  # by bytes of a number: neither under- nor overflown

BlockMap = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


def map_blocks(rows: Any, out: np.ndarray, mapped: BlockMap, *, refuse: Callable[[], None]) -> None:
    """Fill `out` with mapped rows at unit length; a row at the origin stays there.

    Parameters
    ----------
    rows : array of shape (n, dim)
        Of any length; read block by block.
    out : ndarray of shape (n, dim_out)
        float32 or float64, in which everything is computed.
    mapped : callable
        Given rows (m, dim), what each is to be multiplied by (m, 1) to be of unit length, and
        an array (m, dim_out): writes into it the map of the unit rows, of any length.
    refuse : callable
        Called where a row may be zero or not finite, to raise an error that names it.

    Examples
    --------
    >>> out = np.empty((1, 2))
    >>> map_blocks(np.array([[0.0, 5.0]]), out, lambda rows, scale, to: np.add(rows * scale, 1, out=to),
    ...            refuse=lambda: None)
    >>> out.round(3)
    array([[0.447, 0.894]])
    """

    def work(block: slice) -> None:
        part = np.asarray(rows[block], dtype=out.dtype)
        square = _squares(part)
        if _moderate(square):
            mapped(part, _reciprocal(square), out[block])
        else:
            refuse()
            part = unit_rows(np.asarray(rows[block], dtype=np.float64)).astype(out.dtype)
            mapped(part, np.ones((len(part), 1), dtype=out.dtype), out[block])
        _to_unit_length(out[block])

    size = max(1, _BLOCK_BYTES // (out.dtype.itemsize * rows.shape[1]))
    parts = list(blocks(len(rows), rows.shape[1], size))
    if len(parts) < _IN_THREADS:
        for part in parts:
            work(part)
    else:
        for _ in in_threads(work, parts):
            pass


def _squares(rows: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.vecdot(rows, rows)


def _moderate(square: np.ndarray) -> bool:
    low, high = _SQUARES[square.dtype.itemsize]
    if len(square) == 1:  # a query: the two reductions would be a third of its time
        return bool(low < square[0] < high)
    return bool(square.min() > low and square.max() < high)  # false where one is NaN


def _reciprocal(square: np.ndarray) -> np.ndarray:
    return (1 / np.sqrt(square))[:, None]


def _to_unit_length(rows: np.ndarray) -> None:
    square = _squares(rows)
    if _moderate(square):
        rows *= _reciprocal(square)
    else:
        rows[:] = unit_rows(rows, rows.dtype)
