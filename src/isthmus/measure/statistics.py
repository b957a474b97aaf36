"""Sums over pairs, in one pass and in any order: every gap figure that needs no pairwise distance."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from isthmus.checks import blocks, check_matrix, check_rows, row_norms
from isthmus.measure.threads import in_threads

_BLOCK_ROWS = 1024  # 4 MiB of float64 at 512 dimensions: stays in the cache between its four passes
_PART_ROWS = 16384  # rows that one thread sums before its sums are merged


class GapStatistics:
    """Accumulate paired embeddings, shard by shard, and give the gap's figures at the end.

    Rows are scaled to unit length as they are read and summed in float64, so
    the figures do not depend on how the pairs are cut into shards or on their
    order (to 1e-9). One pass, O(dim) memory, or O(dim^2) with `covariance`;
    the products of covariances are taken in float32 if that is what the rows
    hold, about the mean of each block, and summed in float64.

    Parameters
    ----------
    covariance : bool, default=False
        Also accumulate the covariances of both modalities and across them.

    Attributes
    ----------
    pairs : int
        How many pairs were seen.

    References
    ----------
    .. [1] Chan, Golub and LeVeque, "Algorithms for Computing the Sample
       Variance", 1983: the update of covariances of merged samples.

    Examples
    --------
    >>> first = GapStatistics().update([[1.0, 0.0]], [[0.0, 1.0]])
    >>> second = GapStatistics().update([[0.0, 2.0]], [[0.0, 3.0]])
    >>> first.merge(second).alignment
    0.5
    """

    def __init__(self, covariance: bool = False):
        self.covariance = covariance
        self.pairs = 0
        self._cosines = 0.0
        self._sum: np.ndarray | None = None  # (2, dim): sums of unit rows
        self._scatter: np.ndarray | None = None  # (3, dim, dim): xx, yy, xy about the means

    def update(self, x: Any, y: Any) -> Self:
        """Add pairs of shape (n, dim) each, n >= 1, and return the accumulator.

        Raises
        ------
        ValueError
            Shapes differ from each other or from earlier pairs, or a row is zero or not finite.
            The accumulator is then as it was before.
        """
        x, y = check_matrix(x, "x"), check_matrix(y, "y")
        if x.shape != y.shape:
            raise ValueError(f"x and y must have one shape, got {tuple(x.shape)} and {tuple(y.shape)}")
        if self._sum is not None and x.shape[1] != self._sum.shape[1]:
            raise ValueError(f"expected dim {self._sum.shape[1]} as before, got dim {x.shape[1]}")

        single = max(x.dtype.itemsize, y.dtype.itemsize) <= 4
        products = (np.float32 if single else np.float64) if self.covariance else None

        def part(rows: slice) -> GapStatistics:
            new = GapStatistics(self.covariance)
            for a, b in unit_blocks(x, y, rows):
                new._merge(_of_block(a, b, products=products))
            return new

        new = GapStatistics(self.covariance)
        for statistics in in_threads(part, blocks(len(x), x.shape[1], _PART_ROWS)):
            new._merge(statistics)
        return self._merge(new)

    def merge(self, other: "GapStatistics") -> Self:
        """Add what another accumulator has seen, and return this one.

        Raises
        ------
        ValueError
            Their dims differ, or one accumulates covariances and the other does not.
        """
        if other.covariance != self.covariance:
            raise ValueError("cannot merge statistics with and without covariance")
        if self._sum is not None and other._sum is not None and self._sum.shape != other._sum.shape:
            raise ValueError(f"expected dim {self._sum.shape[1]}, got dim {other._sum.shape[1]}")
        return self._merge(other)

    def _merge(self, other: "GapStatistics") -> Self:
        if other._sum is None:
            return self
        if self._sum is None:
            self._sum = np.zeros_like(other._sum)
            self._scatter = None if other._scatter is None else np.zeros_like(other._scatter)
        if self._scatter is not None and other._scatter is not None:
            self._scatter += other._scatter
            if self.pairs:
                shift = other._sum / other.pairs - self._sum / self.pairs  # (2, dim)
                weight = self.pairs * other.pairs / (self.pairs + other.pairs)
                for k, (i, j) in enumerate(((0, 0), (1, 1), (0, 1))):
                    self._scatter[k] += weight * np.outer(shift[i], shift[j])
        self._sum += other._sum
        self._cosines += other._cosines
        self.pairs += other.pairs
        return self

    @property
    def means(self) -> np.ndarray:
        """Means of the unit rows of both modalities, shape (2, dim)."""
        if self._sum is None:
            raise ValueError("no pairs seen yet: call update(x, y) first")
        return self._sum / self.pairs

    @property
    def covariances(self) -> np.ndarray:
        """Covariances of unit rows, shape (3, dim, dim): of x, of y, and of x with y; divisor n."""
        if self._scatter is None:
            raise ValueError("no covariances here: use GapStatistics(covariance=True) and update(x, y)")
        return self._scatter / self.pairs

    @property
    def alignment(self) -> float:
        """Mean cosine of pairs, in [-1, 1]."""
        self._require(1)
        return self._cosines / self.pairs

    @property
    def l2m(self) -> float:
        """Distance between the means of the unit rows, in [0, 2]."""
        x, y = self.means
        return float(np.linalg.norm(x - y))

    @property
    def cone(self) -> tuple[float, float]:
        """Mean cosine of two different rows of x, and of y, in [-1, 1]."""
        n = self._require(2)
        total = ((self.means * n) ** 2).sum(axis=1)  # |sum of unit rows|^2 holds n ones
        x, y = (total - n) / (n * (n - 1.0))
        return float(x), float(y)

    @property
    def rmg_cosine(self) -> float:
        """Relative modality gap on cosine distance, in [0, 1]."""
        pair, within = cosine_distance(self.alignment), cosine_distance(sum(self.cone) / 2)
        return relative_gap(pair, within)

    def gap_share(self, k: int) -> float:
        """Share of the squared mean difference held by its `k` largest dimensions, in [0, 1]."""
        x, y = self.means
        square = np.sort((x - y) ** 2)[::-1]
        return float(square[:k].sum() / square.sum()) if square.any() else 0.0

    def _require(self, pairs: int) -> int:
        if self.pairs < pairs:
            raise ValueError(f"expected at least {pairs} pairs, got {self.pairs}")
        return self.pairs


def unit_blocks(x: Any, y: Any, within: slice = slice(None)) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks of `x` and `y`, of shape (n, dim), as float64 unit rows; raise at a bad row."""
    yield from zip(unit_parts(x, "x", within), unit_parts(y, "y", within), strict=True)


