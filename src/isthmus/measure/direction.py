"""Whether the gap points the same way everywhere."""

from typing import Any

import numpy as np

from isthmus.checks import check_number, check_pairs, unit_rows


def gap_direction_cosine(x: Any, y: Any, *, groups_of: int = 100, seed: int = 0) -> float:
    """Mean cosine between the gaps of random groups of pairs.

    Every row counts: where an image stands in several rows, groups share it.
    :func:`isthmus.measure.geometry` knows items, and takes one pair of each.

    Parameters
    ----------
    x, y : array-like of shape (n, dim)
        Embeddings of two modalities; row ``i`` of both embeds the same item.
    groups_of : int, default=100
        Pairs per group; those left over are not used.
    seed : int, default=0
        Of the grouping.

    Returns
    -------
    float
        In [-1, 1]: 1 if every group's difference of means points the same way.
        A group without any difference counts as a right angle to the others.

    Raises
    ------
    ValueError
        The pairs are bad, or make fewer than two groups.

    References
    ----------
    .. [1] Zhang, Sui and Yeung-Levy, "Connect, Collapse, Corrupt", ICLR 2024,
       Table 1. The released code compares each group with the next alone; here
       all pairs of groups are compared.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(400, 8))
    >>> round(gap_direction_cosine(x + 2, x - 2), 2)
    1.0
    """
    check_number(groups_of, "groups_of", "[1, inf)", integer=True)
    x, y = check_pairs(x, y)
    count = len(x) // groups_of
    if count < 2:
        raise ValueError(f"expected at least 2 groups of {groups_of} pairs, got {len(x)} pairs")
    order = np.random.default_rng(seed).permutation(len(x))[: count * groups_of].reshape(count, groups_of)
    gaps = unit_rows([unit_rows(x[rows]).mean(0) - unit_rows(y[rows]).mean(0) for rows in order])
    total = np.sum(gaps, axis=0)
    return float((total @ total - np.sum(gaps**2)) / (count * (count - 1)))  # the mean over all pairs
