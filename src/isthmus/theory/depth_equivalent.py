"""The covariance of a random layer's features, from random matrices alone: no inputs and no ReLU."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isthmus.theory.stacks import xavier


@dataclass(frozen=True)
class Moments:
    """Mean row (width,) and covariance (width, width) of features, over inputs.

    Examples
    --------
    >>> Moments(np.array([1.0, 0.0]), np.eye(2)).cosine
    0.3333333333333333
    """

    mean: np.ndarray
    covariance: np.ndarray

    @property
    def cosine(self) -> float:
        """Mean cosine of two rows, in [0, 1]."""
        square = self.mean @ self.mean
        return float(square / (square + np.trace(self.covariance)))

    def unit(self) -> "Moments":
        """Return the moments of rows scaled to unit length, to first order in their spread.

        The length of a row varies with its part along the mean: of that, the share `cosine` goes.
        """
        length = np.sqrt(self.mean @ self.mean)
        spread = self.covariance
        if length > 0:
            direction = self.mean / length
            along = spread @ direction  # (width,)
            share = self.cosine
            cross = share * np.outer(direction, along)
            spread = (
                spread - cross - cross.T + share**2 * (along @ direction) * np.outer(direction, direction)
            )
        total = length**2 + np.trace(self.covariance)
        return Moments(self.mean / np.sqrt(total), spread / total)

    def stretched(self, variance: float) -> "Moments":
        """Return the moments of rows times factors of their own, of mean 1 and this variance."""
        second = self.covariance + np.outer(self.mean, self.mean)
        return Moments(self.mean, self.covariance + variance * second)


def equivalent_layers(
    stack: str, *, depth: int, width: int, rng: np.random.Generator, unit: bool = True
) -> Iterator[tuple[Moments, Moments]]:
    r"""Follow mean and covariance of standard Gaussian inputs through one draw of the weights.

    Neurons count as Gaussian over inputs. To first order, the covariance of two
    after the ReLU is the product of their slopes times the one before it, so that a layer of "mlp" is

    .. math:: C \to b\, W C W^T\, b + v

    with the diagonal matrices :math:`b` and :math:`v` of
    :func:`isthmus.theory.depth_kernel.propagate`; the second order of that
    covariance is kept here too, and what is left of v. A product of random matrices has
    no closed form for the share of its spectrum; this one is drawn once.

    Parameters
    ----------
    stack : {"mlp", "residual", "normalized", "postnorm", "linear"}
        As in :func:`isthmus.theory.stacks.run_stack`.
    depth, width : int
        Layers, and how wide they are.
    rng : Generator
        Of the weights.
    unit : bool, default=True
        Scale rows to unit length, after each layer too: its ReLU then does not
        see their lengths, which in deep stacks vary more than all else.

    Yields
    ------
    before, after : Moments
        Of what the ReLU is given and of what the layer returns. The length of
        inputs counts as fixed: see `Moments.stretched`.

    Raises
    ------
    ValueError
        There is no such stack here.

    References
    ----------
    .. [1] Pennington and Worah, "Nonlinear Random Matrix Theory for Deep Learning", NeurIPS 2017.
    .. [2] Fan and Wang, "Spectra of the Conjugate Kernel and Neural Tangent Kernel for
       Linear-Width Neural Networks", NeurIPS 2020: for centred activations, in the limit.

    Examples
    --------
    >>> layers = equivalent_layers("mlp", depth=2, width=400, rng=np.random.default_rng(0))
    >>> [round(after.cosine, 1) for _, after in layers]
    [0.3, 0.5]
    """
    if stack not in ("mlp", "residual", "normalized", "postnorm", "linear"):
        raise ValueError(f"stack must be mlp, residual, normalized, postnorm or linear, got {stack!r}")
    state = Moments(np.zeros(width), np.eye(width))
    for _ in range(depth):
        weights = xavier(width, rng)
        half = weights @ state.covariance  # of what the ReLU is given with the stream: (width, width)
        before = Moments(weights @ state.mean, half @ weights.T)
        if stack == "normalized":
            before = _centred(before).unit()
        after = before if stack == "linear" else _relu(before, state, half, residual=stack == "residual")
        if stack == "postnorm":
            after = _centred(after).unit()
        if unit:
            before, after = before.unit(), after.unit()
        yield before, after
        # only ratios matter, and they neither vanish nor overflow
        scale = (after.mean @ after.mean + np.trace(after.covariance)) / width
        state = Moments(after.mean / np.sqrt(scale), after.covariance / scale)


def sample_spectrum(covariance: np.ndarray, *, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the spectrum of the covariance of `n` Gaussian rows.

    Parameters
    ----------
    covariance : ndarray of shape (width, width)
        Of the rows.
    n : int
        Rows.
    rng : Generator
        Of the rows.

    Returns
    -------
    ndarray of shape (width,)
        Decreasing, of sum 1.

    Examples
    --------
    >>> sample_spectrum(np.diag([3.0, 1.0]), n=10**5, rng=np.random.default_rng(0)).round(2)
    array([0.75, 0.25])
    """
    values = np.maximum(np.linalg.eigvalsh(covariance), 0)
    return spectrum(rng.normal(size=(n, len(values))) * np.sqrt(values))


def spectrum(x: np.ndarray) -> np.ndarray:
    """Return the singular values of the covariance of rows as they are, as shares of their sum.

    Parameters
    ----------
    x : ndarray of shape (n, width)
        Features, not scaled to unit length here.

    Returns
    -------
    ndarray of shape (width,)
        Decreasing, of sum 1.

    Raises
    ------
    ValueError
        All rows are one.

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt", ICLR 2024, Definition 1.

    Examples
    --------
    >>> spectrum(np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    array([0.8, 0.2])
    """
    x = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    values = np.maximum(np.linalg.eigvalsh(x.T @ x if len(x) > x.shape[1] else x @ x.T)[::-1], 0)
    if not values.sum() > 0:
        raise ValueError("x must have rows that differ, got one row repeated")
    return np.append(values / values.sum(), np.zeros(x.shape[1] - len(values)))


def _centred(moments: Moments) -> Moments:
    """Take the mean over coordinates from each row."""
    covariance = moments.covariance - moments.covariance.mean(axis=0)
    covariance = covariance - covariance.mean(axis=1, keepdims=True)
    return Moments(moments.mean - moments.mean.mean(), covariance)


def _relu(before: Moments, state: Moments, half: np.ndarray, *, residual: bool) -> Moments:
    from scipy.special import ndtr

    variance = np.maximum(np.diag(before.covariance), np.finfo(float).tiny)
    scale = np.sqrt(variance)
    h = before.mean / scale
    on, density = ndtr(h), np.exp(-(h**2) / 2) / np.sqrt(2 * np.pi)
    mean = before.mean * on + scale * density
    rest = np.maximum(h**2 * on * ndtr(-h) + on + h * density * (1 - 2 * on) - density**2, 0)
    # the series of Hermite polynomials, to the second: the slope's part, and half the square's
    correlation = before.covariance / scale[:, None] / scale
    covariance = correlation * (on[:, None] * on) + correlation**2 * (density[:, None] * density) / 2
    covariance += np.diag(np.maximum(rest - on**2 - density**2 / 2, 0))
    covariance *= scale[:, None] * scale
    if residual:
        cross = on[:, None] * half
        mean, covariance = state.mean + mean, state.covariance + covariance + cross + cross.T
    return Moments(mean, covariance)
