"""Paired embeddings drawn from the geometry that C3 describes, with known constants."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from isthmus.checks import check_number

_BLOCK = 4096  # items drawn at once, so that what is drawn needs hardly more memory than what is returned


@dataclass(frozen=True)
class Geometry:
    """Constants of a space of paired embeddings; the defaults are CLIP ViT-B/32's on COCO."""

    dim: int = 512
    gap: float = 0.83  # length of the constant vector between the modality means
    cone: float = 0.52  # mean cosine within each modality
    alignment: float = 0.31  # mean cosine of pairs
    gap_dimensions: int = 4  # axes that hold the means, outside the span of everything that varies
    shared_dimension: float = 30  # effective dimension of what a pair shares
    noise_dimension: float = 95  # effective dimension of the alignment noise; `span`: isotropic there
    noise_overlap: float = 0.1  # share of the noise that is spread over directions as what is shared is

    def __post_init__(self):
        check_number(self.dim, "dim", "[4, inf)", integer=True)
        check_number(self.gap_dimensions, "gap_dimensions", f"[2, {self.dim - 2}]", integer=True)
        check_number(self.gap, "gap", "[0, 2]")
        check_number(self.cone, "cone", "[0, 1]")
        check_number(self.alignment, "alignment", "[-1, 1]")
        check_number(self.noise_overlap, "noise_overlap", "[0, 1]")
        if self.cone < self.gap**2 / 4 or self.shared_variance < 0 or self.noise_variance < 0:
            raise ValueError(
                f"no unit rows have gap {self.gap}, cone {self.cone} and alignment {self.alignment}: "
                f"they leave a shared variance of {self.shared_variance:.3f} and noise of "
                f"{self.noise_variance:.3f}"
            )

    @property
    def span(self) -> int:
        """Number of directions that vary: an even number, since they come in planes."""
        return (self.dim - self.gap_dimensions) // 2 * 2

    @property
    def shared_variance(self) -> float:
        """Squared length of what a pair shares, about the mean: what the means leave of the alignment."""
        return self.alignment - (self.cone - self.gap**2 / 2)

    @property
    def noise_variance(self) -> float:
        """Squared length of the noise of one row; that of ``x - y`` is twice as much."""
        return 1 - self.cone - self.shared_variance


@dataclass(frozen=True)
class Population:
    """What infinitely many pairs would show: the truth of what `sample` draws, to test measures by."""

    geometry: Geometry
    means: np.ndarray  # (2, dim) of x and of y
    basis: np.ndarray  # (span, dim) orthonormal rows, orthogonal to the means; two by two they are planes
    shared: np.ndarray  # (span / 2,) length, in each plane, of what a pair shares
    noise: np.ndarray  # (span / 2,) length, in each plane, of the noise

    @property
    def gap(self) -> np.ndarray:
        """Difference of the means (dim,); orthogonal to everything that varies."""
        return self.means[0] - self.means[1]

    def gap_share(self, k: int) -> float:
        """Share of the squared gap in its `k` largest dimensions, in [0, 1]; 0 where there is no gap."""
        square = np.sort(self.gap**2)[::-1]
        return float(square[:k].sum() / square.sum()) if square.any() else 0.0

    @property
    def sibling_cosine(self) -> float:
        """Mean cosine of two captions of one item, in [-1, 1]."""
        return self.geometry.cone + self.geometry.shared_variance

    @property
    def covariance(self) -> np.ndarray:
        """Covariance (dim, dim) of x, and of y."""
        return self._covariance((self.shared**2 + self.noise**2) / 2)

    @property
    def cross_covariance(self) -> np.ndarray:
        """Covariance (dim, dim) of x with its y."""
        return self._covariance(self.shared**2 / 2)

    @property
    def residual_covariance(self) -> np.ndarray:
        """Covariance (dim, dim) of ``x - y``."""
        return self._covariance(self.noise**2)

    def _covariance(self, of_plane: np.ndarray) -> np.ndarray:
        return (self.basis.T * np.repeat(of_plane, 2)) @ self.basis


