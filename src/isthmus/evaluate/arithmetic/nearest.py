"""What is nearest to a point, among rows that may be on disk."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from isthmus.checks import blocks, check_number, unit_rows


def nearest(
    point: np.ndarray,
    rows: Any,
    *,
    top: int,
    excluded: Collection[int] = (),
    mapping: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows with the largest cosine to a point.

    Parameters
    ----------
    point : ndarray of shape (dim_out,)
        Of any length but 0.
    rows : array of shape (n, dim)
        Read block by block.
    top : int
        How many, at most.
    excluded : collection of int
        Numbers of rows that are left out.
    mapping : callable, optional
        What every block goes through first, (m, dim) to (m, dim_out), such as an aligner's `transform`.

    Returns
    -------
    positions : ndarray of int, shape (k,)
        Numbers of rows, the nearest first; of rows equally near, the one that comes first.
    cosines : ndarray of float64, shape (k,)
        In [-1, 1].

    Raises
    ------
    ValueError
        `top` is no whole number above 0, or the point has another width than the rows.

    Examples
    --------
    >>> nearest(np.array([1.0, 0.1]), np.eye(2), top=5, excluded=[0])
    (array([1]), array([0.09950372]))
    """
    check_number(top, "top", "[1, inf)", integer=True)
    unit = unit_rows(point[None])[0]
    cosines = np.empty(len(rows))
    for block in blocks(len(rows), rows.shape[1]):
        part = rows[block]
        part = unit_rows(part if mapping is None else mapping(part))
        if part.shape[1] != len(unit):
            raise ValueError(f"point must have the rows' dim {part.shape[1]}, got dim {len(unit)}")
        cosines[block] = part @ unit
    cosines[list(excluded)] = -np.inf
    order = np.argsort(-cosines, kind="stable")[: min(top, len(rows) - len(set(excluded)))]
    return order, np.clip(cosines[order], -1, 1)
