"""Mean distances between all rows of one modality: exact, blocked, in bounded memory."""

import threading
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
    mean = _mean(x)
    fits = n * dim * 4 <= _PREPARED_BYTES
    prepared = (
        [_prepare(x[rows], mean, _Room(rows.stop - rows.start, dim)) for rows in panels] if fits else None
    )
    kinds = 2 if potential else 1
    local = threading.local()

    def panel(i: int) -> np.ndarray:
        """Sums over the tiles (i, j) with j >= i, by row, from the panel's first row on: (kinds, rows)."""
        if not hasattr(local, "tiles"):  # kept for all of a thread's panels: freed ones would pile up
            local.tiles = np.empty((kinds, _BLOCK, _BLOCK), dtype=np.float32)
            local.own, local.other = _Room(_BLOCK, dim), _Room(_BLOCK, dim)
        first = panels[i].start
        own = prepared[i] if prepared else _prepare(x[panels[i]], mean, local.own)
        sums = np.zeros((kinds, n - first))
        for j in range(i, len(panels)):
            rows = slice(panels[j].start - first, panels[j].stop - first)
            if j == i:
                sums[:, rows] += _tile_sums(own, own, local.tiles, diagonal=True)[0]
                continue
            other = prepared[j] if prepared else _prepare(x[panels[j]], mean, local.other)
            by_row, by_column = _tile_sums(own, other, local.tiles, diagonal=False)
            sums[:, : by_row.shape[1]] += by_row
            sums[:, rows] += by_column
        return sums

    total = np.zeros((kinds, n))
    for rows, sums in zip(panels, in_threads(panel, range(len(panels))), strict=True):
        total[:, rows.start :] += sums
    means = total / (n - 1)
    return means if potential else means[0]


def _mean(x: Any) -> np.ndarray:
    """Mean of the unit rows: the origin that distances are taken about."""
    n, dim = x.shape
    mean = np.zeros(dim)
    for rows in blocks(n, dim, _BLOCK):
        block = np.asarray(x[rows], dtype=np.float64)
        mean += (1 / row_norms(block)) @ block / n
    return mean


class _Room:
    """Room for the rows of one panel: float64 as they are scaled, and both float32 factors."""

    def __init__(self, rows: int, dim: int):
        self.exact = np.empty((rows, dim))
        self.left, self.right = np.empty((2, rows, dim + 2), dtype=np.float32)


def _prepare(rows: Any, mean: np.ndarray, room: _Room) -> tuple[np.ndarray, np.ndarray]:
    """Return rows (m, dim) as factors (m, dim + 2) of a product that gives squared distances.

    Row ``a`` about the mean becomes ``[a, |a|^2, 1]`` on the left, ``[-2 a, 1, |a|^2]`` on the right.
    """
    m, dim = rows.shape
    exact, left, right = room.exact[:m], room.left[:m], room.right[:m]
    exact[:] = rows
    exact /= row_norms(exact)[:, None]
    exact -= mean
    left[:, :dim] = exact
    left[:, dim] = np.einsum("nd,nd->n", exact, exact)
    left[:, dim + 1] = 1
    np.multiply(left[:, :dim], -2, out=right[:, :dim])
    right[:, dim], right[:, dim + 1] = 1, left[:, dim]
    return left, right


def _tile_sums(
    own: tuple[np.ndarray, np.ndarray],
    other: tuple[np.ndarray, np.ndarray],
    tiles: np.ndarray,
    *,
    diagonal: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of distances (and potentials) of one tile over its columns (kinds, m), and over its rows."""
    left, right = own[0], other[1]
    room = tiles[:, : len(left), : len(right)]
    squared = np.matmul(left, right.T, out=room[0])
    np.maximum(squared, 0, out=squared)
    if diagonal:
        np.fill_diagonal(squared, 0)
    columns, rows = np.ones(len(right), dtype=np.float32), np.ones(len(left), dtype=np.float32)
    by_row, by_column = np.empty((len(tiles), len(left))), np.empty((len(tiles), len(right)))
    if len(tiles) == 2:
        value = np.multiply(squared, -2, out=room[1])
        np.exp(value, out=value)
        if diagonal:
            np.fill_diagonal(value, 0)
        by_row[1], by_column[1] = value @ columns, rows @ value
    value = np.sqrt(squared, out=squared)
    by_row[0], by_column[0] = value @ columns, rows @ value
    return by_row, by_column
