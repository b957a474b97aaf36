"""Random groups of pairs: the gap of each, and how their rows and residuals lie to it and to each other."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.checks import blocks, unit_rows
from isthmus.measure.geometry_distribution import Tally
from isthmus.measure.threads import in_threads

MAX_GROUPS = 2_000  # of more, these many are drawn
MAX_COMPARED = 20_000_000  # pairs of rows within groups; beyond, fewer groups are looked into
_PART = 20  # groups that one thread takes before what it counted is merged


def _cosines() -> Tally:
    return Tally(-1, 1)


@dataclass
class GroupFigures:
    """What was counted over groups."""

    lengths: Tally = field(default_factory=lambda: Tally(0, 2))
    directions: Tally = field(default_factory=_cosines)  # of all pairs of groups
    orthogonality_x: Tally = field(default_factory=_cosines)  # of a group's gap, and all pairs of its rows
    orthogonality_y: Tally = field(default_factory=_cosines)
    residual_cosines: Tally = field(default_factory=_cosines)  # of all pairs of a group
    residual_sum: Any = 0.0  # (dim,) of all residuals
    gaps: list[np.ndarray] = field(default_factory=list)  # (dim,) unit vectors, zero for no gap

    def merge(self, other: "GroupFigures") -> None:
        """Add what was counted over other groups."""
        for name in ("lengths", "orthogonality_x", "orthogonality_y", "residual_cosines"):
            getattr(self, name).merge(getattr(other, name))
        self.residual_sum = self.residual_sum + other.residual_sum
        self.gaps += other.gaps


def compared_groups(groups: int, groups_of: int) -> int:
    """Return how many groups are looked into, pair of rows by pair of rows: at least 2.

    Examples
    --------
    >>> compared_groups(2000, 100), compared_groups(2000, 2000)
    (2000, 10)
    """
    return min(groups, max(2, MAX_COMPARED // (groups_of * (groups_of - 1) // 2)))


def group_figures(x: Any, y: Any, order: np.ndarray, advance: Callable[[int], None]) -> GroupFigures:
    """Go through groups of pairs.

    Parameters
    ----------
    x, y : array of shape (n, dim)
        Paired embeddings, already checked; rows are scaled to unit length here.
    order : ndarray of int, shape (groups, groups_of)
        Rows of each group, in random order.
    advance : callable
        Told of how many more rows have been read.

    Returns
    -------
    GroupFigures
        Of all groups.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(40, 3)) + 9
    >>> found = group_figures(x, -x, np.arange(40).reshape(4, 10), lambda rows: None)
    >>> found.lengths.count, found.directions.count, found.orthogonality_x.count
    (4, 6, 180)
    """
    compared = compared_groups(*order.shape)
    upper = np.triu_indices(order.shape[1], 1)

    def part(groups: slice) -> GroupFigures:
        found = GroupFigures()
        for i in range(groups.start, groups.stop):
            a, b = unit_rows(x[order[i]]), unit_rows(y[order[i]])
            _add_group(found, a, b, upper if i < compared else None)
        return found

    found = GroupFigures()
    for other in in_threads(part, blocks(len(order), 1, _PART)):
        found.merge(other)
        advance(len(other.gaps) * order.shape[1])
    gaps = np.array(found.gaps)
    found.directions.add((gaps @ gaps.T)[np.triu_indices(len(gaps), 1)])
    return found


def _add_group(found: GroupFigures, x: np.ndarray, y: np.ndarray, upper: Any) -> None:
    """Add one group of unit rows (groups_of, dim) each; `upper` are the pairs of rows to compare, if any."""
    difference = x - y
    gap = difference.mean(axis=0)
    residual = difference - gap
    length = float(np.linalg.norm(gap))
    direction = gap / length if length else gap  # no gap is at right angles to everything
    found.lengths.add(np.array([length]))
    found.gaps.append(direction)
    found.residual_sum = found.residual_sum + residual.sum(axis=0)
    if upper is None:
        return
    found.orthogonality_x.add(_cosines_with(direction, x, upper))
    found.orthogonality_y.add(_cosines_with(direction, y, upper))
    norm = np.linalg.norm(residual, axis=1)
    unit = np.divide(residual, norm[:, None], out=np.zeros_like(residual), where=norm[:, None] > 1e-9)
    real = (norm > 1e-9)[upper[0]] & (norm > 1e-9)[upper[1]]
    found.residual_cosines.add((unit @ unit.T)[upper][real])


def _cosines_with(direction: np.ndarray, rows: np.ndarray, upper: Any) -> np.ndarray:
    """Cosines of a unit `direction` with the differences of pairs of `rows`; equal rows have none."""
    about = rows - rows.mean(axis=0)  # near the origin, the Gram matrix loses no digits to what rows share
    square = np.einsum("nd,nd->n", about, about)
    first, second = upper
    apart = square[first] + square[second] - 2 * (about @ about.T)[upper]  # squared distances
    along = about @ direction
    real = apart > 1e-12
    return (along[first] - along[second])[real] / np.sqrt(apart[real])
