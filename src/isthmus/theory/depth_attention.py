"""What random transformer blocks of unlimited width do to cosines."""

import numpy as np

from isthmus.theory.depth_kernel import arc_cosine

_NODES = 40  # of each normal variable
_LOGARITHMS = np.arange(-14.0, 5.0, 0.1)  # of the variables of the Laplace transform


def propagate_transformer(*, depth: int, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Follow the mean cosine of independent inputs through pre-norm blocks with random weights.

    Three products are followed: of a token with itself :math:`q`, with another
    token of its input :math:`a`, and with one of another input :math:`o`. With the
    cosines :math:`\alpha = a / q` and :math:`\omega = o / q`, attention adds

    .. math:: q \mathrel{+}= \pi + (1 - \pi) \alpha, \quad
              a \mathrel{+}= \pi' + (1 - \pi') \alpha, \quad o \mathrel{+}= \omega

    where :math:`\pi` is how much two equal queries attend to one same token, and
    :math:`\pi'` two different queries of an input. Attention sums to 1, so that
    what different inputs have in common passes through it whatever it attends
    to. The ReLU then adds half of the arc-cosine kernel to each.

    Parameters
    ----------
    depth : int
        Blocks.
    tokens : int
        Of each input.

    Returns
    -------
    before, after : ndarray of shape (depth + 1,)
        Mean cosine of two inputs' tokens as the ReLU is given them, and as the block returns them,
        in [0, 1]; row 0 is that of the inputs.

    References
    ----------
    .. [1] Hron et al., "Infinite Attention: NNGP and NTK for Deep Attention Networks", ICML 2020:
       the limit of many wide heads, with scores divided by the root of a head's size.

    Examples
    --------
    >>> before, after = propagate_transformer(depth=2, tokens=8)
    >>> after.round(3).tolist() == sorted(after.round(3).tolist()), after[0].item()
    (True, 0.0)
    """
    own, within, other = 1.0, 0.0, 0.0  # q, a, o
    rows = [(0.0, 0.0)]
    for _ in range(depth):
        alpha, omega = within / own, other / own
        same, different = attention_overlap(alpha, tokens)
        own, within, other = (
            own + same + (1 - same) * alpha,
            within + different + (1 - different) * alpha,
            other + omega,
        )
        before = other / own
        own, within, other = (
            own + 1 / 2,
            within + float(arc_cosine(within / own)) / 2,
            other + float(arc_cosine(before)) / 2,
        )
        rows.append((before, other / own))
    before, after = np.array(rows).T
    return before, after


def attention_overlap(cosine: float, tokens: int) -> tuple[float, float]:
    r"""Mean of the product of two attentions of an input, summed over what is attended to.

    Scores of a query are normal with the variance 1 and the covariance `cosine`,
    of which the part that all share does not change the attention; those of two queries
    have the correlation `cosine`. By :math:`1 / z = \int_0^\infty e^{-\lambda z} d\lambda`
    the mean of :math:`e^{s_1 + t_1} / (\sum_u e^{s_u} \sum_u e^{t_u})` becomes an integral over powers
    of the expectation for one token.

    Parameters
    ----------
    cosine : float
        Of two tokens of the input, in [0, 1].
    tokens : int
        How many there are.

    Returns
    -------
    same, different : float
        Of a query with itself, and of two queries; in [1 / tokens, 1].

    Examples
    --------
    >>> np.round(attention_overlap(1.0, 8), 4).tolist()  # all scores are equal
    [0.125, 0.125]
    """
    node, weight = np.polynomial.hermite_e.hermegauss(_NODES)
    weight = weight / weight.sum()
    scale = np.sqrt(1 - cosine)
    rate = np.exp(_LOGARITHMS)[:, None]  # lambda: (rates, 1)
    step = (_LOGARITHMS[1] - _LOGARITHMS[0]) * rate[:, 0]
    first = np.exp(scale * node)  # e^s: (nodes,)
    transform = np.exp(-rate * first)  # (rates, nodes)
    same = (
        tokens * step * rate[:, 0] @ ((transform * first**2) @ weight * (transform @ weight) ** (tokens - 1))
    )

    second = np.exp(scale * (cosine * node[:, None] + np.sqrt(1 - cosine**2) * node))  # e^t: (nodes, nodes)
    exponential = np.exp(-rate[:, :, None] * second)  # (rates, nodes, nodes)
    none, once = exponential @ weight, (exponential * second) @ weight  # over t given s: (rates, nodes)
    both = (transform * first * weight) @ once.T  # (rates, rates)
    rest = (transform * weight) @ none.T
    different = tokens * step @ (both * rest ** (tokens - 1)) @ step
    return float(same), float(different)
