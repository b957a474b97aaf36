"""Which rows are the same thing: items, and the distinct rows of each."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from isthmus.checks import blocks, check_groups


@dataclass(frozen=True)
class Items:
    """The item of each pair, and where each modality's distinct rows stand.

    An image stored once per caption stands in several rows but is one thing to
    retrieve, and has no distance to itself: what compares rows within a
    modality, or searches them, looks at distinct rows only.
    """

    group: np.ndarray  # (n,) item of each pair, 0 .. count - 1
    x_rows: np.ndarray  # rows of x that are distinct within their item, ascending
    y_rows: np.ndarray  # the same for y

    @property
    def count(self) -> int:
        """How many items there are."""
        return int(self.group.max()) + 1

    def one_pair_of_each(self, rng: np.random.Generator) -> np.ndarray:
        """Return the rows (items,) of one pair of each item, drawn at random, ascending."""
        order = rng.permutation(len(self.group))
        return np.sort(order[np.unique(self.group[order], return_index=True)[1]])

    def take(self, rows: np.ndarray) -> "Items":
        """Return the items of a selection of whole groups, `rows` ascending."""
        position = np.full(len(self.group), -1)
        position[rows] = np.arange(len(rows))
        x_rows, y_rows = position[self.x_rows], position[self.y_rows]
        group = check_groups(self.group[rows], len(rows))
        return Items(group, x_rows[x_rows >= 0], y_rows[y_rows >= 0])


class Selected:
    """Some rows of an array, read only when they are indexed: `rows` of `array` (n, dim).

    Examples
    --------
    >>> Selected(np.array([[1.0], [2.0], [3.0]]), np.array([0, 2]))[1:]
    array([[3.]])
    """

    def __init__(self, array: Any, rows: np.ndarray):
        self.array, self.rows = array, rows
        self.shape, self.dtype = (len(rows), array.shape[1]), array.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        return self.array[self.rows[key]]


def find_items(x: Any, y: Any, groups: Any = None) -> Items:
    """Find the items of paired embeddings and the distinct rows of each.

    Parameters
    ----------
    x, y : array of shape (n, dim)
        Paired embeddings as they were read, before any aligner: an aligner
        that maps everything to one point must not make one item of it.
    groups : array-like of shape (n,), optional
        The item of each pair. By default, pairs that share a row, equal in
        every number, in `x` or in `y` are one item.

    Returns
    -------
    Items
        At least two.

    Raises
    ------
    ValueError
        `groups` has another length than `x`, or there are fewer than 2 items.

    Examples
    --------
    >>> image = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    >>> caption = [[0.6, 0.8], [0.8, 0.6], [0.0, 1.0]]
    >>> items = find_items(np.array(image), np.array(caption))
    >>> items.group, items.x_rows, items.y_rows
    (array([0, 0, 1]), array([0, 2]), array([0, 1, 2]))
    """
    n = len(x)
    x_same, y_same = (np.unique(row_hashes(rows), return_inverse=True)[1] for rows in (x, y))
    group = _linked(x_same, y_same) if groups is None else check_groups(groups, n)
    if group.max() < 1:
        cause = "repeat one another" if groups is None else "are in one group"
        raise ValueError(f"expected at least 2 items, got 1: all {n} pairs {cause}")
    return Items(group, _distinct(group, x_same), _distinct(group, y_same))


def row_hashes(x: Any) -> np.ndarray:
    """Return a 64-bit hash of the numbers of each row of `x`, of shape (n, dim).

    Equal rows have equal hashes; different ones do not, but for about n^2 / 2^65 of a chance.

    Examples
    --------
    >>> a, b, c = row_hashes(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]]))
    >>> bool(a == c), bool(a == b)
    (True, False)
    """
    n, dim = x.shape
    word = {2: np.uint16, 4: np.uint32, 8: np.uint64}[x.dtype.itemsize]
    words = np.random.default_rng(0).integers(2**63, size=dim, dtype=np.uint64) * 2 + 1
    out = np.empty(n, dtype=np.uint64)
    for rows in blocks(n, dim, 1024):
        bits = (np.ascontiguousarray(x[rows]) + x.dtype.type(0)).view(word)  # + 0 makes -0 a 0
        mixed = bits * words  # wraps around at 2^64
        out[rows] = (mixed ^ (mixed >> np.uint64(29))).sum(axis=1, dtype=np.uint64)
    return out


def _linked(x_same: np.ndarray, y_same: np.ndarray) -> np.ndarray:
    """Connected components of pairs that share a row of x or a row of y."""
    n_x, n_y = x_same.max() + 1, y_same.max() + 1
    edges = coo_array((np.ones(len(x_same), dtype=bool), (x_same, n_x + y_same)), shape=(n_x + n_y,) * 2)
    component = connected_components(edges, directed=False)[1]
    return check_groups(component[x_same], len(x_same))


def _distinct(group: np.ndarray, same: np.ndarray) -> np.ndarray:
    """First row of each (item, row content), ascending."""
    key = group * (same.max() + 1) + same
    return np.sort(np.unique(key, return_index=True)[1])
