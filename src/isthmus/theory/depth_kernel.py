"""What random layers of unlimited width do to cosines, and wide ones to the participation ratio."""

from dataclasses import dataclass
from functools import cache

import numpy as np

_NODES = 200  # of the quadrature over the means of neurons


@dataclass(frozen=True)
class Propagation:
    """What theory says of each layer, 0 (the inputs) to depth.

    Examples
    --------
    >>> propagate("mlp", depth=2, width=512).after.round(3)
    array([0.   , 0.318, 0.494])
    """

    before: np.ndarray  # (depth + 1,): mean cosine of what the ReLU is given
    after: np.ndarray  # (depth + 1,): mean cosine of what the layer returns
    participation_before: np.ndarray  # (depth + 1,): of unit rows, of unlimited number
    participation_after: np.ndarray  # (depth + 1,)


def arc_cosine(cosine: np.ndarray | float) -> np.ndarray:
    r"""Cosine of two rows after a wide random layer with ReLU.

    .. math:: f(\rho) = \frac{\sqrt{1 - \rho^2} + \rho (\pi - \arccos \rho)}{\pi}

    Parameters
    ----------
    cosine : array-like
        Cosines of the rows before it, in [-1, 1].

    Returns
    -------
    ndarray
        In [0, 1].

    Raises
    ------
    ValueError
        A cosine lies outside of [-1, 1].

    References
    ----------
    .. [1] Cho and Saul, "Kernel Methods for Deep Learning", NeurIPS 2009, equation 6 with n = 1.

    Examples
    --------
    >>> arc_cosine([-1.0, 0.0, 1.0]).round(4)
    array([0.    , 0.3183, 1.    ])
    """
    cosine = np.asarray(cosine, dtype=np.float64)
    if not (np.abs(cosine) <= 1).all():
        raise ValueError(f"cosine must be in [-1, 1], got {cosine[~(np.abs(cosine) <= 1)][0]}")
    return (np.sqrt(1 - cosine**2) + cosine * (np.pi - np.arccos(cosine))) / np.pi


def propagate(stack: str, *, depth: int, width: int) -> Propagation:
    r"""Follow the mean cosine and the participation ratio of orthogonal inputs through a stack.

    A coordinate of the stream has the mean square :math:`K + s` over rows:
    :math:`K` of the mean row, which is the product of two different rows, and
    :math:`s` about it. A neuron sees a Gaussian of mean :math:`\sqrt K g`,
    :math:`g` standard normal over neurons, and variance :math:`s`. Of its ReLU,
    :math:`M` is the mean, :math:`V` the variance, and :math:`b = \Phi(\sqrt{K / s}\, g)`
    the slope, which is the chance that it is on. Then, :math:`E` being over :math:`g`,

    .. math:: K \to E M^2 = \tfrac{K + s}{2} f(\rho), \qquad s \to E V

    for "mlp", with :math:`\rho = K / (K + s)`; "normalized" has the same cosines, as
    rows are only rescaled. The mean row keeps its part :math:`(E M)^2` along
    (1, ..., 1) from layer to layer in "residual", where :math:`K` also gains
    :math:`2 m E M`, :math:`m \to m + E M`; "postnorm" removes just that part.

    Participation follows :math:`T = tr(C^2) / dim` of the covariance :math:`C`: layers of the width
    :math:`N` add to :math:`tr(C^2) / tr(C)^2` about :math:`1 / N` each. In "mlp",
    :math:`T \to (E b^2)^2 T + E V^2`: the linear part of pairs of neurons, whose
    covariance before the ReLU has the mean square :math:`T / N`, and what is on the diagonal.
    In "residual", :math:`C \to (I + b W) C (I + b W)^T` and the ReLU's
    own variance :math:`v = V - b^2 s` on the diagonal.
    The transformer's cosines need its attention, see :mod:`isthmus.theory.depth_attention`.

    Parameters
    ----------
    stack : {"mlp", "residual", "normalized", "postnorm", "linear"}
        As in :func:`isthmus.theory.stacks.run_stack`.
    depth : int
        Layers.
    width : int
        Of the layers; cosines do not depend on it.

    Returns
    -------
    Propagation
        Cosines in [0, 1], participation ratios in [1, width]; exact to leading order in depth / width.

    Raises
    ------
    ValueError
        There is no such stack here.

    References
    ----------
    .. [1] Cho and Saul, "Kernel Methods for Deep Learning", NeurIPS 2009: K of "mlp".
    .. [2] Yang and Schoenholz, "Mean Field Residual Networks", NeurIPS 2017; theirs have random
       signs on the residual branch, and no term 2 m E M.
    .. [3] Fan and Wang, "Spectra of the Conjugate Kernel and Neural Tangent Kernel for
       Linear-Width Neural Networks", NeurIPS 2020: the linear part of a layer, for centred activations.

    Examples
    --------
    >>> linear = propagate("linear", depth=3, width=100)
    >>> linear.after.tolist(), linear.participation_after.round(1).tolist()
    ([0.0, 0.0, 0.0, 0.0], [100.0, 50.0, 33.3, 25.0])
    """
    if stack not in ("mlp", "residual", "normalized", "postnorm", "linear"):
        raise ValueError(f"stack must be mlp, residual, normalized, postnorm or linear, got {stack!r}")
    mean_square, spread, mean, square = 0.0, 1.0, 0.0, 1.0  # K, s, m, T
    rows = [(0.0, 0.0, float(width), float(width))]
    for _ in range(depth):
        cosine = mean_square / (mean_square + spread)
        participation = width * spread**2 / (square + spread**2)  # of W x
        if stack == "linear":
            square += spread**2
        else:
            mean_square, spread, mean, square = _relu_layer(stack, mean_square, spread, mean, square)
        total = mean_square + spread  # only ratios matter from here on, and they neither vanish nor overflow
        mean_square, spread = mean_square / total, spread / total
        mean, square = mean / np.sqrt(total), square / total**2
        after = cosine if stack == "linear" else mean_square
        rows.append((cosine, after, participation, width * spread**2 / square))
    return Propagation(*np.array(rows).T)


