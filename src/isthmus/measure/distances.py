"""Mean distances between all rows of one modality: exact, blocked, in bounded memory."""

from typing import Any

import numpy as np

from isthmus.checks import blocks, row_norms
from isthmus.measure.threads import in_threads

_BLOCK = 1024  # rows of one tile: 4 MiB of float32 distances, which stay in the cache
_PREPARED_BYTES = 64 * 2**20  # an input whose prepared copy fits in this is prepared once


def distances_within(x: Any, *, potential: bool = False) -> np.ndarray:
    r"""Mean distance of each unit row of `x` to every other row.

    Only one triangle of the matrix of distances is computed, tile by tile, by
    a float32 matrix product of rows about their mean: distances do not depend
    on the origin, and near it rounding is relative to the spread, not to the
    length, so that a narrow cone loses no digits.

    Parameters
    ----------
    x : array of shape (n, dim)
        Embeddings, n >= 2, already checked; scaled to unit length here.
    potential : bool, default=False
        Also return the mean Gaussian potential ``exp(-2 d^2)`` to every other
        row, which :func:`isthmus.measure.uniformity` is made of.

    Returns
    -------
    ndarray of float64, shape (n,) or (2, n)
        Mean Euclidean distances, in [0, 2]; then the mean potentials, in (0, 1].

    Examples
    --------
    >>> distances_within(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])).round(4)
    array([1.7071, 1.4142, 1.7071])
    """
    n, dim = x.shape
    panels = list(blocks(n, dim, _BLOCK))
    read = _reader(x)
    prepared = [read(rows) for rows in panels] if n * dim * 4 <= _PREPARED_BYTES else None
    kinds = 2 if potential else 1

    def panel(i: int) -> list[np.ndarray]:
        """Sums over tiles (i, j) with j >= i, by row, for every j."""
        own = prepared[i] if prepared else read(panels[i])
        tile = np.empty((_BLOCK, _BLOCK), dtype=np.float32)
        spare = np.empty_like(tile) if potential else tile
        sums = []
        for j in range(i, len(panels)):
            other = own if j == i else prepared[j] if prepared else read(panels[j])
            sums.append(_tile_sums(own, other, tile, spare, kinds, j == i))
        return sums

    total = np.zeros((kinds, n))
    for i, sums in enumerate(in_threads(panel, range(len(panels)))):
        for j, (by_row, by_column) in enumerate(sums, start=i):
            total[:, panels[i]] += by_row
            if j > i:
                total[:, panels[j]] += by_column
    means = total / (n - 1)
    return means if potential else means[0]


def _reader(x: Any):
    """Return a function from rows to their prepared copy (rows, dim + 2), and measure the mean for it.

    Row ``a`` about the mean becomes ``[a, |a|^2, 1]``; against ``[-2 b, 1, |b|^2]`` one product then
    gives squared distances.
    """
    n, dim = x.shape
    mean = np.zeros(dim)
    for rows in blocks(n, dim, _BLOCK):
        block = np.asarray(x[rows], dtype=np.float64)
        mean += (1 / row_norms(block)) @ block / n

    def read(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        block = np.array(x[rows], dtype=np.float64)
        block /= row_norms(block)[:, None]
        block -= mean
        left = np.empty((len(block), dim + 2), dtype=np.float32)
        left[:, :dim] = block
        left[:, dim] = np.einsum("nd,nd->n", block, block)
        left[:, dim + 1] = 1
        right = np.empty_like(left)
        np.multiply(left[:, :dim], -2, out=right[:, :dim])
        right[:, dim], right[:, dim + 1] = 1, left[:, dim]
        return left, right

    return read


def _tile_sums(own, other, tile, spare, kinds, diagonal):
    """Sums of distances (and potentials) of one tile over its columns and over its rows."""
    left, right = own[0], other[1]
    squared = np.matmul(left, right.T, out=tile[: len(left), : len(right)])
    np.maximum(squared, 0, out=squared)
    if diagonal:
        np.fill_diagonal(squared, 0)
    ones = np.ones(len(right), dtype=np.float32), np.ones(len(left), dtype=np.float32)
    by_row, by_column = np.empty((kinds, len(left))), np.empty((kinds, len(right)))
    if kinds == 2:
        value = np.multiply(squared, -2, out=spare[: len(left), : len(right)])
        np.exp(value, out=value)
        if diagonal:
            np.fill_diagonal(value, 0)
        by_row[1], by_column[1] = value @ ones[0], ones[1] @ value
    value = np.sqrt(squared, out=squared)
    by_row[0], by_column[0] = value @ ones[0], ones[1] @ value
    return by_row, by_column
