"""Paired embeddings drawn from the geometry that C3 describes, with known constants."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from isthmus.checks import unit_rows


@dataclass(frozen=True)
class Geometry:
    """Constants of a space of paired embeddings; the defaults are CLIP ViT-B/32's on COCO."""

    dim: int = 512
    gap: float = 0.83  # length of the constant vector between the modality means
    cone: float = 0.52  # mean cosine within each modality
    alignment: float = 0.31  # mean cosine of pairs
    gap_dimensions: int = 4  # axes that hold the means, outside the span of everything that varies
    shared_dimension: float = 30  # effective dimension of what a pair shares
    noise_dimension: float = 75  # effective dimension of each part of the alignment noise
    noise_overlap: float = 0.1  # share of the noise that lies along the directions of what is shared


def sample(
    n: int, geometry: Geometry | None = None, *, captions: int = 1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Draw paired embeddings ``x = m_x + s + n_x``, ``y = m_y + s + n_y``, scaled to unit length.

    The means lie outside the span of ``s`` and ``n``, so their difference is
    a constant vector orthogonal to both spans, as Proposition 1 of C3 has it
    [1]_. What a pair shares (``s``) and the noise are Gaussian; their variances
    fall as a power law over random directions, some of which they have in common.

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
    shared_variance, noise_variance = _variances(geometry)
    rng = np.random.default_rng(seed)
    span = geometry.dim - geometry.gap_dimensions
    common, own = (np.linalg.qr(rng.normal(size=(span, span)))[0] for _ in range(2))
    scale = _scale(span, geometry.shared_dimension, shared_variance)
    noise_scale = _scale(span, geometry.noise_dimension, noise_variance)
    along, across = np.sqrt(geometry.noise_overlap), np.sqrt(1 - geometry.noise_overlap)

    def noise(rows: int) -> np.ndarray:
        first, second = rng.normal(size=(2, rows, span))
        return (first * (along * noise_scale)) @ common + (second * (across * noise_scale)) @ own

    shared = (rng.normal(size=(n, span)) * scale) @ common
    groups = np.repeat(np.arange(n), captions)
    x, y = (shared + noise(n))[groups], shared[groups] + noise(n * captions)
    # two means of length sqrt(cone) whose difference has the length of the gap
    middle, half = np.sqrt(geometry.cone - geometry.gap**2 / 4), geometry.gap / 2
    frame = np.linalg.qr(rng.normal(size=(geometry.gap_dimensions, 2)))[0].T  # (2, gap_dimensions)
    means = np.array([[middle, half], [middle, -half]]) @ frame
    rows = (np.hstack([np.tile(m, (len(z), 1)), z]) for m, z in zip(means, (x, y), strict=True))
    x, y = (unit_rows(z).astype(np.float32) for z in rows)
    return x, y, groups


def _variances(geometry: Geometry) -> tuple[float, float]:
    """Total variance of what is shared and of the noise that give these cosines to unit rows."""
    means_product = geometry.cone - geometry.gap**2 / 2
    shared = geometry.alignment - means_product
    noise = 1 - geometry.cone - shared
    if geometry.cone < geometry.gap**2 / 4 or shared < 0 or noise < 0:
        raise ValueError(
            f"no unit rows have gap {geometry.gap}, cone {geometry.cone} and alignment "
            f"{geometry.alignment}: they leave a shared variance of {shared:.3f} and noise of {noise:.3f}"
        )
    return shared, noise


def _scale(dim: int, effective: float, variance: float) -> np.ndarray:
    """Standard deviations (dim,) of this total variance and effective dimension, falling as a power law.

    Effective dimension is ``(sum of v)^2 / sum of v^2`` of the variances ``v``.
    """

    def variances(exponent: float) -> np.ndarray:
        return (np.arange(dim) + 5.0) ** -exponent

    def excess(exponent: float) -> float:
        v = variances(exponent)
        return v.sum() ** 2 / (v**2).sum() - effective

    if not excess(5.0) < 0 < excess(0.0):
        raise ValueError(f"an effective dimension must be between {excess(5.0) + effective:.0f} and {dim}")
    v = variances(brentq(excess, 0.0, 5.0))
    return np.sqrt(v * variance / v.sum())