def _relu_layer(
    stack: str, mean_square: float, spread: float, mean: float, square: float
) -> tuple[float, float, float, float]:
    weight, on, variance = _neurons(mean_square, spread)
    total = mean_square + spread
    between = spread / (2 * total)  # sin^2 of half the angle of two rows
    angle = 2 * np.arcsin(np.sqrt(between))
    # total / 2 * (1 - f(cos angle)), without the digits that a small angle would lose
    new_spread = total / 2 * (2 * between + (angle * np.cos(angle) - np.sin(angle)) / np.pi)
    new_mean = np.sqrt(total / (2 * np.pi))
    new_square = total / 2 - new_spread
    slope = (np.pi - angle) / (2 * np.pi)  # E b^2: both of two rows are on
    held = weight @ variance**2
    if stack in ("mlp", "normalized"):
        return new_square, new_spread, 0.0, slope**2 * square + held
    if stack == "postnorm":
        return max(0.0, new_square - new_mean**2), new_spread, 0.0, slope**2 * square + held
    own = variance - on**2 * spread  # v
    square = (1 + slope) ** 2 * square + spread**2 * (weight @ on**4 + 2 * slope)
    square += weight @ (2 * spread * own * (1 + on**2) + own**2)
    new_square += mean_square + 2 * mean * new_mean
    return new_square, spread + new_spread, mean + new_mean, square


@cache
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(_NODES)


def _neurons(mean_square: float, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, chances to be on, and variances of the ReLU, of neurons drawn by quadrature: (nodes,) each."""
    from scipy.special import ndtr

    node, weight = _legendre()
    scale = np.sqrt(spread)
    # beyond eight standard deviations a neuron is always on or always off: only the part between has nodes
    reach = 8 * min(1.0, scale / np.sqrt(mean_square)) if mean_square else 8.0
    normal = reach * node
    weight = reach * weight * np.exp(-(normal**2) / 2) / np.sqrt(2 * np.pi)
    h = np.sqrt(mean_square) * normal / scale
    on, density = ndtr(h), np.exp(-(h**2) / 2) / np.sqrt(2 * np.pi)
    variance = spread * (h**2 * on * ndtr(-h) + on + h * density * (1 - 2 * on) - density**2)
    beyond = ndtr(-reach)
    ends = np.array([beyond, beyond])
    weight, on = np.append(weight, ends), np.append(on, [0.0, 1.0])
    return weight, on, np.append(variance, [0.0, spread])