def sample(
    n: int, geometry: Geometry | None = None, *, captions: int = 1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Draw paired unit rows ``x = m_x + s + n_x``, ``y = m_y + s + n_y`` with exactly known constants.

    The means lie outside the span of ``s`` and ``n``, so their difference is
    a constant vector orthogonal to both spans, as Proposition 1 of C3 has it
    [1]_. The span is cut into planes. In each, ``s`` stands on a circle, at a
    phase that is uniform and the item's own, and ``n`` across it, to one side
    or the other with equal chance: noise and what is shared are orthogonal in
    every row, so that rows have unit length without being scaled to it, which
    would change every constant. Gap, cone, alignment and covariances are
    therefore exact in the population, and :func:`population` tells them. The
    lengths fall as a power law over the planes. Planes are turned at random:
    a coordinate sums over all of them and is about Gaussian.

    Parameters
    ----------
    n : int
        Number of items, at least 2.
    geometry : Geometry, optional
        The constants.
    captions : int, default=1
        Rows of ``y`` per item; the row of ``x`` is repeated for each.
    seed : int, default=0
        Of the draw and of the directions.

    Returns
    -------
    x, y : ndarray of float32, shape (n * captions, dim)
        Unit rows.
    groups : ndarray of int, shape (n * captions,)
        Item of each row.

    Raises
    ------
    ValueError
        `n` or `captions` is too small, or no embeddings have these constants.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Proposition 1 and Table 1.

    Examples
    --------
    >>> x, y, groups = sample(1000)
    >>> gap = np.linalg.norm(x.mean(axis=0) - y.mean(axis=0))
    >>> print(f"{gap:.2f} {(x * y).sum(axis=1).mean():.2f}")
    0.83 0.31
    """
    geometry = geometry or Geometry()
    if n < 2 or captions < 1:
        raise ValueError(f"expected n >= 2 and captions >= 1, got n={n} and captions={captions}")
    rng = np.random.default_rng(seed)
    truth = _population(geometry, rng)
    basis = truth.basis.astype(np.float32)
    shared, noise = truth.shared.astype(np.float32), (1j * truth.noise).astype(np.complex64)

    def embed(mean: np.ndarray, turn: np.ndarray) -> np.ndarray:
        """Unit rows (m, dim) at these phases, given as unit complex numbers (m, planes)."""
        side = 2 * rng.integers(0, 2, size=turn.shape, dtype=np.int8) - 1
        return mean + (turn * (shared + noise * side)).view(np.float32) @ basis

    x, y = np.empty((2, n * captions, geometry.dim), dtype=np.float32)
    for start in range(0, n, _BLOCK):
        items = min(_BLOCK, n - start)
        rows = slice(start * captions, (start + items) * captions)
        phase = rng.random(size=(items, len(shared)), dtype=np.float32) * np.float32(2 * np.pi)
        turn = np.exp(1j * phase)
        x[rows] = np.repeat(embed(truth.means[0], turn), captions, axis=0)
        y[rows] = embed(truth.means[1], np.repeat(turn, captions, axis=0))
    return x, y, np.repeat(np.arange(n), captions)


def population(geometry: Geometry | None = None, *, seed: int = 0) -> Population:
    """Return the truth of what ``sample(n, geometry, seed=seed)`` draws, whatever `n` is.

    Parameters
    ----------
    geometry : Geometry, optional
        The constants.
    seed : int, default=0
        As given to `sample`: the directions depend on it, the spectra do not.

    Returns
    -------
    Population
        Means, directions and covariances.

    Raises
    ------
    ValueError
        An effective dimension is out of reach.

    Examples
    --------
    >>> truth = population(Geometry(dim=64, shared_dimension=10, noise_dimension=20))
    >>> print(f"{np.linalg.norm(truth.gap):.2f}")
    0.83
    >>> spread = truth.residual_covariance
    >>> print(f"{np.trace(spread):.4f} {np.trace(spread) ** 2 / np.trace(spread @ spread):.2f}")
    0.6911 20.00
    """
    return _population(geometry or Geometry(), np.random.default_rng(seed))


def _population(geometry: Geometry, rng: np.random.Generator) -> Population:
    """Population whose directions come from `rng`, which goes on to draw the pairs."""
    dim, across = geometry.dim, geometry.gap_dimensions
    # two means of length sqrt(cone) whose difference has the length of the gap
    middle, half = np.sqrt(max(0.0, geometry.cone - geometry.gap**2 / 4)), geometry.gap / 2
    means = np.zeros((2, dim))
    frame = np.linalg.qr(rng.normal(size=(across, 2)))[0].T  # (2, gap_dimensions)
    means[:, :across] = np.array([[middle, half], [middle, -half]]) @ frame
    basis = np.zeros((geometry.span, dim))
    basis[:, across:] = np.linalg.qr(rng.normal(size=(dim - across, geometry.span)))[0].T
    planes = geometry.span // 2
    # the same for every seed, so that spectra depend on the geometry alone
    order = np.random.default_rng(0).permutation(planes)
    shared = _lengths(geometry.shared_dimension, geometry.shared_variance, order=np.arange(planes))
    noise = _lengths(
        geometry.noise_dimension, geometry.noise_variance, order=order, overlap=geometry.noise_overlap
    )
    return Population(geometry, means, basis, shared, noise)


def _lengths(effective: float, variance: float, *, order: np.ndarray, overlap: float = 0) -> np.ndarray:
    """Lengths (planes,) of this total square and effective dimension.

    Squares fall as a power law over the planes: in their own order for the share `overlap`, in `order`
    for the rest. The effective dimension is the participation ``(sum of v)^2 / sum of v^2`` of the
    variances ``v``, of which each plane has two.
    """

    def shares(exponent: float) -> np.ndarray:
        law = (np.arange(len(order)) + 2.5) ** -exponent
        mixed = overlap * law + (1 - overlap) * law[order]
        return mixed / mixed.sum()

    def excess(exponent: float) -> float:
        return 2 / (shares(exponent) ** 2).sum() - effective

    low, high = excess(5.0) + effective, 2 * len(order)
    if not low < effective <= high:
        raise ValueError(f"an effective dimension must be between {low:.1f} and {high}, got {effective}")
    return np.sqrt(variance * shares(0.0 if effective == high else float(brentq(excess, 0.0, 5.0))))
