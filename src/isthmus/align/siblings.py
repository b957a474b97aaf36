"""How far captions of one item are from each other: sizes of noise that need no image."""

from collections.abc import Callable
from typing import Any

import numpy as np

from isthmus.checks import check_groups


def sibling_distance(rows: np.ndarray, groups: Any) -> float:
    """Root mean square, per dimension, of the differences between rows (n, dim) of one item.

    Examples
    --------
    >>> round(sibling_distance(np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), ["a", "a", "b"]), 3)
    0.447
    """
    return float(np.sqrt(_over_siblings(rows, groups, lambda apart: (apart**2).mean(axis=1))))


def sibling_maximum(rows: np.ndarray, groups: Any) -> float:
    """Mean L-infinity norm of the differences between rows (n, dim) of one item: CapDec's rule.

    Examples
    --------
    >>> round(sibling_maximum(np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), ["a", "a", "b"]), 3)
    0.6
    """
    return _over_siblings(rows, groups, lambda apart: np.abs(apart).max(axis=1))


def _over_siblings(rows: np.ndarray, groups: Any, of: Callable[[np.ndarray], np.ndarray]) -> float:
    """Mean over pairs of rows of one item of what `of` says of differences (m, dim)."""
    item = check_groups(groups, len(rows))
    order = np.argsort(item, kind="stable")
    rows, item = rows[order], item[order]
    total, pairs = 0.0, 0
    for step in range(1, len(rows)):  # each caption beside the step-th after it
        first = np.flatnonzero(item[step:] == item[:-step])
        if not len(first):
            break
        for part in np.array_split(first, len(first) // 4096 + 1):
            total += float(of(rows[part + step] - rows[part]).sum(dtype=np.float64))
        pairs += len(first)
    if not pairs:
        raise ValueError(f"groups must give some item two rows or more, got {len(rows)} items, a row each")
    if not total:
        raise ValueError("rows of one item must differ somewhere, got only equal ones")
    return total / pairs