def unit_parts(x: Any, name: str, within: slice = slice(None)) -> Iterator[np.ndarray]:
    """Yield blocks of one modality as float64 unit rows; raise at a bad row, calling it `name`."""
    first, last, _ = within.indices(len(x))
    for start in range(first, last, _BLOCK_ROWS):
        part = np.array(x[start : min(start + _BLOCK_ROWS, last)], dtype=np.float64)
        norm = row_norms(part)
        if not np.all(np.isfinite(norm) & (norm > 0)):
            check_rows(x, name)
        part /= norm[:, None]
        yield part


def moments(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean (dim,) and covariance (dim, dim; divisor n) of the unit rows of one modality, in one pass."""

    def part(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        total, scatter = np.zeros(x.shape[1]), np.zeros((x.shape[1],) * 2)
        for unit in unit_parts(x, "x", rows):
            total += unit.sum(axis=0)
            scatter += unit.T @ unit
        return total, scatter

    total, scatter = np.zeros(x.shape[1]), np.zeros((x.shape[1],) * 2)
    for more, products in in_threads(part, blocks(len(x), x.shape[1], _PART_ROWS)):
        total += more
        scatter += products
    mean = total / len(x)
    return mean, scatter / len(x) - np.outer(mean, mean)


def cosine_distance(cosine: Any) -> Any:
    """Return (1 - cosine) / 2, in [0, 1]; rounding can push a cosine above 1."""
    return np.maximum(0.0, (1 - cosine) / 2)


def relative_gap(pair: Any, within: Any) -> Any:
    """Return pair / (pair + within), the form that every variant of RMG has.

    Raises
    ------
    ValueError
        Both distances are 0: every row of both modalities is one direction.
    """
    total = pair + within
    if np.any(total < 1e-12):
        raise ValueError("the relative gap is undefined: x and y are one repeated direction")
    ratio = pair / total
    return ratio if np.ndim(ratio) else float(ratio)


def _of_block(x: np.ndarray, y: np.ndarray, *, products: Any) -> GapStatistics:
    """Statistics of float64 unit rows; `products` is the precision of covariances, None for none."""
    block = GapStatistics(products is not None)
    block.pairs = len(x)
    block._cosines = float(np.einsum("nd,nd->", x, y))
    ones = np.ones(len(x))
    block._sum = np.stack([ones @ x, ones @ y])
    if products is not None:
        x, y = ((z - total / len(z)).astype(products) for z, total in zip((x, y), block._sum, strict=True))
        block._scatter = np.stack([x.T @ x, y.T @ y, x.T @ y], dtype=np.float64)
    return block
